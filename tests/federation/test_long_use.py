"""A thousand rounds, a home that takes no files, no network, every setting with every kind of value."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest
import torch

from fqlab import methods
from fqlab.errors import ConfigError
from fqlab.federation import Experiment, Federation, fit

SHORT = Experiment(clients=2, rounds=3, batch_size=500, engine="vectorized")

ROUNDS = """
import resource
from fqlab.federation import Experiment, Federation
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
federation = Federation(Experiment(method="clipped", clients=3, rounds=1000, batch_size=500, evaluate_every=50,
                                   engine="vectorized", validation=0.1))
peaks = [(r.index, peak()) for r in federation]
early, late = peaks[199][1], peaks[-1][1]
assert late < 1.05 * early, (early, late)
assert len(federation.ledger.entries) == 6000
print(early, late)
"""


def test_a_thousand_rounds_take_no_more_memory_than_two_hundred():
    subprocess.run([sys.executable, "-c", ROUNDS], check=True, timeout=900)


def tensors() -> int:
    """How many there are in this process."""
    return sum(type(thing) is torch.Tensor for thing in gc.get_objects())


@pytest.mark.parametrize("engine", ["serial", "threads", "vectorized"])
@pytest.mark.parametrize("settings", [{}, {"method": "clipped", "model": "clipped_cnn"}, {"method": "bsq"}], ids=str)
def test_a_round_leaves_no_tensor_that_only_the_garbage_collector_could_free(engine, settings):
    federation = Federation(Experiment(clients=4, rounds=3, batch_size=200, engine=engine, **settings))
    federation.step()
    gc.collect()
    gc.disable()
    try:
        federation.step()
        before = tensors()
        gc.collect()
        assert tensors() == before
    finally:
        gc.enable()


@pytest.mark.parametrize("resumes", [True, False])
def test_the_garbage_collector_rests_during_a_round_and_is_then_as_it_was(resumes):
    searched = []
    federation = Federation(SHORT, cancelled=lambda: searched.append(gc.isenabled()) or len(searched) > 1)
    (gc.enable if resumes else gc.disable)()
    try:
        assert [record is None for record in (federation.step(), federation.step())] == [False, True]
        assert searched == [False, False]
        assert gc.isenabled() is resumes
    finally:
        gc.enable()


def workers_left(before: set[threading.Thread]) -> set[threading.Thread]:
    """Threads of clients that still run, given some time to end."""
    end = time.monotonic() + 20
    while (left := set(threading.enumerate()) - before) and time.monotonic() < end:
        gc.collect()
        time.sleep(0.05)
    return left


@pytest.mark.parametrize("how", ["cancelled", "left", "stepped"])
@pytest.mark.parametrize("engine", ["threads", "vectorized"])
def test_ten_runs_started_and_cancelled_leave_no_thread_and_no_tensor(engine, how):
    """Cancelled in round 2, left by who iterates, or dropped after single steps without a word."""
    wanted = Experiment(clients=4, rounds=50, batch_size=500, engine=engine, workers=2, evaluate_every=50)
    before = set(threading.enumerate())
    for _ in range(10):
        stop = threading.Event()
        federation = Federation(wanted, cancelled=stop.is_set)
        if how == "stepped":
            federation.step()
        else:
            for _ in federation:
                assert engine != "threads" or set(threading.enumerate()) - before, "nobody worked"
                if how == "left":
                    break
                stop.set()
        model = weakref.ref(federation.simulation.model)
        del federation
    assert workers_left(before) == set()
    assert model() is None


def test_a_closed_federation_goes_on():
    wanted = Experiment(clients=4, rounds=3, batch_size=500, engine="threads", workers=2)
    federation = Federation(wanted)
    for _ in range(3):
        federation.step()
        federation.close()
    torch.testing.assert_close(federation.history().weights, fit(wanted).weights, rtol=0, atol=0)


OFFLINE = """
import socket
def refuse(*args, **kwargs):
    raise OSError("no network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from fqlab.cli import main
import sys
sys.exit(main(["run", "--rounds", "1", "--engine", "vectorized", "--out", sys.argv[1]]))
"""


@pytest.mark.parametrize("home", ["/proc/self", "/nowhere/at/all", None])
def test_a_run_needs_neither_a_home_nor_a_network(home, tmp_path):
    """The offline data set, in an environment whose home takes no files, is missing, or is not named."""
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME", "FQLAB_DATA")}
    environment |= {"HOME": home} if home else {}
    out = tmp_path / "run.json"
    subprocess.run([sys.executable, "-c", OFFLINE, str(out)], check=True, env=environment, timeout=300, cwd=tmp_path)
    assert out.is_file()
    assert [file.name for file in Path(tmp_path).iterdir()] == ["run.json"]


ODD = (
    None,
    True,
    "no",
    "",
    "x" * 5000,
    "4-2-9-é",
    "٣",
    -1,
    0,
    3,
    10**400,
    2.5,
    float("nan"),
    float("inf"),
    -1e300,
    [],
    [4, 2],
    {},
    {"a": 1},
    b"x",
)


def refusal(**settings) -> str | None:
    """What an experiment says against its settings, or None."""
    try:
        Experiment(**settings)
    except ConfigError as error:
        return str(error)
    return None


@pytest.mark.parametrize("method", methods.METHODS.names)
def test_every_setting_takes_a_value_or_refuses_it_in_one_sentence(method):
    """What TOML, a flag or a notebook may put there: never a traceback of Python's own."""
    for name, field in methods.options(method).items():
        for value in ODD:
            sentence = refusal(method=method, options={name: value}, validation=0.1)
            assert sentence is None or (len(sentence) < 800 and "\n" not in sentence)
            assert sentence is not None or isinstance(value, bool) or not isinstance(field.default, bool)


@pytest.mark.parametrize(
    "name", [field for field in Experiment.__dataclass_fields__ if field not in ("options", "split")]
)
def test_every_field_takes_a_value_or_refuses_it_in_one_sentence(name):
    for value in ODD:
        sentence = refusal(**{name: value})
        assert sentence is None or (len(sentence) < 800 and "\n" not in sentence)


@pytest.mark.parametrize("options, sentence", [
    ({"downlink": "no"}, "downlink is 'no', but must be true or false."), ({"qat": "off"}, "qat is 'off', but must be"),
    ({"qat": 0}, "qat is 0, but must be true or false."), ({"bits": 4.0}, "bits is 4.0, but must be a width such as 4"),
    ({"bits": True}, "bits is True, but must be a width"), ({"client_bits": 8}, "client_bits is 8, but must be a text"),
    ({"averaging": "mode"}, "averaging is 'mode', but must be one of inverse_error, size, equal, median, trimmed_mean"),
])  # fmt: skip
def test_sentences_are_true(options, sentence):
    with pytest.raises(ConfigError) as error:
        Experiment(method="clipped", options=options)
    assert str(error.value).startswith(sentence)


def test_widths_by_layer():
    two = Experiment(method="clipped", options={"bits": [4, 2]}, rounds=1, engine="vectorized")
    assert fit(two).rounds[0].code_bits == 10 * (4 * 64 * 64 + 2 * 64 * 10)
    assert (
        fit(two).weights.keys() == fit(Experiment(method="clipped", options={"bits": "4-2"}, rounds=1)).weights.keys()
    )
    with pytest.raises(ConfigError, match="bits is .4, 2., 2 widths, but the model has 3 layers to quantize"):
        Federation(Experiment(method="clipped", model="robust_mlp", options={"bits": (4, 2)}, rounds=1))
