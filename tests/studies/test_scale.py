"""Long runs: killed and started again they end bit for bit where an unbroken run ends, and keep what decided them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fqlab.errors import ConfigError, DataError
from fqlab.federation import Experiment, Federation
from fqlab.methods.fedmpq import ABLATION
from fqlab.studies.scale import bsq, fedmpq, lottery, rivals, store
from fqlab.studies.scale.__main__ import SOURCES, queue
from fqlab.studies.scale.lottery import TICKETS
from fqlab.studies.scale.store import Arm, read, run

SHORT = Experiment(
    method=TICKETS, options={"target": 0.5, "gate": 0.05}, partition="n_class", clients=6, participants=3, rounds=6,
    epochs=2, validation=0.1, lr=0.3, evaluate_every=2, model="digits_cnn", workers=1,
)  # fmt: skip
CLOCK = ("time", "seconds")


def best(federation: Federation) -> dict[str, float]:
    states = federation.client_states.values()
    return {"best": float(np.mean([s.best for s in states])), "prunings": sum(int(s.prunings) for s in states)}


ARM = Arm("lottery", "short", SHORT, best)


def without_clock(done: store.Run) -> dict:
    return {key: value for key, value in asdict(done).items() if key not in CLOCK}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return run(ARM, 1, folder, folder)


def test_a_killed_run_goes_on_and_ends_bit_for_bit_where_an_unbroken_one_does(whole, tmp_path):
    """A process of its own, killed without warning in its fourth round; its checkpoint is two rounds old."""
    script = f"""
        import os, sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from fqlab.studies.scale import store
        from test_scale import ARM
        from pathlib import Path
        here = Path({str(tmp_path)!r})
        def after(record):
            store.SAVE_EVERY = 0.0 if record.index < 2 else 1e9
            if record.index == 4:
                os.kill(os.getpid(), 9)
        store.SAVE_EVERY = 0.0
        store.run(ARM, 1, here, here, after)
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    assert not ARM.file(tmp_path, 1).exists()
    seen = []
    done = run(ARM, 1, tmp_path, tmp_path, lambda record: seen.append(record.index))
    assert seen == [3, 4, 5, 6]
    assert without_clock(done) == without_clock(whole)
    assert done.measures["prunings"] > 0
    assert [path.name for path in (tmp_path / "lottery").iterdir()] == ["short.1.json"]


def test_what_is_there_is_read_and_not_run_again(whole, tmp_path):
    path = ARM.file(tmp_path, 1)
    path.parent.mkdir()
    path.write_bytes(whole.to_json())
    assert run(ARM, 1, tmp_path, tmp_path, pytest.fail) == whole == read(path)


