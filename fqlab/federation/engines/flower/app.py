"""The app folder that Flower takes: two short modules that ask fqlab for their apps, and the experiment beside them."""

from __future__ import annotations

from pathlib import Path

from fqlab import __version__
from fqlab.federation.experiment import Experiment
from fqlab.files import atomic_write

__all__ = ["PACKAGE", "write_app"]

PACKAGE = "fqlab_app"
"""The Python package inside the folder."""

PROJECT = """\
[project]
name = "fqlab-app"
version = "{version}"
description = "A federation of fqlab: {method} on {dataset}"
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
checkpoint = ""    # a file on the server that is written every round; a later run resumes from it
out = ""           # a file on the server for experiment and rounds, as JSON

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


def write_app(folder: Path, experiment: Experiment, nodes: int, timeout: float) -> None:
    """Write the app folder for an experiment.

    Raises:
        OSError: if it cannot be written.
    """
    package = folder / PACKAGE
    package.mkdir(parents=True, exist_ok=True)
    values = dict(version=__version__, method=experiment.method, dataset=experiment.dataset, package=PACKAGE)
    files = {
        folder / "pyproject.toml": PROJECT.format(**values, nodes=nodes, timeout=timeout),
        package / "__init__.py": '"""A federation of fqlab."""\n',
        package / "client_app.py": CLIENT,
        package / "server_app.py": SERVER,
        package / "experiment.toml": experiment.to_toml(),
    }
    for path, text in files.items():
        atomic_write(path, text.encode())
