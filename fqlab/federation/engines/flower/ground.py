"""The processes of a federation on this machine, all of them forked from one that has imported everything once.

``python -P ground.py PLAN.json`` starts what the plan names: a SuperLink, SuperNodes, and a SuperExec for each
(Flower's starter of apps), in Flower's isolation mode "process". Flower would start a fresh Python for every message,
which imports Flower and PyTorch anew; here whatever Flower starts is a fork, ready in milliseconds.

The process that was started watches its standard input. Once that is closed (the run is over, failed, was interrupted
or killed) it ends all the others and removes their folder. It also ends them once one of them that must live is gone.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from select import select
from types import SimpleNamespace
from typing import Any, NoReturn

from fqlab.files import atomic_write

__all__ = ["ENDED", "PROCESSES", "QUIET", "main"]

QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.02",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""No telemetry, no question for updates; and apps are started soon after they are wanted."""
ENDED, PROCESSES = "ended.txt", "processes.json"
"""Files beside the plan: why the federation ended by itself, and the number of each process by name."""


def main(plan: Path) -> int:
    """Start everything in a process group of its own, wait until it is to end, end it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    ground = os.fork()
    if ground == 0:
        os.setpgid(0, 0)
        _live(lambda: _ground(json.loads(plan.read_text(encoding="utf-8")), plan.parent))
    alive = True
    while not select([0], [], [], 0.1)[0]:
        if alive and os.waitpid(ground, os.WNOHANG)[0]:
            alive = False
            _kill_group(ground)
    _kill_group(ground)
    shutil.rmtree(plan.parent, ignore_errors=True)
    return 0


def _kill_group(group: int) -> None:
    """Kill all processes of a group; none of them has anything to save."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _live(work: Callable[[], object]) -> NoReturn:
    """Run ``work`` as the whole life of a forked process."""
    code: object = 1
    try:
        work()
        code = 0
    except SystemExit as left:
        code = left.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _ground(plan: Mapping[str, Any], folder: Path) -> None:
    """The parent of all processes; returns once one without which nothing goes on has ended."""
    os.environ.update(QUIET, FLWR_HOME=str(folder))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a child must not hold the line that says when to end
    children: dict[str, int] = {}
    reason = "it could not be started"
    try:
        link = plan.get("superlink")
        if link is not None:
            children["the SuperLink"] = _fork(_superlink(link, plan["secret"]))
        _import_all(plan["experiment"])
        for node in plan["nodes"]:
            often = partial(_looks_every, node["poll"])
            children[f"node {node['number']}"] = _fork(_supernode(node, plan["secret"]), often)
            children[f"the starter of node {node['number']}"] = _fork(_superexec(node, plan["secret"]), _starts_forks)
        if link is not None:
            children["the starter of the SuperLink"] = _fork(_superexec(link, plan["secret"]), _starts_forks)
            children["flwr run"] = _fork(["flwr", "run", plan["app"], "fqlab"], partial(_await, link))
        atomic_write(folder / PROCESSES, json.dumps(children).encode())
        reason = _watch(children)
    finally:
        atomic_write(folder / ENDED, reason.encode())


def _place(of: Mapping[str, Any]) -> str:
    return f"{of['host']}:{of['port']}"


def _superlink(link: Mapping[str, Any], secret: str) -> list[str]:
    quiet = ["--insecure", "--disable-runtime-dependency-installation", "--isolation", "process"]
    place = ["--host", link["bind"], "--port", str(link["port"])]
    return ["flower-superlink", *quiet, *place, "--superexec-auth-secret-file", secret]


def _supernode(node: Mapping[str, Any], secret: str) -> list[str]:
    quiet = ["--insecure", "--isolation", "process", "--superexec-auth-secret-file", secret]
    place = ["--host", node["host"], "--port", str(node["port"]), "--superlink", node["superlink"]]
    return ["flower-supernode", *quiet, *place, "--node-config", node["config"]]


def _superexec(of: Mapping[str, Any], secret: str) -> list[str]:
    to = ["--runtime-api-address", _place(of)]
    return ["flower-superexec", "--insecure", *to, "--superexec-auth-secret-file", secret]


def _import_all(experiment: str) -> None:
    """Import what every process needs, once, and deal the data; a fork has it all at no cost."""
    import torch

    from fqlab.federation.engines.flower.node import prepared

    torch.set_num_threads(1)  # no thread may be there when a process is forked
    prepared(experiment, 1)
    for name in ("flower-supernode", "flower-superexec", "flwr-clientapp", "flwr-serverapp", "flwr"):
        _entry(name)


def _entry(name: str) -> Callable[[], object]:
    """The function behind one of Flower's commands."""
    (point,) = entry_points(group="console_scripts", name=name)
    return point.load()


def _fork(arguments: Sequence[str], first: Callable[[], object] = lambda: None) -> int:
    """Run one of Flower's commands in a fork of this process, after ``first()``; the process number."""
    number = os.fork()
    if number == 0:
        _live(lambda: _command(arguments, first))
    return number


def _command(arguments: Sequence[str], first: Callable[[], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    sys.argv = list(arguments)
    run = _entry(arguments[0])
    first()
    run()


def _starts_forks() -> None:
    """Let a SuperExec fork the apps that it starts."""
    from flwr.supercore.exit import exit_handler  # pyright: ignore[reportMissingImports]
    from flwr.supercore.superexec.executor import subprocess_executor  # pyright: ignore[reportMissingImports]

    def start(arguments: Sequence[str], **streams: Any) -> int:
        return _fork(arguments, exit_handler.registered_exit_handlers.clear)

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks what became of an app: its task says so
    subprocess_executor.subprocess = SimpleNamespace(Popen=start, DEVNULL=None)


def _looks_every(seconds: float) -> None:
    """Let a SuperNode look for messages so often; by itself it does every three seconds."""
    from flwr.supernode import start_client_internal as loop  # pyright: ignore[reportMissingImports]

    loop.time = SimpleNamespace(sleep=lambda wanted: time.sleep(min(wanted, seconds)))


def _await(link: Mapping[str, Any]) -> None:
    """Wait until the SuperLink hears; whoever wants a round has a timeout of its own."""
    while True:
        with suppress(OSError), socket.create_connection((link["host"], link["port"]), 1):
            return
        time.sleep(0.05)


def _watch(children: Mapping[str, int]) -> str:
    """Wait until a process ends that may not: any but a node, and a ``flwr run`` that worked; which one, in words."""
    names = {number: name for name, number in children.items()}
    while True:
        number, status = os.wait()
        name = names.get(number, "a process")
        code = os.waitstatus_to_exitcode(status)
        if not (" node " in f" {name}" or (name == "flwr run" and code == 0)):
            return f"{name} ended with status {code}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
