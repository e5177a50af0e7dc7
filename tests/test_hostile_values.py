"""Values as they may come from a file, a paste or a slip: each is taken, or refused in one short line by our own error."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

import fqlab
from fqlab import aggregate, data, methods, models, panels, papers, partition, wire
from fqlab.errors import ConfigError, FqlabError, in_range, one_of
from fqlab.federation import Experiment, Federation
from fqlab.lessons import contents, export_progress, import_progress
from fqlab.lessons.classroom import gather
from fqlab.panels.shared import experiment_of
from fqlab.panels.state import changed, controls
from fqlab.papers.charts import chart
from fqlab.quant import Codes, Grid, clip_for, parse_budgets, quantize, requantize, requantize_net, requantize_to_step

LONGEST = 1200
"""Characters of a refusal, a list of what is allowed included."""
ODD: dict[str, Any] = {
    "long": "x" * 100_000,
    "lines": "a\n" * 5_000,
    "list": ["y" * 5_000] * 50,
    "digits": 10**5_000,
    "2^62": 2**62,
    "bytes": b"\xff" * 50_000,
    "table": {"k" * 9_999: 1},
    "NUL": "a\0b" * 10_000,
    "half a character": "\ud800" * 9_999,
    "nothing": None,
}
TEXTS = {kind: value for kind, value in ODD.items() if isinstance(value, str)}


def refused_in_a_line(call: Callable[[], Any]) -> str:
    """What the refusal says, empty if there is none; any exception that is not ours fails the test."""
    try:
        call()
    except FqlabError as told:
        said = str(told)
        assert len(said) < LONGEST
        assert "\n" not in said
        said.encode()  # a terminal and a file take it
        return said
    return ""


def experiments(value: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every setting of an experiment, of every method and of every partition, set to ``value``."""
    for field in dataclasses.fields(Experiment):
        yield field.name, functools.partial(Experiment, **{field.name: value})
    for method in methods.METHODS:
        for option in methods.options(method):
            yield f"{method}: {option}", functools.partial(Experiment, method=method, options={option: value})
    for name, keys in partition.USES.items():
        for key in keys:
            described = functools.partial(Experiment, partition=name, split={key: value}, rounds=1)
            yield f"{name}: {key}", lambda made=described: Federation(made())


@pytest.mark.parametrize("kind", ODD)
def test_every_setting_of_an_experiment(kind):
    told = {name: refused_in_a_line(call) for name, call in experiments(ODD[kind])}
    assert sum(map(bool, told.values())) > 0.6 * len(told)


@pytest.mark.parametrize("kind", ODD)
def test_every_control_of_every_panel(kind):
    for name in panels.PANELS:
        state = getattr(panels, name).State()
        for c in controls(type(state)):
            assert refused_in_a_line(lambda: changed(state, {c.name: ODD[kind]})), c.name  # noqa: B023


