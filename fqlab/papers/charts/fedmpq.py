"""FedMPQ: accuracy against ε, λ, local epochs and clients, and the bits of every layer by budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from fqlab.federation import Experiment
from fqlab.papers.charts.model import Axis, Chart, Finding, Point, Published
from fqlab.studies import fedmpq, weak_clients
from fqlab.studies.scale import fedmpq as fashion

__all__ = ["CHARTS"]

ARMS = {"fedmpq": "FedMPQ", "aqfl": "AQFL"}
SETUP = "Ours: digits, ResNet-8, 10 clients, Dirichlet 0.5, budgets of 2 to 8 bits, 8 rounds, 3 seeds. The paper's: not public."
LONG = "Ours: Fashion-MNIST at 14 × 14, ResNet-8, 4 000 images, 10 clients, Dirichlet 0.5, 12 rounds, 3 seeds."
ACCURACY = Axis("test accuracy (%)", tuple((p, f"{p} %") for p in range(0, 101, 25)), 0, 104)
LONG_ACCURACY = Axis("test accuracy (%)", tuple((p, f"{p} %") for p in range(65, 86, 5)), 65, 85)
RUNS: dict[str, dict[float, str]] = {
    "epsilon": {0.0: "epsilon-0", 0.02: "short", 0.1: "epsilon-0.1", 0.3: "epsilon-0.3"},
    "penalty": {0.0: "lambda-0", 0.001: "short", 0.01: "lambda-0.01", 0.1: "lambda-0.1"},
    "epochs": {1: "epochs-1", 2: "short", 4: "epochs-4"},
}
"""Setting -> its values and the stored runs of 12 rounds on Fashion-MNIST."""
BASELINE: dict[float, str] = {1: "aqfl-epochs-1", 2: "aqfl-short", 4: "aqfl-epochs-4"}
"""Local epochs -> AQFL's runs."""
CLAIMS = {
    "epsilon-0.1": "fedmpq-small-epsilon-falls",
    "epsilon-0": "fedmpq-small-epsilon-flat",
    "lambda-0.1": "fedmpq-small-lambda-falls",
    "lambda-0.01": "fedmpq-small-lambda-flat",
    "epochs-1": "fedmpq-small-epochs",
    "aqfl-epochs-1": "fedmpq-small-epochs-aqfl",
}
"""Run -> the claim that it bears on."""
DEFAULTS = {"epsilon": 0.02, "penalty": 0.001, "epochs": 2, "clients": 10}
"""The public code's ε and λ, and what the others are where one is moved."""
PUBLIC = {2: (8, 8, 8, 8, 2, 1, 1, 8), 4: (8, 8, 8, 8, 8, 6, 1, 8)}
"""Budget -> bits by layer at which the authors' code ends at this size."""
BUDGETS = (2, 4, 6, 8)


def _settings(name: str, value: float) -> dict[str, Any]:
    """One setting moved; where it has its default nothing is said, so that all figures share that run."""
    return {} if value == DEFAULTS[name] else {name: value}


def _swept(name: str, arm: str, values: tuple[float, ...], *, follows: bool) -> list[Point]:
    """The points of an arm; one that does not follow the setting stays where it is."""
    settings = [_settings(name, value) if follows else {} for value in values]
    return [
        Point(
            ARMS[arm],
            k,
            "fedmpq:swept",
            {"method": arm, **changed},
            partial(fedmpq.residual, arm, **changed),
            "weak-gain",
        )
        for k, changed in enumerate(settings)
    ]


def _sweep(
    title: str, name: str, label: str, say: str, values: tuple[float, ...], finding: Finding, *, both: bool
) -> Chart:
    points = [*_swept(name, "fedmpq", values, follows=True), *_swept(name, "aqfl", values, follows=both)]
    shows = f"FedMPQ: accuracy against {label.partition(' (')[0]}"
    axis = Axis.categories(label, *(f"{v:g}" for v in values), say=say)
    return Chart(title, shows, "fedmpq", SETUP, axis, ACCURACY, tuple(ARMS.values()), tuple(points), finding)


def _stored(name: str, arm: str, k: int, value: float, run: str) -> Point:
    """A point read off a stored run; it runs again on digits."""
    twin = ("fedmpq:swept", {"method": arm, **_settings(name, value)})
    return Point(
        ARMS[arm], k, "scale.fedmpq:ended", {"arm": run}, fashion.ARMS["small", run].at, CLAIMS.get(run, ""), twin
    )


