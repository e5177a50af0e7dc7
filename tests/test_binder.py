"""What Binder would build, read from the Dockerfile that repo2docker prints without a container engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from fqlab.lessons import launch

ROOT = Path(__file__).resolve().parent.parent
BINDER = ROOT / "binder"
REQUIREMENTS = [
    line for line in (BINDER / "requirements.txt").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"
]
if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture(scope="module")
def dockerfile() -> str:
    if find_spec("repo2docker") is None:
        pytest.skip("repo2docker is not installed: pip install jupyter-repo2docker")
    command = [sys.executable, "-m", "repo2docker", "--no-build", "--debug", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_python_is_the_one_named(dockerfile: str) -> None:
    major, minor = (BINDER / "runtime.txt").read_text(encoding="utf-8").strip().removeprefix("python-").split(".")
    assert f"environment-2epy-2d{major}-2e{minor}-2d" in dockerfile


def test_requirements_come_before_the_repository_and_postbuild_after(dockerfile: str) -> None:
    install = dockerfile.index('pip install --no-cache-dir -r "binder/requirements.txt"')
    copy = re.search(r"^COPY .*src/ \$\{REPO_DIR\}", dockerfile, re.MULTILINE)
    assert copy is not None, "the repository is never copied into the image"
    # Before: a commit that leaves the requirements alone reuses the layer with all packages in it.
    assert install < copy.start() < dockerfile.index("RUN ./binder/postBuild")


def test_torch_is_the_cpu_build() -> None:
    assert "--extra-index-url https://download.pytorch.org/whl/cpu" in REQUIREMENTS
    torch = [line for line in REQUIREMENTS if re.match(r"torch\b", line)]
    assert len(torch) == 1
    assert re.fullmatch(r"torch==[\d.]+\+cpu", torch[0]), "without +cpu a missing wheel falls back to the CUDA build"


def test_every_requirement_is_pinned_and_none_is_local() -> None:
    packages = [line for line in REQUIREMENTS if not line.startswith("--extra-index-url")]
    assert [line for line in packages if not re.fullmatch(r"[A-Za-z0-9_-]+==[\w.+]+", line)] == []


def test_the_pins_satisfy_the_package() -> None:
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = dict(line.split("==") for line in REQUIREMENTS if "==" in line)
    python = (BINDER / "runtime.txt").read_text(encoding="utf-8").strip().removeprefix("python-")
    for needed in map(Requirement, project["dependencies"]):
        if needed.marker is None or needed.marker.evaluate({"python_version": python}):
            assert needed.name in pins, f"{needed.name} is needed and not pinned in binder/requirements.txt"
            assert needed.specifier.contains(pins[needed.name])


@pytest.mark.skipif(not find_spec("jupyterlab"), reason="needs JupyterLab: pip install 'fqlab[lab]'")
def test_postbuild_stops_at_the_first_failure_installs_only_the_package_and_saves_as_make_lab_does() -> None:
    lines = (BINDER / "postBuild").read_text(encoding="utf-8").splitlines()
    commands = [line for line in lines if line and not line.startswith("#")]
    assert commands[:2] == ["set -e", "pip install --no-deps ."]
    assert not any("install" in command for command in commands[2:])
    (settings,) = re.findall(r"echo '(.*)' > \"\$settings/jupyter_server_config.json\"", commands[-1])
    hook = json.loads(settings)["ContentsManager"]["pre_save_hook"]
    assert f"--ContentsManager.pre_save_hook={hook}" in launch.command()


def test_every_data_file_of_the_package_is_installed_with_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["fqlab"]
    taken = {path for pattern in patterns for path in (ROOT / "fqlab").glob(pattern)}
    files = [path for path in (ROOT / "fqlab").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert [path for path in files if path.suffix != ".py" and path not in taken] == []
    modules = {path.parent for path in files if path.suffix == ".py"}
    assert [folder for folder in modules if not (folder / "__init__.py").exists()] == []


def test_the_badge_of_the_readme_opens_the_tour() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "https://mybinder.org/v2/gh/fqlab/fqlab/main?urlpath=lab/tree/notebooks/00_tour.ipynb" in readme