def takers() -> dict[str, Callable[[Any], Any]]:
    """What takes a name or a text that somebody types."""
    weights = torch.ones(3, dtype=torch.float32)
    return {
        "ticket": experiment_of,
        "TOML": Experiment.from_toml,
        "table": Experiment.from_dict,
        "hide": lambda x: panels.tour(hide=x),
        "zoom": lambda x: panels.tour(zoom=x),
        "claim": papers.row,
        "source": papers.table,
        "chart": chart,
        "data set": data.load,
        "model": lambda x: models.make(x, data.load("digits"), 0),
        "method": methods.make,
        "kind": lambda x: fqlab.register(x, "mine", print),
        "name": lambda x: fqlab.register("method", x, print),
        "lesson": contents.lesson,
        "prediction": contents.prediction,
        "exercise": contents.exercise,
        "chat": lambda x: gather("00-one-bit", x),
        "bits": Grid,
        "grid": lambda x: Grid(2, x),
        "clip": lambda x: clip_for(x, weights, Grid(2)),
        "rounding": lambda x: clip_for("octav", weights, Grid(2), x),
        "budgets": parse_budgets,
        "client": lambda x: wire.unpack(b"", client=x),
        "teach": fqlab.teach,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", takers())
def test_every_name_that_somebody_types(name, kind):
    takes = takers()[name]
    said = refused_in_a_line(lambda: takes(ODD[kind]))
    assert said or (name, kind) in ALLOWED
    fqlab.teach(False)


ALLOWED = {
    *(("chat", kind) for kind in TEXTS),  # a text without a code
    ("table", "nothing"), ("hide", "nothing"), ("zoom", "nothing"), ("teach", "nothing"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TEXTS)
def test_a_link_is_no_longer_than_its_ticket(kind):
    """What stands before # may be anything; the panel trains nothing, which is said of the ticket alone."""
    text = TEXTS[kind]
    assert refused_in_a_line(lambda: experiment_of(f"{text}#{panels.quantizer().ticket}")).startswith("ticket is ")
    assert refused_in_a_line(lambda: experiment_of(f"tour-{text}")).startswith("ticket is ")


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("call", [export_progress, import_progress])
def test_places_of_progress(call, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused_in_a_line(lambda: call(ODD[kind]))


@pytest.mark.parametrize("kind", TEXTS)
def test_names_of_layers(kind):
    name = TEXTS[kind]
    for value in ("text", torch.ones(2, dtype=torch.float32).to_sparse(), torch.ones(2, dtype=torch.float64)):
        assert refused_in_a_line(lambda: wire.pack({name: value}))  # noqa: B023


@pytest.mark.parametrize("name", ["x" * 10_000, "a\n" * 4_000, "€" * 3_000], ids=["long", "lines", "euros"])
def test_a_layer_of_a_packet_has_a_name_of_any_length(name):
    """What carries its planes is damaged: the refusal names the layer, and ends."""
    packet = bytearray(wire.pack({name: quantize(torch.ones(2, dtype=torch.float32), torch.tensor(1.0), Grid(2))}))
    assert list(wire.unpack(bytes(packet))) == [name]
    for place in range(8 + int.from_bytes(packet[:8], "little"), len(packet)):
        packet[place] ^= 1
        assert refused_in_a_line(lambda: wire.unpack(bytes(packet), client=name))
        packet[place] ^= 1


def silent(value: float) -> dict[str, Callable[[], Any]]:
    """Calls that once gave a number all the same."""
    one = torch.ones(1, dtype=torch.float32)
    planes = torch.full((2, 2, 3), value, dtype=torch.float32)
    return {
        "sizes": lambda: aggregate.mean([one, one], [1.0, value]),
        "codes": lambda: wire.pack(
            {"w": Codes(torch.tensor([1, 65541], dtype=torch.int32), Grid(4, "midrise"), one[0])}
        ),
        "planes": lambda: requantize(planes, one[0]),
        "net": lambda: requantize_net(one * value, one[0], 3),
        "weights": lambda: requantize_to_step(one * value, 0.1),
    }


@pytest.mark.parametrize("name", silent(0.0))
def test_no_wrong_number_passes_in_silence(name):
    """NaN among the sizes of a mean, 65541 as the 16-bit code 5, NaN re-quantized to 0."""
    assert refused_in_a_line(silent(float("nan"))[name])


@pytest.mark.parametrize("scale", [1e-30, 1e-22, 1e19, 1e30])
def test_no_sweep_is_wrong_in_silence(scale):
    """Squares of these numbers are 0 or infinite in float32."""
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    for grid in (Grid(3), Grid(4, "narrow")):
        assert float(clip_for("sweep", x * scale, grid)) == pytest.approx(
            scale * float(clip_for("sweep", x, grid)), rel=1e-5
        )


def test_of_a_long_list_the_nearest_are_named():
    allowed = [f"claim-{k:04}" for k in range(1000)]
    with pytest.raises(
        ConfigError, match=r"^id is 'claim-0499x', but must be one of 1000, such as claim-0499, "
    ) as told:
        one_of("id", "claim-0499x", allowed)
    assert len(str(told.value)) < 200
    with pytest.raises(ConfigError, match=r"must be one of a, b\.$"):
        one_of("id", "c", ["a", "b"])


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**5_000], ids=["one too many", "below", "5000 digits"])
def test_whole_numbers_fit_into_64_bits(value):
    for integer in (True, False):
        with pytest.raises(ConfigError, match=r"^n is .*; 64 bits must hold it\.$"):
            in_range("n", value, -float("inf"), integer=integer)
    assert in_range("n", 2**63 - 1, 0, integer=True) == 2**63 - 1
