"""A federation on this machine: its processes are started, spoken to round by round, and ended."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from multiprocessing import AuthenticationError
from multiprocessing.connection import Listener
from pathlib import Path
from threading import Thread
from typing import Any

from fqlab.errors import ConfigError, NetworkError, in_range, shown
from fqlab.federation.engines.flower import ground
from fqlab.federation.engines.flower.app import write_app
from fqlab.federation.engines.flower.bundle import Bundle
from fqlab.federation.engines.flower.ground import ENDED, PROCESSES
from fqlab.federation.engines.flower.post import Replies
from fqlab.federation.engines.flower.server_app import KEY, RELAY
from fqlab.federation.experiment import Experiment
from fqlab.files import atomic_write

__all__ = ["Network", "free_ports", "obstacle", "plan_nodes", "start", "timeout_seconds"]

HOST = "127.0.0.1"
TIMEOUT = "FQLAB_FLOWER_TIMEOUT"
"""Environment variable: seconds that a round may take; before the first one, nodes have as long to join."""
START = 120.0
"""Seconds that processes may take to start, PyTorch's import on a slow machine included."""
LOOKS = 40
"""Times a second that all nodes of this machine together look for work: more would leave it no time to do any."""
GRACE = 5.0
"""Seconds more than a round's before the processes themselves are taken for dead."""


def timeout_seconds() -> float:
    """What the environment allows a round, 120 seconds if it says nothing.

    Raises:
        ConfigError: if it is no number from 1 to 86 400.
    """
    said = os.environ.get(TIMEOUT, "120")
    try:
        return in_range(TIMEOUT, float(said), 1, 86400)
    except ValueError:
        raise ConfigError(f"{TIMEOUT} is {shown(said)}, but must be a number of seconds from 1 to 86400.") from None


def free_ports(count: int) -> list[int]:
    """Ports of this machine on which nobody listens."""
    doors = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [door.getsockname()[1] for door in doors]
    for door in doors:
        door.close()
    return ports


class Network:
    """SuperLink and SuperNodes on loopback, and a line to the app that speaks to them.

    Args:
        experiment: goes into the app.
        nodes: SuperNodes to start.
        host, port: where the SuperLink listens; port 0 is one that is free.
        elsewhere: somebody else starts the nodes, see :func:`plan_nodes`.

    Attributes:
        address: ``host:port`` under which nodes of this machine find the SuperLink.

    Raises:
        ConfigError: if Flower is not installed, or cannot run here.
        NetworkError: if the port is taken.
    """

    def __init__(
        self, experiment: Experiment, nodes: int, host: str = HOST, port: int = 0, elsewhere: bool = False
    ) -> None:
        if (problem := obstacle()) is not None:
            raise ConfigError(f"engine is 'flower', but {problem}.")
        self.timeout = timeout_seconds()
        self._numbers = itertools.count()
        self._line: Any = None
        self._calls: list[Any] = []
        self._closed = False
        port = free_ports(1)[0] if port == 0 else _free(host, port)
        self.address = f"{HOST}:{port}"
        self.folder = Path(tempfile.mkdtemp(prefix="fqlab-flower-"))
        self._listener = Listener((HOST, 0), authkey=(key := secrets.token_bytes(32)))
        try:
            plan = _plan_link(self.folder, experiment, host, port, nodes, self.timeout)
            if not elsewhere:
                plan["nodes"] = plan_nodes(self.address, range(nodes), poll=nodes / LOOKS)
            environment = {RELAY: str(self._listener.address[1]), KEY: key.hex()}
            self._ground = start(self.folder, plan, environment)
            Thread(target=self._listen, daemon=True).start()
        except BaseException:
            self._listener.close()
            shutil.rmtree(self.folder)
            raise

    def processes(self) -> dict[str, int]:
        """The number of each process by name; empty until all are started."""
        try:
            return json.loads((self.folder / PROCESSES).read_text(encoding="utf-8"))
        except OSError:
            return {}

    def exchange(self, outgoing: Mapping[int, Bundle], stop: Callable[[], bool] = lambda: False) -> Replies | None:
        """Send each node its message and wait for the answers; None if stopped.

        Raises:
            NetworkError: if the processes end or do not answer in time.
        """
        seconds = self.timeout + GRACE
        if self._line is None:
            self._line = self._answered(time.monotonic() + START, stop)
            if self._line is None:
                return None
            seconds += self.timeout  # nodes join
        end = time.monotonic() + seconds
        number = next(self._numbers)
        packets = [message.to_bytes() for message in outgoing.values()]
        header = {"number": number, "nodes": list(outgoing)}
        try:
            self._line.send_bytes(Bundle(header, packets).to_bytes())
            return self._heard(number, end, stop)
        except (EOFError, ConnectionError):
            raise NetworkError(self._why("the app at the SuperLink has ended")) from None

    def close(self) -> None:
        """End every process and remove their folder."""
        self._closed = True
        if self._line is not None:
            self._line.close()
        self._listener.close()
        if self._ground.stdin is not None:
            self._ground.stdin.close()
        self._ground.wait()

    def _answered(self, end: float, stop: Callable[[], bool]) -> Any:
        """The line on which the app at the SuperLink calls; None if stopped."""
        while not self._calls:
            if stop():
                return None
            self._check(end, f"the app at the SuperLink did not start within {START:g} s")
            time.sleep(0.05)
        return self._calls[0]

    def _listen(self) -> None:
        """Wait for the app's call; whoever calls without the key is not listened to."""
        while not self._calls and not self._closed:
            with suppress(AuthenticationError, EOFError, OSError):
                self._calls.append(self._listener.accept())

    def _heard(self, number: int, end: float, stop: Callable[[], bool]) -> Replies | None:
        while True:
            if stop():
                self._line.send_bytes(Bundle({"number": -1, "nodes": []}).to_bytes())  # what interrupts a wait
                return None
            if not self._line.poll(0.05):
                self._check(
                    end, f"the app at the SuperLink did not answer; {TIMEOUT} allows {self.timeout:g} s a round"
                )
                continue
            answer = Bundle.from_bytes(self._line.recv_bytes())
            if answer.header["number"] != number:
                continue
            if "error" in answer.header:
                raise NetworkError(answer.header["error"])
            replies: dict[int, Any] = dict(answer.header["reasons"])
            there = zip(answer.header["nodes"], answer.packets, strict=True)
            return replies | {node: Bundle.from_bytes(packet) for node, packet in there}

    def _check(self, end: float, what: str) -> None:
        """Raise if a process that must live has ended, or the time is up."""
        ended = (self.folder / ENDED).exists() or self._ground.poll() is not None
        if ended or time.monotonic() > end:
            raise NetworkError(self._why(what))

    def _why(self, what: str) -> str:
        """One sentence: what happened, why if that is known, and where the processes' own words are kept."""
        try:
            ended = (self.folder / ENDED).read_text(encoding="utf-8")
        except OSError:
            ended = ""
        log = Path(tempfile.mkstemp(prefix="fqlab-flower-", suffix=".log")[1])
        atomic_write(log, (self.folder / "log.txt").read_bytes())
        return f"{what}{ended and f' ({ended})'}; what Flower said is in {str(log)!r}."


