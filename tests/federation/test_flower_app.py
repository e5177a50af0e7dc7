"""``fqlab flower app``: a folder that Flower takes, and a page whose commands work as they stand there."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from flower_python import PYTHON, needs_flower
from fqlab import cli
from fqlab.federation import Experiment, fit
from fqlab.federation.engines.flower import network, node
from fqlab.federation.engines.flower.network import free_ports
from fqlab.files import tomllib

RUN = ["--method", "clipped", "--bits", "4", "--rounds", "2"]


def written(folder: Path, *more: str) -> Path:
    assert cli.main(["flower", "app", str(folder), *RUN, *more]) == 0
    return folder


def test_the_folder_holds_the_experiment_and_settings_that_flower_reads(tmp_path, capsys):
    app = written(tmp_path / "a" / "app", "--workers", "3", "--timeout", "30", "--out", '/srv/a "b".json')
    assert "README.md says how server and nodes are started" in capsys.readouterr().out
    project = tomllib.loads((app / "pyproject.toml").read_text())
    assert project["project"]["dependencies"] == []
    config = project["tool"]["flwr"]["app"]["config"]
    assert config == {"nodes": 3, "timeout": 30.0, "checkpoint": "", "out": '/srv/a "b".json'}
    experiment = Experiment.from_toml(app / "fqlab_app" / "experiment.toml")
    assert (experiment.method, dict(experiment.options), experiment.rounds) == ("clipped", {"bits": 4}, 2)
    settings = tomllib.loads((app / "home" / "config.toml").read_text())["superlink"]["fqlab"]
    assert settings == {"address": "127.0.0.1:9093", "root-certificates": str(app.resolve() / "certificate.pem")}
    for name in ("client_app.py", "server_app.py"):
        compile((app / "fqlab_app" / name).read_text(), name, "exec")


@pytest.mark.parametrize("address, names, bind", [
    ("10.0.0.7:9093", "IP:10.0.0.7", "--host 0.0.0.0 --port 9093"), ("lab.example:443", "DNS:lab.example", "--port 443"),
    ("[::1]:9093", "IP:::1", "--host ::1 --port 9093"),
])  # fmt: skip
def test_the_page_speaks_of_this_server_and_has_no_gap(tmp_path, address, names, bind):
    page = (written(tmp_path, "--superlink", address) / "README.md").read_text()
    assert f'subjectAltName={names}"' in page
    assert bind in page
    assert f"--superlink {address} " in page
    assert "--disable-runtime-dependency-installation" in page
    assert "--enable-supernode-auth" in page
    assert not re.search(r"\{[a-z]+\}", page)


def test_the_fingerprint_on_the_page_is_that_of_what_the_server_sends(tmp_path):
    page = (written(tmp_path, "--workers", "3") / "README.md").read_text()
    sent = Experiment(method="clipped", options={"bits": 4}, rounds=2, engine="flower", workers=3)
    assert f'experiment="{node.fingerprint(sent.to_toml())}"' in page


@pytest.mark.parametrize("arguments, words", [
    (["--certificate", "none.pem"], "certificate is 'none.pem', but no readable file is there"),
    (["--superlink", "here"], "superlink is 'here', but must be host:port"),
    (["--superlink", ":80"], "superlink is ':80', but must be host:port"),
    (["--superlink", "a:99999"], "superlink is 'a:99999', but must be host:port"),
    (["--timeout", "0"], "timeout is 0"), (["--workers", "0"], "workers is 0"),
])  # fmt: skip
def test_bad_input_is_one_sentence_and_leaves_nothing(tmp_path, capsys, arguments, words):
    assert cli.main(["flower", "app", str(tmp_path / "app"), *RUN, *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not (tmp_path / "app").exists()


@pytest.mark.parametrize("place", ["DIR", "certificate"])
def test_special_files_are_refused_in_a_sentence(tmp_path, capsys, place):
    """A link to itself, a file for a folder and a folder for a file, names that no file system takes."""
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for name in ("loop", "file" if place == "DIR" else "folder", "x" * 300, "\ud800", "a\0b"):
        folder = tmp_path / name if place == "DIR" else tmp_path / "app"
        arguments = [] if place == "DIR" else ["--certificate", str(tmp_path / name)]
        assert cli.main(["flower", "app", str(folder), *RUN, *arguments]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"fqlab: {place} is ")
        assert said.count("\n") == 1
    assert not (tmp_path / "app").exists()


@pytest.mark.parametrize("name", ["loop", "file", "file/x", "x" * 300, "\ud800", "a\0b", ""])
def test_figures_go_into_a_folder_or_are_refused_in_a_sentence(tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").touch()
    assert cli.main(["figures", "--out", name]) == 2
    said = capsys.readouterr().err
    assert said.startswith("fqlab: out is ")
    assert len(said) < 200
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop"]


def test_without_flower_a_run_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(network, "find_spec", lambda name: None)
    assert cli.main(["run", "--engine", "flower", "--rounds", "1"]) == 2
    said = capsys.readouterr()
    assert said.err == "fqlab: engine is 'flower', but Flower is not installed: pip install 'fqlab[flower]'.\n"
    assert said.out == ""


def test_flower_alone_asks_for_what_it_can_do(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["flower"])
    assert "{app}" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main(["flower", "app", str(tmp_path / "file" / "app"), *RUN]) == 2
    assert "DIR is " in capsys.readouterr().err


def blocks(page: Path) -> list[str]:
    """The commands of the page, block by block: environment, certificate, key, SuperLink, register, SuperNode, run."""
    return re.findall(r"^```bash\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@needs_flower
@pytest.mark.long
@pytest.mark.skipif(
    not (shutil.which("openssl") and shutil.which("ssh-keygen")), reason="no openssl or ssh-keygen here"
)
def test_the_commands_of_the_page_run_a_federation_with_tls_and_registered_nodes(tmp_path):
    app = written(
        tmp_path / "app", "--workers", "1", "--superlink", f"127.0.0.1:{free_ports(1)[0]}", "--out", "run.json"
    )
    out = tmp_path / "run.json"
    project = app / "pyproject.toml"
    project.write_text(project.read_text().replace('out = "run.json"', f"out = {json.dumps(str(out))}"))
    quiet, certificate, key, link, register, supernode, run = blocks(app / "README.md")
    environment = {
        **os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1]), "FLWR_HOME": str(app / "home"),
        "PATH": f"{Path(PYTHON).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    shared = dict(cwd=app, env=environment, start_new_session=True)
    do = lambda text: subprocess.run(
        ["bash", "-ec", quiet + text], capture_output=True, text=True, timeout=300, **shared
    )
    background = []
    try:
        for text in (certificate, key):
            assert do(text).returncode == 0
        with open(app / "log.txt", "w") as log:
            begin = lambda text: subprocess.Popen(["bash", "-ec", quiet + text], stdout=log, stderr=log, **shared)
            background.append(begin(link))
            end = time.monotonic() + 120
            while "registered" not in (said := do(register)).stdout:
                assert time.monotonic() < end, said.stdout + said.stderr
            background.append(begin(supernode))
            assert "round 2: accuracy" in (said := do(run)).stdout, said.stdout + said.stderr
    finally:
        for process in reversed(background):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    ours = json.loads(out.read_text())["rounds"]
    serial = fit(Experiment(method="clipped", options={"bits": 4}, rounds=2)).rounds
    assert [r["accuracy"] for r in ours] == pytest.approx([r.accuracy for r in serial], abs=0.02)
    assert [r["bytes_up"] for r in ours] == pytest.approx([r.bytes_up for r in serial], rel=0.02)
