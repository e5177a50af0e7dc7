"""What every new panel takes over: how large it is, and which controls it hides. :func:`fqlab.teach` sets it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from fqlab.errors import ConfigError, one_of, shown

__all__ = ["Teaching", "choose", "hidden", "now"]


@dataclass(frozen=True)
class Teaching:
    """What a panel takes over when it is made: ``zoom`` enlarges it, controls named in ``hide`` are not shown."""

    zoom: float = 1.0
    hide: frozenset[str] = frozenset()

    def css(self) -> str:
        """Style sheet that enlarges text, tables and figures of a notebook; empty at zoom 1."""
        if self.zoom == 1:
            return ""
        fonts = "".join(f"--jp-content-font-size{i}:{14 * self.zoom * 1.2 ** (i - 1):.1f}px;" for i in range(6))
        return (
            f".jp-Notebook{{{fonts}--jp-code-font-size:{13 * self.zoom:.1f}px;}}"
            ".jp-Notebook .fqlab-quiz, .jp-Notebook .jp-OutputArea .jp-RenderedHTMLCommon :is(img, table)"
            f"{{zoom:{self.zoom:g};}}"
        )

    def words(self) -> str:
        """The setting as a sentence."""
        if self == Teaching():
            return "Teaching is off: normal size, every control shown."
        hidden = f"hidden: {', '.join(sorted(self.hide))}" if self.hide else "every control shown"
        return f"Teaching: {self.zoom:g} times as large, {hidden}. Run a panel's cell again to see it. teach(False) ends it."


_CHOSEN = [Teaching()]


def now() -> Teaching:
    """The current setting."""
    return _CHOSEN[0]


def choose(setting: Teaching) -> None:
    """Let panels that are made from now on take over ``setting``."""
    _CHOSEN[0] = setting


def hidden(hide: Any, allowed: Callable[[], Collection[str]]) -> frozenset[str]:
    """The names in ``hide``, where a string is one name.

    Args:
        allowed: gives the names that are allowed; asked only if there is a name.

    Raises:
        ConfigError: for something else, or for a name that is not known.
    """
    if isinstance(hide, str):
        hide = (hide,)
    if not isinstance(hide, Collection):
        raise ConfigError(f"hide is {shown(hide)}, but must be a name or a list of names.")
    return frozenset(one_of("hide", name, allowed()) for name in hide)
