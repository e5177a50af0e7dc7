"""The papers' figures: axes and order as the papers have them, our points as stored, published points as printed."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest

from fqlab.errors import ConfigError
from fqlab.federation import Experiment
from fqlab.papers import result, row, stored_value
from fqlab.papers.charts import CHARTS, TITLES, chart
from fqlab.papers.charts.drawing import MEAN, data, marks
from fqlab.papers.charts.model import Point, Published
from fqlab.papers.charts.store import FOLDER, fill, stored
from fqlab.papers.claims import PROVENANCE, read_result, source
from fqlab.papers.figures import FIGURES, figure
from fqlab.papers.reproduce import run_row
from fqlab.plots.charts import Rebuilt, _look, _width
from fqlab.studies import bsq, lottery, weak_clients
from fqlab.studies.scale.store import committed, read

RESNET = "stem 1a 1b 2a 2b 3a 3b fc"
RESNET_20 = "stem 1a 1b 1c 1d 1e 1f 2a 2b 2c 2d 2e 2f 3a 3b 3c 3d 3e 3f fc"
AXES = {
    "03-mse": ("clip (σ)", "0 1 2 3 4 5", "squared error (σ²)", ["first layer", "second layer"]),
    "05-rounds": ("communication round", "1 2 5 10 20", "test accuracy (%)", [
        "full precision", "OCTAV, nearest", "OCTAV, stochastic", "OCTAV, inverse error", "max |w|, nearest",
        "max |w|, stochastic", "OCTAV, 4-2-2-4",
    ]),
    "05-rounds-mnist": ("communication round", "5 10 20 30 40", "test accuracy (%)", [
        "full precision", "OCTAV, nearest", "OCTAV, stochastic", "OCTAV, inverse error", "max |w|, nearest",
        "max |w|, stochastic", "OCTAV, 4-2-2-4", "OCTAV, 4-4-4-4", "level-aware, stoch.", "level-aware, nearest",
    ]),
    "05-rounds-cifar": ("communication round", "5 10 15", "test accuracy (%)", [
        "full precision", "4-4-4-4, nearest", "4-4-4-4, stochastic",
    ]),
    "05-rounds-full": ("communication round", "10 20 30 40 50", "test accuracy (%)", [
        "full precision", "OCTAV, nearest", "OCTAV, stochastic", "OCTAV, inverse error", "max |w|, nearest",
        "max |w|, stochastic", "OCTAV, 4-2-2-4",
    ]),
    "06-widths": ("bits of the deployed weights", "32 8 6 4 3 2", "test accuracy (%)",
                  ["FedAvg", "KURE", "APQN, 4 bit", "QAT, 4 bit", "MQAT"]),
    "06-widths-fashion": ("bits of the deployed weights", "32 8 6 4 3 2", "test accuracy (%)",
                          ["FedAvg", "KURE", "APQN, 4 bit", "QAT, 4 bit", "MQAT"]),
    "06-widths-cifar": ("bits of the deployed weights", "32 8 6 4 3 2", "test accuracy (%)",
                        ["FedAvg", "KURE", "APQN, 4 bit", "QAT, 4 bit", "MQAT"]),
    "06-kurtosis": ("bits of the deployed weights", "2 3 4 5 8 32", "test accuracy (%)",
                    ["target 1.8, ours", "target 3, ours", "target 4, ours", "target 6, ours"]),
    "07-layers": ("layer", RESNET, "bits a weight", ["α = 0.003", "α = 0.005", "α = 0.007", "α = 0.01", "α = 0.02"]),
    "07-reweighing": ("layer", RESNET, "bits a weight", ["with reweighing", "without"]),
    "07-layers-fashion": ("layer", RESNET, "bits a weight", ["α = 0.005", "α = 0.01", "α = 0.02"]),
    "07-reweighing-fashion": ("layer", RESNET, "bits a weight", ["with reweighing", "without"]),
    "07-layers-cifar": ("layer", RESNET_20, "bits a weight", ["α = 0.003", "α = 0.005", "α = 0.02"]),
    "07-reweighing-cifar": ("layer", RESNET_20, "bits a weight", ["with reweighing", "without"]),
    "08-layers": ("layer", "stem 1 a 1 b 2 a 2 b 3 a 3 b output", "bits a weight",
                  ["budget 2", "budget 4", "budget 6", "budget 8"]),
    "08-epsilon": ("ε (share of ones that is pruned)", "0 0.02 0.05 0.1 0.3", "test accuracy (%)", ["FedMPQ", "AQFL"]),
    "08-lambda": ("λ (group lasso)", "0 0.001 0.01 0.1", "test accuracy (%)", ["FedMPQ", "AQFL"]),
    "08-epochs": ("local epochs", "1 2 4", "test accuracy (%)", ["FedMPQ", "AQFL"]),
    "08-epsilon-fashion": ("ε (share of ones that is pruned)", "0 0.02 0.1 0.3", "test accuracy (%)", ["FedMPQ", "AQFL"]),
    "08-lambda-fashion": ("λ (group lasso)", "0 0.001 0.01 0.1", "test accuracy (%)", ["FedMPQ", "AQFL"]),
    "08-epochs-fashion": ("local epochs", "1 2 4", "test accuracy (%)", ["FedMPQ", "AQFL"]),
    "08-clients": ("clients", "5 10 20", "test accuracy (%)", ["FedMPQ", "AQFL"]),
    "09-accuracy": ("", "Standalone FedAvg LG-FedAvg LotteryFL(0.1) LotteryFL(0.3) LotteryFL(0.5)",
                    "accuracy, own classes (%)", ["digits"]),
    "09-bytes": ("", "Standalone FedAvg LG-FedAvg LotteryFL(0.1) LotteryFL(0.3) LotteryFL(0.5)",
                 "cost, FedAvg = 1", ["digits"]),
    "09-accuracy-mnist": ("", "Standalone FedAvg LG-FedAvg LotteryFL(0.1) LotteryFL(0.3) LotteryFL(0.5)",
                          "accuracy, own classes (%)", ["last round", "best round, 80 images"]),
    "09-personal": ("layer", "conv1 conv2 fc1 fc2", "weights few clients keep (%)",
                    ["target 0.5", "target 0.3", "target 0.1"]),
    "09-bytes-mnist": ("", "Standalone FedAvg LG-FedAvg LotteryFL(0.1) LotteryFL(0.3) LotteryFL(0.5)",
                       "cost, FedAvg = 1", ["MNIST, ours"]),
}  # fmt: skip
"""Label of x, its ticks in order, label of y, and our arms in order: Figures 2 and 3 of BSQ, Figure 1 (a) of OCTAV, Table 2 of
LotteryFL, KURE's ablation of its target; for the others what their papers vary, since their figures are not public."""