def test_another_experiment_does_not_go_on_from_a_checkpoint(tmp_path):
    def stop(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(ARM, 0, tmp_path, tmp_path, stop)
    Federation(replace(SHORT, seed=0)).save(ARM.file(tmp_path, 0).with_suffix(".checkpoint"))
    other = replace(ARM, experiment=replace(SHORT, lr=0.2))
    with pytest.raises(ConfigError, match="belongs to another experiment"):
        run(other, 0, tmp_path, tmp_path)


def test_a_curve_counts_what_the_rounds_count_and_says_what_decided_it(whole):
    federation = Federation(replace(SHORT, seed=1))
    rounds = list(federation)
    assert whole.curve["round"] == [2, 4, 6]
    assert whole.curve["bytes_up"] == [sum(r.bytes_up for r in rounds[:n]) for n in (2, 4, 6)]
    assert whole.curve["bytes_down"] == [sum(r.bytes_down for r in rounds[:n]) for n in (2, 4, 6)]
    assert whole.curve["accuracy"] == pytest.approx([rounds[n].accuracy for n in (1, 3, 5)], rel=1e-5)
    assert whole.curve["personal"] == pytest.approx([rounds[n].personal for n in (1, 3, 5)], rel=1e-5)
    assert Experiment.from_toml(whole.experiment) == replace(SHORT, seed=1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", whole.time)
    assert whole.versions.keys() == {"fqlab", "torch", "numpy"}
    assert whole.cpu
    assert len(whole.to_json()) < 4096
    assert max(map(len, whole.to_json().decode().splitlines())) < 1500


def test_the_best_is_that_of_the_models_a_client_received_and_of_those_it_trained():
    """One client alone: what it trains is the next average. Its test images are fewer than the 80 that are drawn."""
    federation = Federation(replace(SHORT, clients=1, participants=0, rounds=4))
    own = lambda: federation.simulation.accuracy(federation.simulation.model, 0, 1, federation.model_of(0))
    assert len(federation.simulation.test[0]) < 80
    seen = [own()]
    for _ in federation:
        seen.append(own())
        assert float(federation.client_states[0].best) == pytest.approx(max(seen), abs=1e-6)
    assert seen[-1] < max(seen) or len(set(seen)) > 1
    assert int(federation.client_states[0].prunings) > 0


def test_a_damaged_run_is_refused_by_name(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("{")
    with pytest.raises(DataError, match="run.json' can't be read"):
        read(path)
    path.write_text(json.dumps({"arm": "x"}))
    with pytest.raises(DataError, match="run.json' can't be read"):
        read(path)


def test_the_queue_goes_through_arms_in_order_each_with_its_seeds():
    names = lambda *asked, most=None: [(arm.source, arm.name, seed) for arm, seed in queue(asked, most)]
    arms = ("e5-b10", "fedsgd", "shards-e5-b10", "shards-fedsgd")
    assert names("fedavg") == [("fedavg", f"small-{arm}", seed) for arm in arms for seed in (0, 1, 2)]
    assert names("lottery:paper:alone", "fedavg:small:fedsgd", most=1) == [
        ("lottery", "paper-alone", 0),
        ("fedavg", "small-fedsgd", 0),
    ]
    assert names("bsq:small:scratch-a02") == [("bsq", "small-scratch-a02", seed) for seed in (3, 4, 5)]
    for wrong in ("nothing", "fedavg:paper", "fedavg:small:e6"):
        with pytest.raises(ConfigError, match=wrong.rpartition(":")[2]):
            names(wrong)


def test_every_arm_can_be_made_and_has_a_name_of_its_own():
    arms = [arm for source in SOURCES for arm in import_module(f"fqlab.studies.scale.{source}").ARMS.values()]
    assert len({(arm.source, arm.name) for arm in arms}) == len(arms)
    assert all(arm.seeds in (1, 3, 6) and arm.experiment.workers == 1 and arm.experiment.seed == 0 for arm in arms)


def test_bsqs_numbers_are_differences_of_what_its_runs_keep(monkeypatch):
    """By hand: two runs that differ in one layer's width."""
    kept = {"bits": 3.0, "before": 0.5, "bits/conv.weight": 6.0, "bits/stage3.0.conv2.weight": 2.0}
    runs = {"low": kept, "high": {**kept, "bits": 4.5, "bits/stage3.0.conv2.weight": 7.0}}
    monkeypatch.setattr(bsq, "ARMS", {("small", name): name for name in runs})
    curve = {"accuracy": [0.5, 0.75]}
    monkeypatch.setattr(bsq, "obtain", lambda arm, seed: SimpleNamespace(measures=runs[arm], curve=curve))
    assert [bsq.found(0, "small", "low", what) for what in ("bits", "before", "after")] == [3, 50, 75]
    assert bsq.fewer_bits(0, "small", "high", "low") == 1.5
    assert bsq.regained(0, "small", "low") == 25
    assert bsq.reweighing(0, "small", "high", "low") == bsq.layer_gap(0, "small", "high") + 4 == 5


def test_bsq_is_compared_with_training_from_scratch_under_seeds_that_are_new(monkeypatch):
    """By hand: what ends at 0.9 over what ends at 0.6 + seed/100."""
    monkeypatch.setattr(bsq, "ARMS", {("small", name): name for name in ("ours", "scratch")})
    ends = {"ours": lambda seed: 0.9, "scratch": lambda seed: 0.6 + seed / 100}
    monkeypatch.setattr(
        bsq, "obtain", lambda arm, seed: SimpleNamespace(measures={}, curve={"accuracy": [0.1, ends[arm](seed)]})
    )
    points = [bsq.over_scratch(seed, "small", "ours", "scratch") for seed in range(3)]
    assert points == pytest.approx([27, 26, 25])


def test_fedmpqs_numbers_are_differences_of_what_its_runs_keep(monkeypatch):
    """By hand: points of the average, of the weakest client, and how much they grow where labels are skewed."""
    kept = {"fedmpq": (0.8, 0.7), "aqfl": (0.75, 0.5), "skewed-fedmpq": (0.6, 0.1), "skewed-aqfl": (0.4, 0.1)}
    monkeypatch.setattr(fedmpq, "ARMS", {("small", name): name for name in kept})
    told = {name: {"refreshed": a, "weakest": b} for name, (a, b) in kept.items()}
    monkeypatch.setattr(fedmpq, "obtain", lambda arm, seed: SimpleNamespace(measures=told[arm]))
    assert fedmpq.ended(0, "small", "aqfl") == 75
    assert fedmpq.ahead(0, "small", "fedmpq", "aqfl", "weakest") == pytest.approx(20)
    assert fedmpq.grown(0, "small") == pytest.approx(20 - 5)


def test_the_lasso_alone_is_aqfl_to_the_last_bit():
    """Why the ablation's lasso has no run of its own."""
    shape = {
        "model": "resnet8",
        "clients": 3,
        "rounds": 2,
        "lr": 0.1,
        "partition": "dirichlet_capped",
        "split": {"alpha": 0.5},
    }
    alone = {"penalty": 0.01, "budgets": "2-4-8"}
    ends = []
    for method, options in (("aqfl", alone), ("fedmpq", {**alone, **ABLATION["group lasso"]})):
        federation = Federation(Experiment(method=method, options=options, **shape))
        list(federation)
        ends.append(federation.server.weights)
    assert all(ends[0][name].equal(value) for name, value in ends[1].items())


def test_fedmpqs_arms_change_what_they_name_and_nothing_else():
    plain = fedmpq.ARMS["small", "fedmpq"].experiment
    for name, arm in fedmpq.ARMS.items():
        assert (arm.experiment.clients, arm.experiment.lr, arm.experiment.batch_size) == (10, 0.1, 32)
        assert (arm.experiment == plain) == (name == ("small", "fedmpq"))
    short = fedmpq.ARMS["small", "short"].experiment
    assert short == replace(plain, rounds=12)
    assert fedmpq.ARMS["small", "epochs-4"].experiment == replace(short, epochs=4)
    assert fedmpq.ARMS["small", "skewed-fedmpq"].experiment == replace(plain, split={"alpha": 0.1})
    large = {"dataset": "cifar10", "model": "resnet20_bn", "reduce": {}, "rounds": 8}
    assert fedmpq.ARMS["paper", "fedmpq"].experiment == replace(plain, **large)
    assert fedmpq.ARMS["small", "lambda-0.1"].experiment == replace(short, options={**plain.options, "penalty": 0.1})


def test_fedmpqs_measures_are_of_the_average_and_of_the_weakest_device(monkeypatch):
    """In full precision there is no weakest device; at 8 bits for all its model is the average but for rounding."""
    shape = {"model": "resnet8", "clients": 2, "rounds": 1, "lr": 0.1}
    seen = []
    for method, options in (("fedavg", {}), ("aqfl", {"budgets": 8})):
        federation = Federation(Experiment(method=method, options=options, **shape))
        list(federation)
        seen.append(fedmpq.measures(federation))
    assert list(seen[0]) == ["refreshed"]
    assert seen[1]["sent_bits"] == 8
    assert seen[1]["weakest"] == pytest.approx(seen[1]["refreshed"], abs=0.03)


def test_bsqs_measures_are_those_of_the_end_of_its_planes_and_of_its_last_round():
    """On digits: the accuracy before fine-tuning is that of the last round with planes, whose widths stay."""
    shape = {"warmup": 1, "finetune_after": 2, "interval": 1, "activation_bits": 4, "penalty": 0.01}
    federation = Federation(
        Experiment(method="bsq", options=shape, model="resnet8", clients=1, rounds=4, batch_size=64, lr=0.1)
    )
    rounds = list(federation)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(bsq.EPOCHS, "small", bsq.Epochs(1, 2, 1))
        seen = dict(bsq.scheme(federation, "small"))
    assert seen["before"] == rounds[2].accuracy
    assert seen["bits"] == rounds[2].extras["bits"] == rounds[3].extras["bits"]
    assert len(seen) == 2 + 8


def test_what_computed_a_run_names_the_gpu_that_it_may_have_used(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Great GPU")
    plain = store._provenance(SHORT)["cpu"]
    assert plain
    assert store._provenance(replace(SHORT, engine="vectorized", device="auto"))["cpu"] == f"{plain}, Great GPU"


def test_eden_nmse_is_that_of_a_normal_law_whatever_the_vector(monkeypatch):
    monkeypatch.setattr(rivals, "LENGTH", 2**14)
    monkeypatch.setattr(rivals, "VECTORS", 4)
    assert rivals.eden_nmse(0, bits=1) == pytest.approx(np.pi / 2 - 1, rel=0.02)


def test_recipes_read_the_runs_of_the_folder_that_is_named_and_are_heard(whole, tmp_path, monkeypatch):
    path = ARM.file(tmp_path, 1)
    path.parent.mkdir()
    path.write_bytes(whole.to_json())
    monkeypatch.setenv("FQLAB_RUNS", str(tmp_path))
    with store.listening() as outer:
        with store.listening() as inner:
            assert store.obtain(ARM, 1) == whole
        assert store.obtain(ARM, 1) == whole
    store.obtain(ARM, 1)
    assert (len(outer), len(inner)) == (2, 1)


def test_without_a_folder_the_run_is_the_users_own(tmp_path, monkeypatch):
    monkeypatch.delenv("FQLAB_RUNS", raising=False)
    monkeypatch.setattr(store, "cache_folder", lambda: tmp_path)
    short = replace(ARM, experiment=replace(SHORT, rounds=1))
    assert store.obtain(short, 0).curve["round"] == [1]
    assert ARM.file(tmp_path / "runs", 0).exists()


def test_a_weight_is_personalised_if_fewer_than_a_tenth_of_the_clients_keep_it():
    """Of 20 clients 0, 1, 2, 3 and 20 keep it; a tenth of them is 2, which is not fewer."""
    counts = torch.tensor([0, 1, 2, 3, 20])
    masks = [{"fc1.weight": (client < counts)[None]} for client in range(20)]
    assert lottery.personalised(masks) == {"personalised/fc1.weight": 2 / 5}


def test_layers_and_targets_are_compared_in_points(monkeypatch):
    shares = {"low": {"conv1": 0.25, "fc1": 0.75}, "high": {"conv1": 0.5, "fc1": 0.125}}
    stored = {
        name: SimpleNamespace(measures={f"personalised/{k}.weight": v for k, v in layers.items()})
        for name, layers in shares.items()
    }
    monkeypatch.setattr(lottery, "_run", lambda seed, scale, arm: stored[arm])
    assert lottery.personal_share(0, "paper", "low", "fc1") == 75
    assert lottery.more_personal(0, "paper", "low", "fc1", over="high") == 62.5
    assert lottery.more_personal(0, "paper", "low", "fc1", over_layer="conv1") == 50
