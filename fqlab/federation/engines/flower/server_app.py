"""The ServerApp that Flower runs beside the SuperLink: the post office of a loop elsewhere, or the loop itself."""

from __future__ import annotations

import logging
import os
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any

from fqlab.errors import FqlabError, NetworkError, in_range
from fqlab.federation.engines.flower.bundle import Bundle
from fqlab.federation.engines.flower.grid import GridPost

__all__ = ["KEY", "RELAY", "make", "relay"]

RELAY, KEY = "FQLAB_FLOWER_RELAY", "FQLAB_FLOWER_KEY"
"""Environment variables: where the loop listens (a port of this machine), and the secret that opens its door."""


def make(experiment: Path) -> Any:
    """The app, to stand as ``app`` in a module that Flower loads; ``experiment`` is the TOML file beside it."""
    from flwr.serverapp import ServerApp  # pyright: ignore[reportMissingImports]

    app = ServerApp()

    def main(grid: Any, context: Any) -> None:
        settings = context.run_config
        nodes = in_range("nodes", settings["nodes"], 1, integer=True)
        timeout = in_range("timeout", settings["timeout"], 1, 86400)
        if RELAY in os.environ:
            with Client(("127.0.0.1", int(os.environ[RELAY])), authkey=bytes.fromhex(os.environ[KEY])) as line:
                relay(line, GridPost(grid, nodes, timeout))
        else:
            whole_run(GridPost(grid, nodes, timeout), experiment, str(settings["checkpoint"]), str(settings["out"]))

    app.main()(main)
    return app


def relay(line: Any, post: GridPost) -> None:
    """Carry rounds between a loop in another process and the nodes, until that process closes the line."""
    joined = False
    try:
        while data := line.recv_bytes():
            try:
                if not joined:
                    post.join(line.poll)
                    joined = True
                request = Bundle.from_bytes(data)
                replies = post.exchange(_parted(request), line.poll)
                answer = None if replies is None else _joined(request.header["number"], dict(replies))
            except NetworkError as error:
                answer = Bundle({"number": Bundle.from_bytes(data).header["number"], "error": str(error)})
            if answer is not None:
                line.send_bytes(answer.to_bytes())
    except (EOFError, ConnectionError):
        return


def _parted(request: Bundle) -> dict[int, Bundle]:
    """The messages for single nodes that a request is made of."""
    return {node: Bundle.from_bytes(data) for node, data in zip(request.header["nodes"], request.packets, strict=True)}


def _joined(number: int, replies: dict[int, Bundle | str]) -> Bundle:
    """All replies as one: those of nodes as packets, the reasons of the others in the header."""
    there = {node: reply for node, reply in replies.items() if isinstance(reply, Bundle)}
    reasons = [[node, reply] for node, reply in replies.items() if isinstance(reply, str)]
    header = {"number": number, "nodes": list(there), "reasons": reasons}
    return Bundle(header, [reply.to_bytes() for reply in there.values()])


def whole_run(post: GridPost, experiment: Path, checkpoint: str, out: str) -> None:
    """The experiment from its first round to its last, printed as it goes; ``checkpoint`` and ``out`` may be empty."""
    from fqlab.federation import Experiment, Federation
    from fqlab.federation.engines.flower.app import as_sent
    from fqlab.files import write_or_keep

    try:
        wanted = as_sent(Experiment.from_toml(experiment), post.nodes)
        federation = Federation(wanted, checkpoint=checkpoint or None)
        federation.simulation.services.get("flower", lambda: post)
        post.join()
        for r in federation:
            print(f"round {r.index}: accuracy {r.accuracy:.4f}, {r.bytes_up:,} bytes up, {r.bytes_down:,} bytes down")
            for who in r.left_out:
                print(f"  left out: {who}")
        if out:
            write_or_keep(Path(out), federation.history().to_json().encode(), "out")
    except FqlabError as error:
        print(f"fqlab: {error}")
        logging.getLogger("flwr").addFilter(_untraced)
        raise


def _untraced(record: logging.LogRecord) -> bool:
    """Let Flower say that the app has failed, without thirty lines of where: what went wrong is in one sentence above."""
    record.exc_info = None
    return True
