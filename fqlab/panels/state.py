"""The typed state of a panel: one frozen dataclass, from which controls, reset, presets, ticket and tests derive."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from fqlab.errors import ConfigError, in_range, one_of, shown

__all__ = ["Control", "Settings", "changed", "control", "controls", "words"]


@dataclass(frozen=True)
class Control:
    """What a field of a state means to a person.

    Attributes:
        label: a quantity or a question; with ``unit`` it names the control, on screen and for screen readers.
        unit: unit of the value, empty if it has none.
        low, high, step: range of a number; ``step`` also fixes its type (whole numbers for a whole step).
        choices: value -> words, for a field that is one of a few things.
        group: heading under which the control stands, in the order of the pipeline.
        help: one sentence, shown as tooltip.
        mark: the value that theory recommends, drawn on the slider; ``mark_label`` says whose theory.
        box: a number box instead of a slider (seeds, counts).
        half: takes half of the column, beside its neighbour if that is a half too; its label must be short.
        when: the control is enabled while this holds for the state.
    """

    name: str
    default: Any
    label: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: Mapping[Any, str] | None = None
    group: str = ""
    help: str = ""
    mark: float | None = None
    mark_label: str = "theory"
    box: bool = False
    half: bool = False
    when: Callable[[Any], bool] | None = None

    @property
    def title(self) -> str:
        """Label and unit, e.g. ``Bits per weight (bit)``."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def values(self) -> tuple[Any, ...]:
        """Every value the control can take, in order."""
        if self.choices is not None:
            return tuple(self.choices)
        return tuple(self.at(i) for i in range(self.count))

    @property
    def count(self) -> int:
        """How many values the control can take."""
        if self.choices is not None:
            return len(self.choices)
        return round((self.high - self.low) / self.step) + 1

    def at(self, index: int) -> Any:
        """The value at position ``index`` of the control's range."""
        if self.choices is not None:
            return tuple(self.choices)[index]
        value = self.low + index * self.step
        return round(value) if isinstance(self.step, int) else round(value, 10)

    def index(self, value: Any) -> int:
        """Position of a valid ``value`` in the control's range."""
        if self.choices is not None:
            return list(self.choices).index(value)
        return round((value - self.low) / self.step)

    def checked(self, value: Any) -> Any:
        """``value`` if it is allowed, moved to the nearest step.

        Raises:
            ConfigError: otherwise.
        """
        value = _plain(value)
        if self.choices is not None:
            return self.at(self.index(one_of(self.name, value, self.choices)))
        in_range(self.name, value, self.low, self.high, integer=isinstance(self.step, int))
        return self.at(self.index(value))

    def in_words(self, value: Any) -> str:
        """The value in words, with its unit."""
        if self.choices is not None:
            return self.choices[value]
        return f"{value:g} {self.unit}".strip() if self.unit != "×" else f"{value:g}×"


def _plain(value: Any) -> Any:
    """NumPy's scalars as Python's own, which tickets, JSON and widgets can hold; anything else that is no scalar as text.

    A text that is no choice and no number is refused by name, where an array would be compared element by element.
    """
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, (bool, int, float, str, type(None))) else repr(value)


def control(default: Any, *, label: str, **about: Any) -> Any:
    """A dataclass field of a panel's state; ``about`` are the attributes of :class:`Control`.

    A boolean default gets the choices off and on.
    """
    if isinstance(default, bool):
        about.setdefault("choices", {False: "off", True: "on"})
    elif "choices" not in about:
        about.setdefault("step", 1)
    return dataclasses.field(default=default, metadata={"control": {"label": label, **about}})


@dataclass(frozen=True)
class Settings:
    """Base of every panel's state. Fields are checked and moved to the nearest step when a state is made.

    Raises:
        ConfigError: for a value that its control cannot take.
    """

    def __post_init__(self) -> None:
        for c in controls(type(self)):
            object.__setattr__(self, c.name, c.checked(getattr(self, c.name)))


@cache
def controls(state: type[Settings]) -> tuple[Control, ...]:
    """The controls of a state class, in the order of its fields."""
    fields = [f for f in dataclasses.fields(state) if "control" in f.metadata]
    return tuple(Control(name=f.name, default=f.default, **f.metadata["control"]) for f in fields)


def changed(state: Settings, changes: Mapping[str, Any]) -> Settings:
    """``state`` with ``changes`` made.

    Raises:
        ConfigError: for a name that is no setting, or a value that is not allowed.
    """
    for name in changes:
        one_of("setting", name, [c.name for c in controls(type(state))])
    try:
        return dataclasses.replace(state, **changes)
    except TypeError as wrong:
        raise ConfigError(f"The settings {shown(dict(changes))} cannot be read: {wrong}.") from None


def words(state: Settings) -> str:
    """The state as one line: ``bits per weight: 4 bit; rounding: nearest; OCTAV's step: 0; ...``."""
    return "; ".join(f"{_inside(c.label)}: {c.in_words(getattr(state, c.name))}" for c in controls(type(state)))


def _inside(label: str) -> str:
    """A label inside a sentence: a small first letter, unless the word is an abbreviation."""
    return label if label[:2].isupper() else f"{label[:1].lower()}{label[1:]}"
