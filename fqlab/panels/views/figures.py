"""The papers' figures, axis by axis: our points and the published ones, each with its set-up, its claim, and a new run."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from fqlab.errors import FqlabError
from fqlab.federation import Experiment
from fqlab.panels import page
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.panels.lru import LRUCache
from fqlab.papers.charts import CHARTS, TITLES, Chart, Point, chart
from fqlab.papers.charts.drawing import MEAN, Mark, data, marks
from fqlab.papers.claims import Claim, Result, Row, ruling, source
from fqlab.papers.claims.table import number, value_text
from fqlab.papers.reproduce import seed_by_seed
from fqlab.plots.charts import Card, Rebuilt
from fqlab.plots.picture import Drawing, draw
from fqlab.plots.spots import Tip

__all__ = ["Figures", "State", "picked"]

MOST = 64
"""Where the slider ends: the largest figure has 48 points, and may grow."""
SEEDS = {"mean": "mean ± spread", "0": "the first", "1": "the second", "2": "the third"}


@dataclass(frozen=True)
class State(Settings):
    """Everything the pictures depend on."""

    figure: str = control("07-layers", label="Figure", choices=TITLES, group="Figure")
    arm: int = control(0, label="Arm (0: all)", low=0, high=10, help="looks at one arm; the point then walks along it")
    seed: str = control("mean", label="Seeds", choices=SEEDS)
    point: int = control(
        1,
        label="Point",
        low=1,
        high=MOST,
        group="One point",
        help="walk through the points with the arrow keys, or click one",
    )
    again: bool = control(
        False, label="Run it again", choices={False: "no", True: "yes, at demo scale"},
        help="computes the point once more, here and now, and puts it into the picture as a cross",
    )  # fmt: skip


class Figures(Panel):
    """Pick a point: what is it, what was published, does it come out again?"""

    name, title = "figures", "Figures of the papers, axis by axis"
    State = State
    rows = ((Rebuilt,), (Card,))
    presets = {
        "OCTAV": {"figure": "03-mse"},
        "Clipped": {"figure": "05-rounds-mnist"},
        "Robust": {"figure": "06-widths"},
        "BSQ": {},
        "FedMPQ": {"figure": "08-epochs"},
        "LotteryFL": {"figure": "09-accuracy"},
    }
    handles = ("arm", "seed", "again")  # every point is reached by a click
    opens = ("figure",)
    tells = True

    def instant(self, state: State) -> Frame:
        return _frame(state)

    def run(self, state: State) -> Iterator[Frame]:
        row = _again(state)
        if row is None:
            return
        if _key(row) not in _RUNS:
            for step in seed_by_seed(row, "demo"):
                if isinstance(step, Result):
                    _RUNS[_key(row)] = step
                else:
                    yield Frame({}, progress=step)
        yield replace(_frame(state), message="")

    def still(self) -> Drawing:
        """The figure alone: the text below says what the card does, and a notebook holds several stills."""
        with self.lock:
            return draw(Rebuilt, self.frame.pictures[Rebuilt], zoom=1.25)

    @classmethod
    def experiment(cls, state: State) -> Experiment | None:
        point = picked(state).point
        return point.experiment(seed=max(_seed(state), 0)) if isinstance(point, Point) else None

    @classmethod
    def training(cls, state: State) -> Hashable:
        return (state.figure, state.arm, state.point) if state.again else "nothing is run"

    def seconds(self, state: State) -> float:
        row = _again(state)
        return 0.0 if row is None or _key(row) in _RUNS else _expected(row.recipe)

    def tell(self, more: str = "") -> None:
        """The message, and behind it the experiment of the point, to be copied."""
        try:
            box = page.text_box(self.toml())
        except FqlabError:
            box = ""
        self.status.write(f"{self.frame.message} {more}".strip() + " ", link=box)


_RUNS: LRUCache[str, Result] = LRUCache(64)
"""What was run again, by recipe and arguments."""


def _key(row: Row) -> str:
    return f"{row.recipe} {sorted(row.args.items())} {row.seeds}"


def _seed(state: State) -> int:
    return MEAN if state.seed == "mean" else int(state.seed)


def _walk(state: State) -> list[Mark]:
    """The points that the slider walks through; an arm that a figure lacks stands for all of them."""
    every = marks(chart(state.figure))
    return [m for m in every if m.arm == state.arm - 1] or list(every)


def picked(state: State) -> Mark:
    """The point of a state; behind the last one the slider stays there."""
    walk = _walk(state)
    return walk[min(state.point, len(walk)) - 1]


def _again(state: State) -> Row | None:
    """What runs the point again; None if nobody asks, it was published, or it has no demo."""
    point = picked(state).point
    return chart(state.figure).again(point) if state.again and isinstance(point, Point) else None


@cache
def _expected(recipe: str) -> float:
    """Seconds of a recipe: of the stored point that took longest, since the others shared its runs."""
    stored = (m.result for name in CHARTS for m in marks(chart(name)) if isinstance(m.point, Point))
    return max((r.seconds for r in stored if r is not None and r.recipe == recipe), default=20.0)


def _frame(state: State) -> Frame:
    shown = chart(state.figure)
    here = picked(state)
    row = _again(state)
    fresh = _RUNS.get(_key(row)) if row else None
    only = state.arm - 1 if 0 < state.arm <= len(shown.arms) else None
    picture = data(shown, _seed(state), only, here, fresh, _tips(state.figure))
    return Frame(
        {Rebuilt: picture, Card: _card(state, shown, here, fresh)},
        f"{shown.shows}. {_what(shown, here)}: {_value(shown, here, _seed(state))}.",
        _rows(shown, state),
    )


def _what(shown: Chart, mark: Mark) -> str:
    """``α = 0.02, layer 3b``."""
    return f"{mark.point.arm}, {shown.x.said(mark.point.x)}"


def _value(shown: Chart, mark: Mark, seed: int = MEAN) -> str:
    point = mark.point
    if not isinstance(point, Point) or mark.result is None:
        return f"{number(float(f'{mark.value():.4g}'))} ({getattr(point, 'provenance', 'not stored')})"
    if seed >= len(mark.result.values):
        return "not run under this seed"
    if seed == MEAN:
        return value_text(shown.row(point), mark.result)  # says itself that a long run was the only one
    return f"{mark.value(seed):.5g}{' (one seed)' * mark.single}"


def _summary(experiment: Experiment) -> str:
    """``bsq: resnet8 on digits, 1 client, 40 rounds``."""
    e = experiment
    clients = f"{e.clients} client" + "s" * (e.clients > 1)
    return (
        f"{e.method}: {e.model} on {e.dataset}, {clients}, {e.rounds} rounds of {e.epochs} epoch{'s' * (e.epochs > 1)}"
    )


@cache
def _tips(name: str) -> tuple[tuple[Tip, ...], ...]:
    """What the points of a figure say, arm by arm; a click walks to the point among all of them."""
    shown = chart(name)
    tips: list[list[Tip]] = [[] for _ in shown.arms]
    for k, mark in enumerate(marks(shown)):
        point = mark.point
        below = _summary(point.experiment()) if isinstance(point, Point) else f"{point.provenance}: {point.where}"
        label = f"{_what(shown, mark)}: {_value(shown, mark)}\n{below}"
        tips[mark.arm].append(Tip(label, {"figure": name, "arm": 0, "point": k + 1}))
    return tuple(map(tuple, tips))


def _card(state: State, shown: Chart, here: Mark, fresh: Result | None) -> Card.Data:
    walk = _walk(state)
    headline = f"Point {walk.index(here) + 1} of {len(walk)}: {_what(shown, here)}: {_value(shown, here, _seed(state))}"
    point = here.point
    if isinstance(point, Point):
        lines = [("set-up", _summary(point.experiment())), ("seeds", _made(here)), *_ledger(point.ledger)]
        lines.append(("run again", _fresh(shown, point, here, fresh)))
    else:
        lines = [("published", f"{point.provenance}: {point.where}"), *_ledger(point.ledger)]
    paper = source(shown.source).papers[shown.paper]
    lines.append(("paper", f"{paper.title} ({paper.year}), arXiv {paper.arxiv}"))
    return Card.Data(headline, tuple(lines))


def _made(here: Mark) -> str:
    """Values, scale and date of a stored point."""
    kept = here.result
    assert kept is not None
    each = ", ".join(f"{v:.4g}" for v in kept.values)
    return f"{each}; scale {kept.scale}, {kept.time[:10]}, commit {kept.commit}"


def _ledger(row: Row | None) -> list[tuple[str, str]]:
    """The row of the ledger that a point bears on: statement, published value, ours, verdict."""
    if row is None:
        return [("claim", "no row of the ledger rests on this point")]
    if not isinstance(row, Claim):
        return [("ledger", f"{row.says} [{row.id}]; an observation, without verdict")]
    told = ruling(row)
    published = "not public" if row.published is None else f"{number(row.published)}{row.unit} ({row.provenance})"
    ours = value_text(row, told.result) if told.result else "-"
    return [
        ("claim", f"{row.says} [{row.id}]"),
        ("verdict", f"{told.verdict} ({told.scale}); published: {published}; ours: {ours}"),
    ]


def _fresh(shown: Chart, point: Point, here: Mark, fresh: Result | None) -> str:
    row = shown.again(point)
    if row is None:
        return "this point has no scale demo"
    if fresh is None:
        return f"about {max(1, round(_expected(row.recipe)))} s at scale demo; set Run it again to yes"
    other = "" if shown.scale == "demo" else " on digits: another set-up"
    stored = value_text(shown.row(point), here.result) if here.result else "nothing"
    return f"{value_text(row, fresh)} (the cross){other}; stored {stored}"


def _rows(shown: Chart, state: State) -> Sequence[dict[str, object]]:
    """The table behind the picture."""
    seed = _seed(state)
    return [
        {
            "shown_arm": m.point.arm, "x": shown.x.at(m.point.x), "value": m.value(seed),
            "spread": m.spread if seed == MEAN else 0.0, "provenance": getattr(m.point, "provenance", "ours"),
        }
        for m in marks(shown)
    ]  # fmt: skip
