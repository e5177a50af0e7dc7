"""The app folder that Flower takes: two short modules that ask fqlab for their apps, and the experiment beside them."""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import tomli_w

from fqlab import __version__
from fqlab.errors import ConfigError, shown
from fqlab.federation.engines.flower.node import fingerprint
from fqlab.federation.experiment import Experiment
from fqlab.files import atomic_write, expand, read_bytes

__all__ = ["PACKAGE", "Server", "as_sent", "write_app", "write_own"]

PACKAGE = "fqlab_app"
"""The Python package inside the folder."""

LARGEST_CERTIFICATE = 2**20
"""Bytes."""

PROJECT = """\
[project]
name = "fqlab-app"
version = "{version}"
description = "A federation of fqlab: {method} on {dataset}"
license = "MIT"
# Every machine has fqlab and PyTorch already; Flower must not fetch them while it runs.
dependencies = []

[tool.flwr.app]
publisher = "fqlab"

[tool.flwr.app.components]
serverapp = "{package}.server_app:app"
clientapp = "{package}.client_app:app"

[tool.flwr.app.config]
nodes = {nodes}          # SuperNodes; client c lives on the one whose partition-id is c modulo nodes
timeout = {timeout}      # seconds that a round may take, and that the first one waits for nodes to join
checkpoint = {checkpoint}    # a file on the server that is written every round; a later run resumes from it
out = {out}           # a file on the server for experiment and rounds, as JSON

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["{package}"]
"""
CLIENT = '''"""What Flower runs on every node."""

from fqlab.federation.engines.flower import client_app

app = client_app.make()
'''
SERVER = '''"""What Flower runs beside the SuperLink."""

from pathlib import Path

from fqlab.federation.engines.flower import server_app

app = server_app.make(Path(__file__).with_name("experiment.toml"))
'''


@dataclass(frozen=True)
class Server:
    """Where the SuperLink of a federation of one's own is found.

    Args:
        address: ``host:port``.
        certificate: the file of the certificate that it shows.

    Raises:
        ConfigError: if the address is none.
    """

    address: str
    certificate: Path

    def __post_init__(self) -> None:
        host, _, port = self.address.rpartition(":")
        if not host.strip("[]") or not port.isdigit() or not 0 < int(port) < 65536:
            raise ConfigError(f"superlink is {shown(self.address)}, but must be host:port, such as 10.0.0.1:9093.")

    @classmethod
    def of(cls, address: str, certificate: str | None, folder: Path) -> Server:
        """The server at ``address``; its certificate is a file that exists, or one to be made in the app's folder.

        Raises:
            ConfigError: if a certificate is named, but cannot be read.
        """
        if certificate is None:
            return cls(address, Path(os.path.realpath(folder)) / "certificate.pem")
        place = expand(certificate, "certificate")
        try:
            read_bytes(place, LARGEST_CERTIFICATE)
        except OSError as error:
            message = f"certificate is {shown(certificate)}, but no readable file is there ({error.strerror})."
            raise ConfigError(message) from None
        return cls(address, Path(os.path.realpath(place)))

    def settings(self) -> str:
        """Flower's settings for whoever runs the app, as TOML."""
        place = {"address": self.address, "root-certificates": str(self.certificate)}
        return tomli_w.dumps({"superlink": {"default": "fqlab", "fqlab": place}})


def write_app(folder: Path, experiment: Experiment, nodes: int, timeout: float, **places: str) -> None:
    """Write the app folder for an experiment.

    Args:
        places: ``checkpoint`` and ``out``, files on the server.

    Raises:
        OSError: if it cannot be written.
    """
    package = folder / PACKAGE
    package.mkdir(parents=True, exist_ok=True)
    values = dict(version=__version__, method=experiment.method, dataset=experiment.dataset, package=PACKAGE)
    where = {name: json.dumps(places.get(name, "")) for name in ("checkpoint", "out")}
    texts = {
        folder / "pyproject.toml": PROJECT.format(**values, **where, nodes=nodes, timeout=timeout),
        folder / ".gitignore": "home/\n*.key\n*.pem\n*.pub\n",
        package / "__init__.py": '"""A federation of fqlab."""\n',
        package / "client_app.py": CLIENT,
        package / "server_app.py": SERVER,
        package / "experiment.toml": experiment.to_toml(),
    }
    for path, text in texts.items():
        atomic_write(path, text.encode())


def write_own(folder: Path, experiment: Experiment, server: Server, nodes: int, timeout: float, **places: str) -> None:
    """:func:`write_app`, Flower's settings for this server, and a page that says how everything is started.

    Raises:
        OSError: if it cannot be written.
    """
    write_app(folder, experiment, nodes, timeout, **places)
    (folder / "home").mkdir(exist_ok=True)
    atomic_write(folder / "home" / "config.toml", server.settings().encode())
    host, _, port = server.address.rpartition(":")
    bare = host.strip("[]")
    local = bare in ("localhost", "127.0.0.1", "::1")
    words = {
        "superlink": server.address, "host": bare, "port": port, "bind": bare if local else "0.0.0.0",
        "names": f"{'IP' if _is_number(bare) else 'DNS'}:{bare}", "nodes": str(nodes), "last": str(nodes - 1),
        "fingerprint": fingerprint(as_sent(experiment, nodes).to_toml()),
    }  # fmt: skip
    text = Path(__file__).with_name("OWN.md").read_text(encoding="utf-8")
    for name, word in words.items():
        text = text.replace("{" + name + "}", word)
    atomic_write(folder / "README.md", text.encode())


def _is_number(host: str) -> bool:
    """Whether a host is named by its IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def as_sent(experiment: Experiment, nodes: int) -> Experiment:
    """The experiment as the server runs it and sends it to nodes."""
    return replace(experiment, engine="flower", workers=nodes)