TABLE_2 = {
    "MNIST": "Standalone 90.72 0 FedAvg 96.46 663.76 LG-FedAvg 97.87 524.02 LotteryFL(0.1) 99.96 163.57 "
    "LotteryFL(0.3) 99.95 230.17 LotteryFL(0.5) 99.96 304.54",
    "CIFAR-10": "Standalone 65.44 0 FedAvg 47.67 9425.35 LG-FedAvg 76.77 7174.58 LotteryFL(0.1) 90.61 2439.56 "
    "LotteryFL(0.3) 89.91 3560.58 LotteryFL(0.5) 90.53 4501.36",
}
KURTOSIS = {
    "1.8": "40.2 62.6 68.1 69.8 70.2 70.3",
    "3": "20.9 61.1 68.2 69.4 70.6 70.6",
    "4": "7.5 58.8 66.3 69.3 70.6 70.7",
    "6": "4.1 52.0 65.6 68.8 70.7 70.8",
}
WIDTHS = {"2": "8 8 8 8 2 1 1 8", "4": "8 8 8 8 8 6 1 8"}


@pytest.fixture(params=list(CHARTS))
def shown(request):
    return chart(request.param)


def test_axes_and_arms_stand_in_the_papers_order(shown):
    x, ticks, y, arms = AXES[shown.name]
    assert shown.x.label == x
    assert " ".join(shown.x.at(place) for place, _ in shown.x.places) == ticks
    assert [place for place, _ in shown.x.places] == sorted(place for place, _ in shown.x.places)
    assert shown.y.label == y
    assert list(dict.fromkeys(p.arm for p in shown.points)) == arms
    assert [a for a in shown.arms if a in arms] == arms
    assert {p.arm for p in shown.published} == set(shown.arms) - set(arms)
    if shown.name != "03-mse":
        assert {p.x for p in shown.points} == {place for place, _ in shown.x.places}


def test_every_figure_has_its_words_and_is_drawn_by_its_name(shown):
    assert set(TITLES) == set(CHARTS)
    assert shown.name in FIGURES
    drawn = figure(shown.name)
    assert shown.y.label in drawn.alt
    assert all(arm in drawn.alt for arm in shown.arms)
    assert source(shown.source).papers, "the panel cites it"
    assert ("digits" in shown.setup) == (shown.scale == "demo")


