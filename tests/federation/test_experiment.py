"""Experiments as values: TOML in, TOML out, one sentence for what is not allowed. And the command line."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fqlab import cli, data, files, methods, models, partition
from fqlab.cli import main
from fqlab.errors import ConfigError
from fqlab.federation import Experiment, Federation, fit
from fqlab.federation.engines import ClientTask


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


def test_an_experiment_is_a_value():
    """One dictionary, changed between three experiments, and from outside afterwards."""
    options = {"bits": [4, 2]}
    split = {"alpha": 0.1}
    experiments = []
    for bits in (2, 3, 4):
        options["bits"] = bits
        experiments.append(Experiment(method="clipped", options=options, partition="dirichlet", split=split))
    options["bits"] = split["alpha"] = 8
    assert [e.options["bits"] for e in experiments] == [2, 3, 4]
    assert [e.split["alpha"] for e in experiments] == [0.1] * 3
    for table in (experiments[0].options, experiments[0].split):
        with pytest.raises(TypeError, match="does not support item assignment"):
            table["bits"] = 1
    plain = experiments[0].to_dict()
    plain["options"]["bits"] = 7
    assert experiments[0].options["bits"] == 2
    assert (
        experiments[0] == Experiment.from_toml(experiments[0].to_toml()) == pickle.loads(pickle.dumps(experiments[0]))
    )
    assert len({*experiments, experiments[0], copy.deepcopy(experiments[1]), dataclasses.replace(experiments[2])}) == 3


def test_lists_are_fixed_too_and_travel():
    widths = [4, 2]
    one = Experiment(method="clipped", options={"bits": widths})
    widths[0] = 8
    assert one.options["bits"] == (4, 2)
    assert one.to_dict()["options"] == {"bits": [4, 2]}
    assert Experiment.from_toml(one.to_toml()) == one


def test_numpy_numbers_become_pythons():
    one = Experiment(
        method="clipped", rounds=np.int64(3), lr=np.float32(0.5), options={"bits": np.int64(4)}, seed=np.uint8(7),
        partition="dirichlet", split={"alpha": np.float64(0.1)},
    )  # fmt: skip
    assert one == Experiment.from_toml(one.to_toml())
    assert json.loads(json.dumps(one.to_dict()))["options"] == {"bits": 4}
    assert [type(v) for v in (one.rounds, one.lr, one.seed, one.options["bits"], one.split["alpha"])] == [
        int, float, int, int, float,
    ]  # fmt: skip


@pytest.mark.parametrize("name", partition.NAMES)
def test_a_setting_that_changes_nothing_is_refused(name):
    for key, default in partition.settings().items():
        if key in partition.USES[name]:
            assert Experiment(partition=name, split={key: default}).split[key] == default
        else:
            with pytest.raises(ConfigError, match=f"{key} is .*, but partition '{name}' does not use it; choose '"):
                Experiment(partition=name, split={key: default})


@pytest.mark.parametrize("name", ["dirichlet", "quantity_skew", "n_class", "by_label"])
def test_every_setting_that_is_used_changes_the_shares(name):
    """The table of uses is true: another value, another split."""
    digits = data.load("digits")
    others = {
        "alpha": 0.05,
        "classes_per_client": 3,
        "samples_per_class": 10,
        "balance": 0.5,
        "distinct": True,
        "holds": "01234-56789",
    }
    plain = partition.split(name, digits, 10, 0)
    for key, value in others.items():
        changed = partition.split(name, digits, 10, 0, **{key: value})
        same = all(np.array_equal(a, b) for a, b in zip(plain, changed, strict=True))
        assert same == (key not in partition.USES[name]), key


@pytest.mark.parametrize("values, words", [
    ("options = 3", "options is 3, but must be a table"), ("split = [1]", "split is .1,., but must be a table"),
    ("method = 3", "method is 3"), ("rounds = 1970-01-01", "rounds is datetime"), ("a = " + "[" * 5000, "valid TOML"),
    ("seed = " + "9" * 5000, "valid TOML"), ("seed = 0x" + "f" * 5000, "seed is a whole number of 20000 bits"),
    ("weight_decay = inf", "weight_decay is inf"), ('"' + "k" * 10_000 + '" = 1', "is unknown"),
    ('method = "' + "m" * 10_000 + '"', "method is 'mmm"), ("clients = true", "clients is True"),
    ('partition = "iid"\n[split]\nalpha = 0.01', "alpha is 0.01, but partition 'iid' does not use it"),
])  # fmt: skip
def test_hostile_toml_gets_one_short_sentence(values, words):
    with pytest.raises(ConfigError, match=words) as caught:
        Experiment.from_toml(values)
    assert len(str(caught.value)) < 500
    assert "\n" not in str(caught.value)


def test_files_in_other_encodings(tmp_path):
    text = 'method = "clipped"  # é\n'
    for name, content in {"bom": b"\xef\xbb\xbf" + text.encode(), "dos": text.replace("\n", "\r\n").encode()}.items():
        (tmp_path / name).write_bytes(content)
        assert Experiment.from_toml(tmp_path / name).method == "clipped"
    for encoding in ("latin-1", "utf-16"):
        (tmp_path / "other").write_bytes(text.encode(encoding))
        with pytest.raises(ConfigError, match="must be valid TOML: 'utf-8' codec can't decode"):
            Experiment.from_toml(tmp_path / "other")
    (tmp_path / "long").write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(ConfigError, match="no readable file is there .it is longer than"):
        Experiment.from_toml(tmp_path / "long")
    with pytest.raises(ConfigError, match="no readable file is there .Is a directory"):
        Experiment.from_toml(tmp_path)


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


def test_a_data_set_is_made_smaller_by_flags_and_file(tmp_path, capsys):
    file = tmp_path / "e.toml"
    file.write_text(Experiment(reduce={"train": 500, "test": 90}, rounds=1, engine="vectorized").to_toml())
    out = tmp_path / "run.json"
    assert main(["run", "--config", str(file), "--train", "200", "--side", "4", "--out", str(out)]) == 0
    stored = json.loads(out.read_text())
    assert stored["experiment"]["reduce"] == {"train": 200, "test": 90, "side": 4}
    assert main(["run", "--train", "99999", "--rounds", "1"]) == 2
    assert "train is 99999" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["fedmpq", "aqfl", "fedmpq_plus"])
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("", True),
        ("--seeds 2", True),
        ("--model resnet8", False),
        ("--update latent", False),
        ("--update frozen", False),
    ],
)
def test_who_trains_whole_digits_without_norms_is_told(method, flags, said, capsys):
    run = f"run --method {method} --rounds 1 --clients 2 --engine serial --train 200 {flags}"
    assert main(run.split()) == 0
    shown = capsys.readouterr()
    assert ("note: update is 'integer'" in shown.err) is said
    assert "note" not in shown.out


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
     "run --alpha .01", "run --config no.toml", "run --out no/run.json", "data fetch no", "run --clients 99999", "run --epochs x"],
)  # fmt: skip
def test_bad_input_is_one_sentence_without_traceback(flags, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(flags.split()) == 2
    message = capsys.readouterr().err
    assert message.startswith("fqlab: ")
    assert message.count("\n") == 1
    assert not list(tmp_path.iterdir())


RUN = [sys.executable, "-m", "fqlab.cli", "run", "--engine", "vectorized"]


@pytest.mark.parametrize("also", [False, True])
def test_a_reader_that_leaves_early_does_not_cost_the_result(tmp_path, also):
    """``fqlab run --out h.json | head -1``, also with ``2>&1``."""
    out = tmp_path / "h.json"
    error = subprocess.STDOUT if also else subprocess.PIPE
    with subprocess.Popen([*RUN, "--rounds", "8", "--out", str(out)], stdout=subprocess.PIPE, stderr=error) as run:
        run.stdout.readline()
        run.stdout.close()
        complaint = b"" if also else run.stderr.read()
        assert run.wait(timeout=120) == 0
    assert b"Broken" not in complaint
    assert len(json.loads(out.read_text())["rounds"]) == 8


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="this system cannot hold back a signal")
def test_ctrl_c_does_not_meet_an_import_half_way():
    done = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            with cli._uninterrupted():
                signal.raise_signal(signal.SIGINT)
                done.append("imported")
            done.append("and gone on")
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == ["imported"]


def test_ctrl_c_keeps_the_rounds_that_there_are(tmp_path):
    out = tmp_path / "h.json"
    flags = ["--rounds", "100000", "--out", str(out)]
    # A shell that runs the tests in its background has them ignore Ctrl-C, and so would a child.
    listen = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*RUN, *flags], **pipes, preexec_fn=listen) as run:
        while not run.stdout.readline().startswith("    3"):
            pass
        run.send_signal(signal.SIGINT)
        try:
            rest, complaint = run.communicate(timeout=120)
        finally:
            run.kill()
    assert run.returncode == 130
    rounds = json.loads(out.read_text())["rounds"]
    assert [r["index"] for r in rounds] == list(range(1, len(rounds) + 1))
    assert f"fqlab: stopped after {len(rounds)} of 100000 rounds; they are in {out}" in complaint
    assert complaint.count("stopped") == 1
    assert rest.splitlines()[-1].split()[0] == "total"


@pytest.mark.parametrize(
    "flags, words",
    [("--out {folder}", "out is .* that is a folder"), ("--out no/x", "out is 'no/x', but its folder does not exist"),
     ("--checkpoint no/x", "checkpoint is 'no/x', but its folder"), ("--out ''", "out is '', but must be the name"),
     ("--checkpoint {folder}", "checkpoint is .* that is a folder"), ("--config ''", "config is ''"),
     ("--config ~nobody-of-this-name/e.toml", "no such home folder")],
)  # fmt: skip
def test_where_a_result_goes_is_checked_before_training(flags, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_train", lambda *_: pytest.fail("it trained"))
    assert main(["run", *[part.strip("'").format(folder=tmp_path) for part in flags.split()]]) == 2
    assert re.search(words, capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_a_result_that_cannot_be_written_at_the_end_is_kept(tmp_path, monkeypatch, capsys):
    """The folder is there before training, and gone after it."""
    (tmp_path / "gone").mkdir()
    monkeypatch.setattr(files.tempfile, "gettempdir", lambda: str(tmp_path))
    real = cli._finish
    monkeypatch.setattr(cli, "_finish", lambda *a, **k: (tmp_path / "gone").rmdir() or real(*a, **k))
    assert main(["run", "--rounds", "1", "--engine", "vectorized", "--out", str(tmp_path / "gone/h.json")]) == 2
    message = capsys.readouterr().err
    kept = re.search(
        r"could not be written .No such file or directory.; the result is in (.*)\.$", message, re.MULTILINE
    )
    assert len(json.loads(Path(kept[1]).read_text())["rounds"]) == 1


def test_long_names_home_and_devices_take_results(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("x" * 250, "h.json"):
        assert main(["run", "--rounds", "1", "--engine", "vectorized", "--out", f"~/{name}"]) == 0
        assert json.loads((tmp_path / name).read_text())["rounds"]
    assert main(["run", "--rounds", "1", "--engine", "vectorized", "--out", "/dev/null"]) == 0
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("flags", ["--rou 3", "--me lottery", "--con x"])
def test_flags_are_not_guessed(flags, capsys):
    with pytest.raises(SystemExit):
        main(["run", *flags.split()])
    assert "unrecognized arguments" in capsys.readouterr().err


@pytest.mark.parametrize("method", methods.METHODS.names)
def test_help_explains_every_flag_and_names_what_exists(method, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", "--method", method, "--help"])
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for name in (*data.DATASETS, *models.MODELS, *partition.NAMES, *methods.METHODS):
        assert re.search(rf"\b{name}\b", text), name
    assert "object at 0x" not in text
    for name in (*methods.options(method), *partition.settings(), "side", "train", "test"):
        shown = re.search(rf"--{name.replace('_', '-')} (?:VALUE|true\|false) (.*?) \(default: ", text)
        assert shown is not None, name
        assert shown[1] != name, name


def test_a_list_of_labels_keeps_its_leading_zero(tmp_path):
    out = tmp_path / "run.json"
    flags = "--partition by_label --clients 2 --holds 01234-56789 --rounds 1 --engine vectorized"
    assert main(["run", *flags.split(), "--out", str(out)]) == 0
    assert json.loads(out.read_text())["experiment"]["split"] == {"holds": "01234-56789"}
    assert main(["run", "--partition", "by_label", "--clients", "1", "--holds", "0123456789", "--rounds", "1"]) == 0


@pytest.mark.parametrize("engine", ["serial", "vectorized"])
def test_a_last_batch_that_is_not_full_can_be_left_out(engine):
    """Digits: 1437 samples and 5 clients, so 287 or 288 each: four full batches of 64 an epoch, 32 or 31 samples left."""
    e = Experiment(clients=5, rounds=1, epochs=2, batch_size=64, drop_last=True, engine=engine)
    simulation = Federation(e).simulation
    task = ClientTask(0, 1, b"")
    plan = simulation.plan(simulation.client(task, simulation.model))
    assert [len(batch) for batch in plan] == [64] * 8
    assert all(len(np.unique(np.concatenate(plan[k : k + 4]))) == 256 for k in (0, 4))
    assert Experiment.from_toml(e.to_toml()) == e
    assert fit(e).accuracy > 0.1


@pytest.mark.parametrize(
    "flag", ["--dataset=os:system", "--model=os:system", "--model=builtins:dict", "--dataset=builtins:dict"]
)
def test_a_function_that_makes_no_data_or_network_is_said(flag, capsys):
    assert main(["run", "--rounds=1", "--engine=serial", flag]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"fqlab: {flag[2:].partition('=')[0]} ")
    assert len(told) < 500


@pytest.mark.parametrize("hostile", ["x" * 10**5, "9" * 5000, "\x1b[31m"])
def test_what_no_flag_can_hold_is_not_repeated_at_length(hostile, capsys):
    for arguments in (["run", f"--seeds={hostile}"], [hostile], ["run", hostile], ["run", f"--{hostile}=1"]):
        with contextlib.suppress(SystemExit):
            assert main(arguments) == 2
        assert len(capsys.readouterr().err.rpartition("error: ")[2]) < 700
