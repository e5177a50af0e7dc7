"""Lesson 00: the tour."""

from __future__ import annotations

from functools import cache

from fqlab.lessons.model import Exercise, Lesson, Mistake, Option, Prediction, Question


@cache
def _run(**settings: object) -> tuple[float, int]:
    """Final accuracy and bytes up of a state of the tour."""
    from fqlab.federation import fit
    from fqlab.panels.views.tour import State, experiment

    history = fit(experiment(State(**settings)))
    return history.accuracy, history.rounds[-1].bytes_up


def _two_bits() -> float:
    return 100 * _run()[0]


def _reach(answer: object) -> list[float]:
    """Whether a ticket, or a panel as it is set, keeps 90 % accuracy, and whether it sends at most a tenth of the bytes."""
    import dataclasses

    from fqlab.panels import tour
    from fqlab.panels.ticket import read

    state = read(tour.name, tour.version, tour.State, getattr(answer, "ticket", answer))
    accuracy, up = _run(**dataclasses.asdict(state))
    return [float(accuracy >= 0.9), float(up <= _run(method="fedavg")[1] / 10)]


def _ticket(**settings: object) -> str:
    from fqlab.panels import tour
    from fqlab.panels.ticket import write

    return write(tour.name, tour.version, tour.State(**settings))


LESSON = Lesson(
    number="00",
    title="The tour",
    predictions=(
        Prediction(
            "00-two-bits",
            "Ten clients send 2-bit weights (and a sign) instead of 32-bit ones. Accuracy after 30 rounds, in %? "
            "Full precision reaches 95.",
            low=10,
            high=100,
            result=_two_bits,
            close=3,
            unit="%",
            because="because stochastic rounding has no direction: what two bits lose of one client in one round cancels over ten clients and thirty rounds.",
        ),
    ),
    exercises=(
        Exercise(
            id="00-ticket",
            task="set the panel so that accuracy stays at 90 % or more with at most a tenth of the bytes up, and paste "
            "its ticket.",
            cases=((),),
            reference=lambda: _ticket(grid="midrise", clip=1.3),
            solution="from fqlab.panels import tour\n\ndef answer():\n    return tour(grid='midrise', clip=1.3).ticket",
            hints=(
                "Which grids send two bits a weight, and which send a sign on top?",
                "A mid-rise code of b bits costs b/32 of the bytes; the sign-magnitude one (b+1)/32.",
                "panel.set(grid='midrise', bits=2), then look for the clip: is the best error the best accuracy?",
            ),
            mistakes=(
                Mistake(
                    lambda: _ticket(bits=4),
                    "Accurate enough, but more than a tenth of the bytes: fewer bits, or a grid without a sign.",
                ),
                Mistake(
                    lambda: _ticket(bits=1, grid="midrise"),
                    "Few bytes, but the accuracy fell below 90 %: one bit is over the cliff.",
                ),
                Mistake(
                    lambda: _ticket(method="octav", bits=2, split="strong"),
                    "Neither: label skew costs accuracy, and the sign costs bytes.",
                ),
            ),
            judge=_reach,
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
                Option("Seed", "The seed moves the curve a little, never over the cliff."),
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