def test_our_points_are_the_stored_ones_with_their_spread(shown):
    assert len(shown.points) + len(shown.published) == len(marks(shown)), "a point has no stored result"
    picture = data(shown)
    for mark in marks(shown):
        arm = picture.arms[mark.arm]
        if isinstance(mark.point, Published):
            assert (arm.y[mark.place], arm.spread[mark.place]) == (mark.point.value, 0)
            continue
        kept = stored(shown, mark.point)
        assert kept == kept.signed(), "a number was changed by hand"
        assert len(kept.values) == (mark.point.seeds or shown.seeds)
        assert shown.seeds >= 3
        assert arm.single[mark.place] == mark.single == (len(kept.values) == 1)
        assert kept.scale == shown.scale
        assert (kept.recipe, dict(kept.args)) == (mark.point.recipe, dict(mark.point.args))
        assert arm.x[mark.place] == mark.point.x
        assert arm.y[mark.place] == pytest.approx(np.mean(kept.values))
        assert arm.spread[mark.place] == pytest.approx(0 if mark.single else np.std(kept.values, ddof=1))


def test_one_seed_shows_its_own_values_and_no_spread(shown):
    for seed in range(3):
        picture = data(shown, seed)
        for mark in marks(shown):
            if isinstance(mark.point, Point):
                drawn = picture.arms[mark.arm].y[mark.place]
                run = mark.result.values[seed:][:1]  # nothing where one seed is all there is
                assert (drawn,) == run if run else np.isnan(drawn)
        assert not any(any(arm.spread) for arm in picture.arms)


def test_lotteryfl_is_as_printed():
    for data_set, text in TABLE_2.items():
        cells = text.split()
        names, accuracies, costs = cells[::3], cells[1::3], cells[2::3]
        figures = [("09-accuracy", "printed", accuracies), ("09-bytes", "derived", costs)]
        figures += [(f"{name}-mnist", *rest) for name, *rest in figures] if data_set == "MNIST" else []
        for name, kind, wanted in figures:
            shown = chart(name)
            mine = [p for p in shown.published if p.arm == f"{data_set}, published"]
            assert [shown.x.at(p.x) for p in mine] == names
            whole = 1 if kind == "printed" else float(costs[1])
            assert [p.value for p in mine] == pytest.approx([float(cell) / whole for cell in wanted])
            assert {p.provenance for p in mine} == {kind}


def test_lotteryfls_figure_2_is_as_read_off():
    """MNIST in the digest: conv1, conv2, fc1, fc2 at targets 0.5 / 0.3 / 0.1."""
    bars = {"conv1": "12 18 10", "conv2": "18 26 38", "fc1": "28 43 70", "fc2": "26 36 34"}
    shown = chart("09-personal")
    for layer, values in bars.items():
        mine = [p.value for p in shown.published if shown.x.at(p.x) == layer]
        assert mine == [float(value) for value in values.split()]


def test_columns_of_many_arms_stand_side_by_side():
    for name in ("09-accuracy", "09-personal"):
        drawn = data(chart(name))
        places = [Rebuilt._places(Rebuilt, drawn, k)[:, 0] for k in range(len(drawn.arms))]
        gaps = np.diff(sorted(x for arm in places for x in arm))
        assert min(gaps) == pytest.approx(_width(drawn))
        assert len(drawn.arms) * _width(drawn) < 1


def test_kures_ablation_is_as_in_its_notebook():
    shown = chart("06-kurtosis")
    for target, row_of in KURTOSIS.items():
        mine = [p.value for p in shown.published if p.arm == f"target {target}, KURE"]
        assert mine == [float(cell) for cell in row_of.split()]


def test_fedmpqs_widths_are_those_of_the_authors_code():
    shown = chart("08-layers")
    for budget, widths in WIDTHS.items():
        assert [p.value for p in shown.published if p.arm == f"budget {budget}, code"] == [
            float(w) for w in widths.split()
        ]


def test_octavs_clips_are_those_read_off_in_units_of_sigma():
    """Layer 17: clip 0.1025, error 2.1e-5, power 5.45e-4; layer 45: 0.035, 2.7e-6, 1.52e-4."""
    first, second = chart("03-mse").published
    assert (first.x, first.value) == pytest.approx((0.1025 / math.sqrt(5.45e-4), 2.1e-5 / 5.45e-4))
    assert (second.x, second.value) == pytest.approx((0.035 / math.sqrt(1.52e-4), 2.7e-6 / 1.52e-4))
    assert {first.provenance, second.provenance} == {"derived"}


def test_published_points_say_how_they_are_known(shown):
    for point in shown.published:
        assert point.provenance in PROVENANCE
        assert len(point.where) > 10
        if point.ledger is not None and shown.name == "09-accuracy":
            assert point.ledger.published == point.value
        if point.ledger is not None and shown.name == "09-bytes":
            assert point.ledger.published == pytest.approx(point.value, abs=5e-4)


def test_what_the_ledger_holds_is_not_stored_twice():
    shown = chart("09-accuracy")
    own = json.loads((FOLDER / "09-accuracy.json").read_text(encoding="utf-8"))
    tickets = next(m for m in marks(shown) if isinstance(m.point, Point) and m.point.claim == "lottery-tickets")
    assert tickets.value() == stored_value("lottery-tickets", "demo")[0]
    assert tickets.result == result("lottery-tickets", "demo")
    assert shown.id(tickets.point) not in [one["id"] for one in own]
    assert row("lottery-tickets") == tickets.point.ledger


