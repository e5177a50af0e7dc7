"""Whatever a person pastes or a disk gives back: tickets, codes and progress files are read or refused, by name."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fqlab import lessons, panels
from fqlab.errors import ConfigError, DataError
from fqlab.lessons import code, store
from fqlab.lessons.classroom import gather
from fqlab.panels import ticket
from fqlab.panels.state import controls

COUNT = 2_000
PANELS = [getattr(panels, name) for name in sorted(panels.PANELS)]
PREDICTIONS = [p for n in lessons.LESSONS for p in lessons.lesson(n).predictions]
ODD = [
    "",
    " ",
    "\n",
    "\0",
    "-",
    "--",
    "−",
    "ſ",
    "ß",
    "ﬁ",
    "١",
    "²",
    "\u200b",
    "\ud800",
    "\U0001f600",
    "İ",
    "O",
    "l",
    "Z" * 50,
    "0" * 5000,
]


def mutants(texts: list[str], count: int, seed: int) -> Iterator[str]:
    """``texts`` with one to four changes each: a letter, a piece cut, doubled or moved, a piece of another, odd characters."""
    draw = random.Random(seed)
    for _ in range(count):
        text = draw.choice(texts)
        for _ in range(draw.randint(1, 4)):
            a, b = sorted(draw.choices(range(len(text) + 1), k=2))
            middle = draw.choice(
                [
                    "", text[a:b] * 2, text[a:b][::-1], text[a:b].swapcase(), draw.choice(ODD), draw.choice(texts),
                    draw.choice(ticket.ALPHABET), chr(draw.randrange(0x3000)), text[a:b] * draw.choice((10, 1000)),
                ]
            )  # fmt: skip
            text = (text[:a] + middle + text[b:])[:20_000]
        yield text


def states(kind: type, count: int, seed: int) -> Iterator[object]:
    draw = random.Random(seed)
    for _ in range(count):
        yield kind(**{c.name: c.at(draw.randrange(c.count)) for c in controls(kind)})


def tried(error: type[Exception], read: Callable[..., Any], *given: Any) -> tuple[Any, str]:
    """What a reader gives back, or what it says; any other exception than ``error`` is a fault."""
    try:
        return read(*given), ""
    except error as told:
        return None, str(told)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_a_ticket_is_read_or_refused(panel: type) -> None:
    texts = [ticket.write(panel.name, panel.version, state) for state in states(panel.State, 20, 1)]
    about = (panel.name, panel.version, panel.State)
    refused = 0
    for text in mutants(texts, COUNT, 2):
        state, told = tried(ConfigError, ticket.read, *about, text)
        if state is None:
            refused += 1
            assert told.startswith("ticket is ")
            assert len(told) < 250
        else:
            assert ticket.read(*about, ticket.write(panel.name, panel.version, state)) == state
    assert COUNT / 2 < refused < COUNT


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.name)
def test_what_is_no_ticket_at_all_is_refused(panel: type) -> None:
    for other in (
        None,
        5,
        b"tour-0-0000",
        ["tour"],
        object(),
        "Z" * 10**6,
        f"{panel.name}-" + "Z" * 10**6,
        " " * 10**6,
    ):
        with pytest.raises(ConfigError, match="ticket is"):
            ticket.read(panel.name, panel.version, panel.State, other)


def test_a_ticket_beyond_the_last_setting_is_refused() -> None:
    panel = panels.tour
    number = 1
    for setting in controls(panel.State):
        number *= setting.count
    seal = ticket.seal(panel.name, panel.version, panel.State, number)
    text = f"{panel.name}-{ticket.spell(number)}-{ticket.spell(seal, ticket.CHECK)}"
    with pytest.raises(ConfigError, match="check digits do not fit"):
        ticket.read(panel.name, panel.version, panel.State, text)


def test_a_code_is_read_or_refused() -> None:
    for seed, p in enumerate(PREDICTIONS):
        draw = random.Random(seed)
        texts = [code.write(p.id, draw.uniform(p.low, p.high)) for _ in range(20)] + [code.write(p.id, 0)]
        for text in mutants(texts, COUNT, seed):
            guess, told = tried(ConfigError, code.read, p.id, text)
            if guess is None:
                assert told.startswith("code is ")
                assert len(told) < 250
            else:
                assert code.read(p.id, code.write(p.id, guess)) == guess
        guesses, left_out = gather(p.id, "\n".join(mutants(texts, 200, seed + 1)))
        assert all(p.low <= guess <= p.high for guess in guesses)
        assert len(left_out) < 200


def test_what_is_no_code_at_all_is_refused() -> None:
    p = PREDICTIONS[0]
    huge = f"FQ00-{'Z' * 10**6}-0000"
    for other in (None, 5, b"FQ00-0-0000", [], huge, " " * 10**6):
        with pytest.raises(ConfigError, match="code is"):
            code.read(p.id, other)
    guesses, left_out = gather(p.id, f"{huge} FQ٠٠-5-0000 {code.write(p.id, 50)}")
    assert guesses == (50,)
    assert left_out == "Not counted: 2 mistyped (FQ00-ZZZZZZZZZZZZZZZ…, FQ٠٠-5-0000)."


@pytest.mark.parametrize("guess", [1e-40, -1e-40, 5e-324, 0.0, -0.0, 1e-21])
def test_a_guess_of_next_to_nothing_is_written_as_nothing(guess: float) -> None:
    assert code.read("01-own-starts", code.write("01-own-starts", guess)) == 0


@pytest.mark.parametrize("guess", [float("nan"), float("inf"), 1e21, "50", None])
def test_a_guess_beyond_all_scales_has_no_code(guess: object) -> None:
    with pytest.raises(ConfigError, match="guess is"):
        code.write("01-own-starts", guess)


def test_a_progress_file_is_read_or_refused(own_progress) -> None:
    full = {
        "guesses": {"03-clip-gain": 4.5},
        "results": {"03-clip-gain": 3, "03-x": -1e-9},
        "solved": {"03-a": True},
        "answers": {"00-1": False},
    }
    texts = [json.dumps(full), json.dumps(full, indent=1), json.dumps(store.empty()), json.dumps([full, 10**30, 1e308])]
    read = 0
    for text in mutants(texts, COUNT, 5):
        own_progress.write_bytes(text.encode("utf-8", "surrogatepass"))
        progress, told = tried(DataError, store.load, own_progress)
        if progress is None:
            assert told.endswith("can't be read; delete it, or import another.")
        else:
            read += 1
            assert list(progress) == list(store.KINDS)
            assert lessons.progress().mood == "note"
    assert read > 20
