"""Experiments as values: TOML in, TOML out, one sentence for what is not allowed. And the command line."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fqlab import data, methods, models, partition
from fqlab.cli import main
from fqlab.errors import ConfigError
from fqlab.federation import Experiment


@given(
    rounds=st.integers(1, 99),
    lr=st.floats(1e-4, 10, allow_nan=False),
    bits=st.integers(1, 8),
    alpha=st.floats(0.01, 10),
    seed=st.integers(0, 2**40),
)
def test_toml_round_trip(rounds, lr, bits, alpha, seed):
    one = Experiment(
        method="clipped",
        rounds=rounds,
        lr=lr,
        seed=seed,
        options={"bits": bits},
        partition="dirichlet",
        split={"alpha": alpha},
    )
    assert Experiment.from_toml(one.to_toml()) == one


BAD = {
    "bits": (dict(method="clipped", options={"bits": 9}), "bits is 9.*1 to 8"),
    "zero bits": (dict(method="clipped", options={"bits": 0}), "bits is 0.*1 to 8"),
    "bits text": (dict(method="clipped", options={"bits": "4-x"}), "bits is '4-x'"),
    "epsilon": (dict(method="clipped", options={"epsilon": 1.5, "grid": "sign_magnitude"}), "epsilon is 1.5.*0 to 1"),
    "epsilon grid": (dict(method="clipped", options={"epsilon": 0.1}), "sign_magnitude"),
    "clip factor": (dict(method="clipped", options={"clip_factor": -1.0}), "clip_factor is -1.0"),
    "clip nan": (dict(method="clipped", options={"clip_factor": float("nan")}), "clip_factor is nan"),
    "method": (dict(method="magic"), "method is 'magic'.*fedavg"),
    "option": (dict(method="fedavg", options={"bits": 4}), "option 'bits' of method 'fedavg' is unknown"),
    "engine": (dict(engine="warp"), "engine is 'warp'.*serial"),
    "partition": (dict(partition="odd"), "partition is 'odd'.*iid"),
    "split": (dict(split={"beta": 1}), "split key is 'beta'.*alpha"),
    "participants": (dict(clients=5, participants=6), "participants is 6.*0 to 5"),
    "clients": (dict(clients=0), "clients is 0"),
    "rounds": (dict(rounds=1.5), "rounds is 1.5.*whole number"),
    "seed": (dict(seed=-1), "seed is -1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_values_get_one_sentence(case):
    values, pattern = BAD[case]
    with pytest.raises(ConfigError, match=pattern) as caught:
        Experiment(**values)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_unknown_key_missing_file_and_broken_toml(tmp_path):
    with pytest.raises(ConfigError, match="key 'colour'.*allowed"):
        Experiment.from_toml('colour = "red"')
    with pytest.raises(ConfigError, match="no readable file"):
        Experiment.from_toml(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="valid TOML"):
        Experiment.from_toml("= =")


def test_run_prints_a_table_and_writes_the_run(tmp_path, capsys):
    out = tmp_path / "run.json"
    flags = (
        "--method clipped --bits 4 --clip octav --rounding stochastic --dataset digits --rounds 2 --engine vectorized"
    )
    assert main(["run", *flags.split(), "--out", str(out)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["round", "accuracy", "bytes", "up", "bytes", "down", "quantization", "error"]
    stored = json.loads(out.read_text())
    assert stored["experiment"]["options"] == {"bits": 4, "clip": "octav", "rounding": "stochastic"}
    assert int(printed[2].split()[2].replace(",", "")) == stored["rounds"][1]["bytes_up"]


def test_a_file_gives_the_experiment_and_flags_override_it(tmp_path, capsys):
    file = tmp_path / "e.toml"
    file.write_text(Experiment(method="clipped", options={"bits": 2}, rounds=1, engine="vectorized").to_toml())
    out = tmp_path / "run.json"
    assert main(["run", "--config", str(file), "--seed", "3", "--out", str(out)]) == 0
    experiment = json.loads(out.read_text())["experiment"]
    assert (experiment["seed"], experiment["options"]) == (3, {"bits": 2})


@pytest.mark.parametrize(
    "flags",
    ["run --bits 9 --method clipped", "run --method no", "run --participants 11", "run --dataset no", "run --model no",
     "run --config no.toml", "run --out no/run.json", "data fetch no", "run --clients 99999", "run --epochs x"],
)  # fmt: skip
def test_bad_input_is_one_sentence_without_traceback(flags, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(flags.split()) == 2
    message = capsys.readouterr().err
    assert message.startswith("fqlab: ")
    assert message.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", methods.METHODS.names)
def test_help_explains_every_flag_and_names_what_exists(method, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", "--method", method, "--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name in (*data.DATASETS, *models.MODELS, *partition.NAMES, *methods.METHODS):
        assert re.search(rf"\b{name}\b", text), name
    for name in (*methods.options(method), *partition.settings()):
        shown = re.search(rf"--{name.replace('_', '-')} (?:VALUE|true\|false) (.*?) \(default: ", text)
        assert shown is not None, name
        assert shown[1] != name, name


def test_a_list_of_labels_keeps_its_leading_zero(tmp_path):
    out = tmp_path / "run.json"
    flags = "--partition by_label --clients 2 --holds 01234-56789 --rounds 1 --engine vectorized"
    assert main(["run", *flags.split(), "--out", str(out)]) == 0
    assert json.loads(out.read_text())["experiment"]["split"] == {"holds": "01234-56789"}
    assert main(["run", "--partition", "by_label", "--clients", "1", "--holds", "0123456789", "--rounds", "1"]) == 0
