"""Several seeds, two runs side by side, and a run from a ticket: as values and on the command line."""

from __future__ import annotations

import json
import statistics

import pytest

from fqlab import panels
from fqlab.cli import main
from fqlab.errors import ConfigError
from fqlab.federation import Experiment, fit
from fqlab.federation.repeats import compare, read_run
from fqlab.panels import PANELS, ticket
from fqlab.panels.shared import experiment_of


def ticket_of(name: str, **settings) -> str:
    panel = getattr(panels, name)
    return ticket.write(panel.name, panel.version, panel.State(**settings))


FLAGS = ["--rounds", "2", "--clients", "3", "--engine", "vectorized"]


def run(*flags: str) -> int:
    return main(["run", *FLAGS, *flags])


def test_seeds_give_mean_and_spread_of_runs_that_could_be_run_alone(tmp_path, capsys):
    out = tmp_path / "run.json"
    assert run("--seeds", "3", "--seed", "5", "--out", str(out)) == 0
    alone = [fit(Experiment(rounds=2, clients=3, engine="vectorized", seed=seed)) for seed in (5, 6, 7)]
    accuracies = [history.accuracy for history in alone]
    stored = json.loads(out.read_text())
    assert stored["seeds"] == [5, 6, 7]
    assert stored["summary"]["accuracy"]["mean"] == pytest.approx(statistics.mean(accuracies))
    assert stored["summary"]["accuracy"]["spread"] == pytest.approx(statistics.stdev(accuracies))
    assert [r["rounds"][-1]["accuracy"] for r in stored["runs"]] == accuracies
    head, _, last, total = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["round", "accuracy", "±", "spread"]
    assert last.split()[1] == total.split()[1] == f"{statistics.mean(accuracies):.4f}"
    assert last.split()[2] == total.split()[2] == f"{statistics.stdev(accuracies):.4f}"


def test_each_seed_resumes_from_a_checkpoint_of_its_own(tmp_path):
    flags = ["--seeds", "2", "--checkpoint", str(tmp_path / "c.safetensors"), "--out"]
    assert run(*flags, str(tmp_path / "a.json")) == 0
    assert sorted(p.name for p in tmp_path.glob("c*")) == ["c-seed0.safetensors", "c-seed1.safetensors"]
    assert run(*flags, str(tmp_path / "b.json")) == 0
    strip = lambda name: [r["rounds"] for r in json.loads((tmp_path / name).read_text())["runs"]]
    assert strip("a.json") == strip("b.json")


def test_two_runs_side_by_side(tmp_path, capsys):
    left, right = tmp_path / "a.json", tmp_path / "b.json"
    assert run("--out", str(left), "--entropy", "true") == 0
    assert run("--method", "fedpaq", "--bits", "1", "--seeds", "2", "--out", str(right)) == 0
    difference = compare(read_run(left), read_run(right))
    assert difference.settings == {
        "method": ("fedavg", "fedpaq"), "entropy": (True, False), "seed": ("0", "0, 1"), "bits": (None, 1),
    }  # fmt: skip
    assert difference.measures["bytes_down"][0][0] == difference.measures["bytes_down"][1][0]
    capsys.readouterr()
    assert main(["compare", str(left), str(right)]) == 0
    lines = {line[:26].strip(): line.split() for line in capsys.readouterr().out.splitlines()}
    up = [difference.measures["bytes_up"][k][0] for k in (0, 1)]
    assert lines["bytes up"][2:] == [f"{up[0]:,.0f}", f"{up[1]:,.0f}", "×", f"{up[1] / up[0]:.3g}"]
    assert lines["bits"] == ["bits", "-", "1"]
    assert lines["seed"] == ["seed", "0", "0,", "1"]
    assert lines["accuracy, last round"].count("±") == 1  # one seed says nothing of the spread
    assert lines["bytes up, entropy-coded"][-1] == "-"  # the one measured it, the other did not
    assert main(["compare", str(right), str(right)]) == 0
    assert "coded" not in capsys.readouterr().out


@pytest.mark.parametrize("seeds", ["1", "2"])
def test_a_round_that_is_not_evaluated_has_a_dash(seeds, capsys):
    assert run("--evaluate-every", "2", "--seeds", seeds) == 0
    out = capsys.readouterr().out
    assert "nan" not in out
    first, second = (line.split() for line in out.splitlines()[-3:-1])
    assert (first[1], second[0]) == ("-", "2")
    assert float(second[1]) > 0


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"runs": []}', '{"experiment": {}, "rounds": [{}]}'])
def test_what_holds_no_run_is_named(text, tmp_path):
    path = tmp_path / "x.json"
    if text is not None:
        path.write_text(text)
    missing = "no readable file is there" if text is None else "must be a file that 'fqlab run --out' wrote"
    with pytest.raises(ConfigError, match=f"run is '.*', but {missing}"):
        read_run(path)


def test_a_ticket_runs_what_the_panel_shows(tmp_path):
    code = ticket_of("tour", bits=1, grid="midrise", seed=7)
    wanted = experiment_of(code)
    assert (wanted.options["bits"], wanted.options["grid"], wanted.seed) == (1, "midrise", 7)
    out = tmp_path / "run.json"
    assert main(["run", "--ticket", code, "--rounds", "1", "--out", str(out)]) == 0
    assert json.loads(out.read_text())["experiment"] == {**wanted.to_dict(), "rounds": 1}


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [(["--ticket", ticket_of("quantizer")], "trains no federation"),
     (["--ticket", "nothing-1"], "panel of the ticket is 'nothing', but must be one of tour"),
     (["--ticket", "tour-111"], "ticket is 'tour-111'"),
     (["--ticket", "tour-1", "--config", "x.toml"], "choose one of them"), (["--seeds", "0"], "seeds is 0")],
)  # fmt: skip
def test_bad_flags_get_one_sentence(flags, sentence, capsys):
    assert main(["run", *flags]) == 2
    message = capsys.readouterr().err
    assert sentence in message
    assert message.count("\n") == 1


TRAINED = {"tour", "drift", "clipped", "robustness", "precision", "lottery", "frontier", "figures"}


@pytest.mark.parametrize("name", PANELS)
def test_a_panels_ticket_gives_its_federation_or_says_that_it_has_none(name):
    code = ticket_of(name)
    if name in TRAINED:
        assert isinstance(experiment_of(code), Experiment)
    else:
        with pytest.raises(ConfigError, match=f"the panel '{name}' trains no federation"):
            experiment_of(code)