def test_the_experiment_of_every_point_reads_back(shown):
    for point in shown.points:
        for seed in (0, 2):
            experiment = point.experiment(seed=seed)
            assert Experiment.from_toml(experiment.to_toml()) == experiment


def test_the_experiment_of_a_long_run_is_the_one_that_was_run():
    names = [name for name in CHARTS if chart(name).points[0].recipe.startswith("scale.")]
    assert len(names) > 5
    for name in names:
        for point in chart(name).points:
            for seed in range(point.seeds or 3):
                kept = read(committed() / chart(name).source / f"{chart(name).scale}-{point.args['arm']}.{seed}.json")
                assert Experiment.from_toml(kept.experiment) == point.experiment(seed=seed)
    assert chart("08-layers").points[0].experiment(seed=1).seed == weak_clients.SEEDS[1]


def test_every_stored_curve_of_clipped_runs_is_in_its_figure_to_its_last_round():
    """Of two runs that differ in length alone the shorter may be left out where the longer was evaluated."""
    points = [*chart("05-rounds-mnist").points, *chart("05-rounds-cifar").points]
    drawn = {(p.args["arm"].removesuffix("-40"), p.x): p.seeds for p in points}
    stored_seeds: dict[tuple[str, float], set[int]] = {}
    for path in sorted((committed() / "clipped").glob("small-*.json")):
        run = read(path)
        arm = run.arm.removeprefix("small-").removesuffix("-40")
        for after in run.curve["round"]:
            stored_seeds.setdefault((arm, after), set()).add(run.seed)
    assert drawn == {place: len(seeds) for place, seeds in stored_seeds.items()}


@pytest.mark.parametrize(
    ("name", "experiment"),
    [("07-layers", bsq.residual), ("09-accuracy", lottery.experiment), ("06-widths", None), ("05-rounds", None)],
)
def test_a_demo_runs_the_experiment_that_it_shows(name, experiment, monkeypatch):
    """Whoever runs the recipe of a point trains just what the panel gives as TOML."""
    shown = chart(name)
    point = shown.points[0]
    module = __import__(f"fqlab.studies.{point.recipe.partition(':')[0]}", fromlist=["fit"])
    asked = []

    def caught(wanted, **_):
        asked.append(wanted)
        raise KeyboardInterrupt

    for kept in vars(module).values():
        if hasattr(kept, "cache_clear"):
            kept.cache_clear()
    monkeypatch.setattr(module, "fit", caught)
    with pytest.raises(KeyboardInterrupt):
        run_row(shown.row(point), "demo")
    assert asked == [point.experiment(seed=0)]


def test_a_cheap_point_comes_out_again():
    shown = chart("03-mse")
    point = shown.points[4]
    again = run_row(shown.again(point), "demo")
    assert again.values == pytest.approx(stored(shown, point).values, rel=1e-3)


def test_a_store_is_filled_once_and_goes_on_where_it_was(tmp_path, capsys, monkeypatch):
    from fqlab.papers.charts import store

    shown = chart("03-mse")
    ran = []

    def pretend(one, scale):
        ran.append(one.id)
        if len(ran) == 3:
            raise KeyboardInterrupt
        return asdict_free(stored(shown, next(p for p in shown.points if shown.id(p) == one.id)))

    def asdict_free(kept):
        return read_result(json.dumps(asdict(kept)))

    monkeypatch.setattr(store, "run_row", pretend)
    with pytest.raises(KeyboardInterrupt):
        fill(shown, tmp_path)
    assert len(json.loads((tmp_path / "03-mse.json").read_text(encoding="utf-8"))) == 2
    fill(shown, tmp_path)
    assert len(ran) == len(shown.points) + 1, "what was there was not run again"
    assert (tmp_path / "03-mse.json").read_bytes() == (FOLDER / "03-mse.json").read_bytes()
    fill(shown, tmp_path)
    assert len(ran) == len(shown.points) + 1


def test_an_arm_looks_alike_in_all_figures_of_rounds():
    looks: dict[str, set[object]] = {}
    for name in ("05-rounds", "05-rounds-mnist", "05-rounds-full"):
        drawn = data(chart(name))
        for k, arm in enumerate(drawn.arms):
            looks.setdefault(arm.name, set()).add(_look(drawn, k))
    assert len(looks) > 8
    assert all(len(found) == 1 for found in looks.values())


def test_an_unknown_figure_is_refused():
    with pytest.raises(ConfigError, match="figure is '99'"):
        chart("99")


def test_the_mean_is_what_is_drawn_unless_a_seed_is_asked_for():
    shown = chart("06-widths")
    assert data(shown) == data(shown, MEAN)
