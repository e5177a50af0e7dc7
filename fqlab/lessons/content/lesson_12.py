"""Lesson 12: the frontier."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from fqlab.lessons.by_hand import by_hand
from fqlab.lessons.model import Exercise, Lesson, Mistake, Option, Prediction, Question

if TYPE_CHECKING:
    from fqlab.panels.views.frontier import State

CAP = 500.0
TARGET = 0.95


def _ratio() -> float:
    """FedAvg's bytes, up and down, to 90 % over those of the cheapest stored run of any system."""
    from fqlab.studies.frontier import FAMILIES, cheapest

    points = {family: cheapest(family, "even", "everyone", 0.9, "both") for family in FAMILIES}
    least = min(p.cost("both") for p in points.values() if p)
    return points["fedavg"].cost("both") / least


@cache
def _run(state: State) -> tuple[float, float]:
    """Final accuracy of a state's own run, and its kilobytes both ways."""
    from fqlab.panels.views.frontier import own
    from fqlab.studies.frontier import trace

    *_, last = trace(own(state), stops=(state.rounds,))
    return last["everyone"], (last["bytes_up"] + last["bytes_down"]) / 1000


def _reach(answer: object) -> list[float]:
    """Whether the run of a ticket, or of a panel as it is set, reaches 95 %, within 500 kB, on evenly dealt labels."""
    from fqlab.panels import frontier
    from fqlab.panels.ticket import read

    state = read(frontier.name, frontier.version, frontier.State, getattr(answer, "ticket", answer))
    accuracy, kilobytes = _run(state)
    return [float(accuracy >= TARGET), float(kilobytes <= CAP), float(state.labels == "even")]


def _ticket(**settings: object) -> str:
    from fqlab.panels import frontier
    from fqlab.panels.ticket import write

    return write(frontier.name, frontier.version, frontier.State(**settings))


MIX = {"epochs": 5, "participants": 5, "rounds": 10}

LESSON = Lesson(
    number="12",
    title="The frontier",
    predictions=(
        Prediction(
            "12-cheapest",
            "FedAvg needs several megabytes, up and down, until digits are read at 90 %. How many times fewer bytes does "
            "the cheapest stored run of any system need?",
            low=1,
            high=40,
            result=_ratio,
            close=2.5,
            unit="×",
            because="because it quantizes the way down too; a method that saves bytes up alone still pays for half of the traffic.",
        ),
    ),
    exercises=(
        Exercise(
            id="12-beat-the-front",
            then="None of the levers you used is new. Their product is on no other point of the plot.",
            task="find a run on evenly dealt labels that reaches 95 % or more within 500 kB, up and down together, and "
            "paste its ticket. No stored run does.",
            cases=((),),
            reference=lambda: _ticket(method="both", bits=4, **MIX),
            solution="from fqlab.panels import frontier\n\ndef answer():\n"
            "    return frontier(method='both', bits=4, epochs=5, participants=5, rounds=10).ticket",
            hints=(
                "Which settings of your run change the bytes, and which change only the work of a device?",
                "bytes = 2 · rounds · devices a round · (4810 · bits / 8 + some), if both ways are quantized",
                "panel.set(method='both', cost='both', cap=500, epochs=5), then fewer rounds and fewer devices",
            ),
            mistakes=(
                Mistake(
                    lambda: _ticket(method="fedavg", **MIX),
                    "Accurate, but over the cap: fewer bits, both ways, or fewer rounds and devices.",
                ),
                Mistake(
                    lambda: _ticket(method="both", bits=2, rounds=6),
                    "Light, but below 95 %: let the devices work longer between two rounds, or give them a bit more.",
                ),
                Mistake(
                    lambda: _ticket(method="both", bits=1, participants=10, rounds=60),
                    "Too heavy and still below 95 %: talk less and work more on the device, instead of adding rounds.",
                ),
            ),
            judge=_reach,
        ),
        by_hand(
            "12-twice-the-rounds",
            then="Sixteen times lighter packets, and a dearer run: rounds belong to the price of a method.",
            task="on paper: a method sends a sixteenth of FedAvg's bytes up and as many as FedAvg down, and needs twice the rounds. How "
            "many times fewer bytes does it take in all? Below 1 means: more.",
            value=2 / (2 * (1 / 16 + 1)),
            solution="(1 + 1) / (2 * (1 / 16 + 1))",
            hints=(
                "What does one round of each cost, up and down?",
                "(1 + 1) over 2·(1/16 + 1)",
                "FedAvg's round: 1 up and 1 down",
            ),
            mistakes={
                8.0: "That is the way up alone, over twice the rounds.",
                2 / (1 / 16 + 1): "A round is that much cheaper. But it takes twice as many of them.",
                (2 * (1 / 16 + 1)) / 2: "That is how many times more it takes: the other way round.",
                16.0: "The way up of one round alone.",
            },
            tolerance=0.006,
        ),
    ),
    questions=(
        Question(
            "A paper counts bytes up alone. Which method does this flatter most?",
            (
                Option(
                    "one that sends 2 bits up and 32 bits down",
                    "Yes: its saving is all in the direction that is counted.",
                    True,
                ),
                Option("one that sends 4 bits both ways", "No: half of its saving is in the direction not counted."),
                Option("FedAvg", "Tempting, it sends the most up; but it is the yardstick of all the others."),
            ),
        ),
        Question(
            "Two points differ by half a point of accuracy at equal bytes. The better one ...",
            (
                Option(
                    "may be the luckier one",
                    "Yes: final accuracies of seeds differ by half a point to several points here.",
                    True,
                ),
                Option("is the better method", "One seed each cannot say that; look at the spread first."),
                Option("is on the front", "It is nearer, but a third point may beat both."),
            ),
        ),
        Question(
            "Ten rounds of five local epochs beat thirty of one. This lever is safe ...",
            (
                Option(
                    "while devices have similar data",
                    "Yes: lesson 01 showed how long local work drifts apart under label skew.",
                    True,
                ),
                Option("always", "Under strong skew, models that worked alone for long disagree; see lesson 01."),
                Option("only in full precision", "Here the mix with 4 bits keeps the accuracy."),
            ),
        ),
    ),
)