def _long(of: Chart, name: str) -> Chart:
    """The same sweep on Fashion-MNIST: AQFL has neither ε nor λ and stays where it is."""
    runs = RUNS[name]
    steady = DEFAULTS["epochs"]
    mine = [_stored(name, "fedmpq", k, value, run) for k, (value, run) in enumerate(runs.items())]
    epochs = [value if name == "epochs" else steady for value in runs]
    theirs = [_stored("epochs", "aqfl", k, value, BASELINE[value]) for k, value in enumerate(epochs)]
    axis = Axis.categories(of.x.label, *(f"{v:g}" for v in runs), say=of.x.say)
    return replace(
        of, name=f"{of.name}-fashion", shows=f"{of.shows}, Fashion-MNIST", setup=LONG, x=axis, y=LONG_ACCURACY,
        points=(*mine, *theirs), finding=_ends(of.x.label.partition(" (")[0], runs), scale="small",
    )  # fmt: skip


def _ends(what: str, runs: Mapping[float, str]) -> Finding:
    """FedMPQ at the first and the last value of a setting."""
    first, *_, last = runs
    ends = lambda values: (values["FedMPQ", 0], values["FedMPQ", len(runs) - 1])
    return lambda values: "FedMPQ, {} {:g} to {:g}: from {:.1f} to {:.1f} %".format(what, first, last, *ends(values))


def _far(words: str, near: int, far: int) -> Finding:
    """The first arm at two places."""
    return lambda values: words.format(values["FedMPQ", near], values["FedMPQ", far])


def _experiment(seed: int = 0) -> Experiment:
    """Of the study's first seed on."""
    return weak_clients.experiment("unequal", "fedmpq", "integer", weak_clients.SEEDS[seed])


def _weakest(values: Mapping[tuple[str, float], float]) -> str:
    large = [values["budget 2", k] for k in (4, 5, 6)]
    return f"The 2-bit device keeps its small layers at 8 bits; its three large ones get {large[0]:g}, {large[1]:g} and {large[2]:g}"


def _layers() -> Chart:
    names: Callable[[int], str] = lambda budget: f"budget {budget}"
    points = tuple(
        Point(names(b), k, "weak_gains:width", {"bits": b, "layer": k}, _experiment, "weak-own-gain",
              ("fedmpq:width", {"budget": b, "layer": k}))
        for b in BUDGETS for k in range(8)
    )  # fmt: skip
    public = tuple(
        Published(f"budget {b}, code", k, bits, "code", "the authors' code run at this size; its 2-bit device is over budget")
        for b, widths in PUBLIC.items() for k, bits in enumerate(widths)
    )  # fmt: skip
    return Chart(
        "08-layers", "FedMPQ: bits by layer, one line a budget", "weak_clients",
        "Ours: Fashion-MNIST at 14 × 14, ResNet-8, 10 clients, 8 rounds, 4 seeds. Stars: the authors' code at this size.",
        Axis.categories("layer", *weak_clients.LAYERS, say="layer {}"), Axis("bits a weight", tuple((b, str(b)) for b in range(0, 9, 2)), 0, 8.9),
        (*map(names, BUDGETS), *(f"budget {b}, code" for b in PUBLIC)), points, _weakest, public, scale="small", seeds=4,
    )  # fmt: skip


CHARTS = {
    "08-layers": _layers(),
    "08-epsilon": _sweep(
        "08-epsilon", "epsilon", "ε (share of ones that is pruned)", "ε = {}", (0.0, 0.02, 0.05, 0.1, 0.3),
        _far("Accuracy against ε: {:.0f} % at 0.02, {:.0f} % at 0.3", 1, 4), both=False,
    ),
    "08-lambda": _sweep(
        "08-lambda", "penalty", "λ (group lasso)", "λ = {}", (0.0, 0.001, 0.01, 0.1),
        _far("Over λ the seeds differ more than the means: {:.0f} % at 0.001, {:.0f} % at 0.1", 1, 3), both=False,
    ),
    "08-epochs": _sweep(
        "08-epochs", "epochs", "local epochs", "{} local epochs", (1, 2, 4),
        _far("One local epoch is too few: {:.0f} % with one, {:.0f} % with four (FedMPQ)", 0, 2), both=True,
    ),
    "08-clients": _sweep(
        "08-clients", "clients", "clients", "{} clients", (5, 10, 20),
        _far("The more clients, the fewer images each: {:.0f} % with 5, {:.0f} % with 20 (FedMPQ)", 0, 2), both=True,
    ),
}  # fmt: skip
CHARTS |= {
    f"08-{short}-fashion": _long(CHARTS[f"08-{short}"], name)
    for short, name in (("epsilon", "epsilon"), ("lambda", "penalty"), ("epochs", "epochs"))
}