def obstacle() -> str | None:
    """Why no federation can be started here, in words; None if one can."""
    if find_spec("flwr") is None:
        return "Flower is not installed: pip install 'fqlab[flower]'"
    if not hasattr(os, "fork"):
        return "its processes are started by fork, which this system does not have; use Linux"
    return None


def _free(host: str, port: int) -> int:
    """``port``, if nobody listens there."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise NetworkError(f"port is {port}, but no SuperLink can listen there: {error.strerror}.") from None
    return port


def _plan_link(
    folder: Path, experiment: Experiment, host: str, port: int, nodes: int, timeout: float
) -> dict[str, Any]:
    """Write the app and Flower's settings; the plan of a SuperLink and its app."""
    write_app(folder / "app", experiment, nodes, timeout)
    settings = f'[superlink]\ndefault = "fqlab"\n\n[superlink.fqlab]\naddress = "{HOST}:{port}"\ninsecure = true\n'
    atomic_write(folder / "config.toml", settings.encode())
    link = {"bind": host, "host": HOST, "port": port}
    return {"superlink": link, "nodes": [], "app": str(folder / "app"), "experiment": experiment.to_toml()}


def plan_nodes(superlink: str, numbers: Iterable[int], poll: float = 0.05) -> list[dict[str, Any]]:
    """The plan of SuperNodes that know the SuperLink at ``host:port`` and look there every ``poll`` seconds.

    Flower's own nodes look every three seconds. A look is some 700 bytes each way, which a slow line feels.
    """
    numbers = list(numbers)
    ports = zip(numbers, free_ports(len(numbers)), strict=True)
    shared = {"host": HOST, "superlink": superlink, "poll": poll}
    return [{**shared, "number": n, "port": port, "config": f"partition-id={n}"} for n, port in ports]


def start(
    folder: Path, plan: Mapping[str, Any], environment: Mapping[str, str], prefix: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """A fresh Python that starts what is planned, and ends it and removes the folder once its input is closed.

    Args:
        folder: of this federation alone.
        plan: what :mod:`~fqlab.federation.engines.flower.ground` is to start.
        environment: further variables.
        prefix: a command in front, such as one that enters another host.
    """
    atomic_write(folder / "secret", secrets.token_hex(32).encode())
    atomic_write(folder / "plan.json", json.dumps({**plan, "secret": str(folder / "secret")}).encode())
    package = str(Path(__file__).resolve().parents[4])
    paths = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH", ""))))
    # As a script: its first process, which ends the others, needs no PyTorch.
    command = [*prefix, sys.executable, "-P", ground.__file__, str(folder / "plan.json")]
    with open(folder / "log.txt", "wb") as log:
        return subprocess.Popen(
            command,
            env={**os.environ, **environment, "PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
