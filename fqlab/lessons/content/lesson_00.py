"""Lesson 00: the tour."""

from __future__ import annotations

from functools import cache

from fqlab.lessons.by_hand import by_hand
from fqlab.lessons.model import Exercise, Lesson, Mistake, Option, Prediction, Question


@cache
def _run(**settings: object) -> tuple[float, int]:
    """Final accuracy and bytes up of a state of the tour."""
    from fqlab.federation import fit
    from fqlab.panels.views.tour import State, experiment

    history = fit(experiment(State(**settings)))
    return history.accuracy, history.rounds[-1].bytes_up


def _one_bit() -> float:
    return 100 * _run(bits=1, grid="midrise")[0]


def _reach(answer: object) -> list[float]:
    """Whether a ticket, or a panel as it is set, keeps 90 % accuracy, and whether it sends at most a twelfth of the bytes."""
    import dataclasses

    from fqlab.panels import tour
    from fqlab.panels.ticket import read

    state = read(tour.name, tour.version, tour.State, getattr(answer, "ticket", answer))
    accuracy, up = _run(**dataclasses.asdict(state))
    return [float(accuracy >= 0.9), float(up <= _run(method="fedavg")[1] / 12)]


def _ticket(**settings: object) -> str:
    from fqlab.panels import tour
    from fqlab.panels.ticket import write

    return write(tour.name, tour.version, tour.State(**settings))


LESSON = Lesson(
    number="00",
    title="The tour",
    predictions=(
        Prediction(
            "00-one-bit",
            "Ten clients send one bit a weight instead of 32, clipped where the squared error is least and rounded by chance. "
            "Accuracy after 30 rounds, in %? Full precision reaches 95.",
            low=0,
            high=100,
            result=_one_bit,
            close=3,
            unit="%",
            because="because the clip of least error cuts off half of the weights, always towards zero, and does so again in every round: ten in a hundred is blind guessing. Whether one bit must end so is what you find out now.",
        ),
    ),
    exercises=(
        Exercise(
            id="00-ticket",
            then="So a federation that talks twelve times less can read as well. What it costs elsewhere is the rest of the course.",
            task="set the panel so that accuracy stays at 90 % or more with at most a twelfth of the bytes up, and paste "
            "its ticket.",
            cases=((),),
            reference=lambda: _ticket(grid="midrise", bits=1, method="max_abs", send="differences"),
            solution="from fqlab.panels import tour\n\ndef answer():\n"
            "    return tour(grid='midrise', bits=1, method='max_abs', send='differences').ticket",
            hints=(
                "Two bits a weight end at 10.7 times fewer bytes, as biases stay whole. How many bits are left?",
                "A mid-rise code of b bits costs b/32 of the bytes; the sign-magnitude one (b+1)/32.",
                "panel.set(grid='midrise', bits=1): now range, clip, rounding and what is sent are free.",
            ),
            mistakes=(
                Mistake(
                    lambda: _ticket(grid="midrise", clip=1.3),
                    "Accurate enough, but more than a twelfth of the bytes: fewer bits, or a grid without a sign.",
                ),
                Mistake(
                    lambda: _ticket(bits=1, grid="midrise"),
                    "Few bytes, but the accuracy fell below 90 %: try another clip, another range, or send something else.",
                ),
                Mistake(
                    lambda: _ticket(method="octav", bits=2, split="strong"),
                    "Neither: label skew costs accuracy, and the sign costs bytes.",
                ),
            ),
            judge=_reach,
        ),
        by_hand(
            "00-both-ways",
            then="So no method that saves on the way up alone ever halves the bill. Lesson 12 counts both ways.",
            task="on paper: uploads fall from 32 bits to 1 bit a weight, downloads stay at 32. How many times less travels in all?",
            value=64 / 33,
            solution="(32 + 32) / (1 + 32)",
            hints=(
                "What travels for one weight in a round, before and after?",
                "bits up + bits down, before over after",
                "before: 32 + 32 bits a weight",
            ),
            mistakes={
                32.0: "That is the way up alone. The way down is still there, at 32 bits.",
                2.0: "Almost: that would be uploads of nothing at all. One bit still travels.",
                33 / 64: "That is the share that is left. How many times less is its inverse.",
            },
            tolerance=0.006,
        ),
    ),
    questions=(
        Question(
            "Which slider can ruin the accuracy although the bits stay the same?",
            (
                Option("Bits per weight", "That one changes the bits by definition."),
                Option(
                    "Clip", "Yes: too wide and small weights round to nothing, too tight and large ones are cut.", True
                ),
                Option("Seed", "The seed moves the curve by a few points, never by fifty."),
            ),
        ),
        Question(
            "Uploads shrink tenfold. How much does the whole traffic shrink?",
            (
                Option("About tenfold", "Tempting, but look at the lowest bar: the way down is still 32 bit."),
                Option("Less than twofold", "Yes: the way down stays, and it was half of the traffic.", True),
                Option("Not at all", "The way up did shrink; the sum shrinks with it, only less."),
            ),
        ),
        Question(
            "Two runs with the same ticket ...",
            (
                Option("differ by chance", "They would if any draw came from a global generator; none does."),
                Option(
                    "agree to the last bit",
                    "Yes: every draw has an address made of seed, round, client and purpose.",
                    True,
                ),
                Option("agree only on the same day", "Nothing in an experiment depends on the clock."),
            ),
        ),
    ),
)
