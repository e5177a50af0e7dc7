"""The place of a panel on a page: a still picture for readers without script, which ``player.js`` replaces."""

from __future__ import annotations

import html

from fqlab import panels

__all__ = ["section"]


def section(name: str, lesson: str, still: str = "", *, folder: str = "play/", ticket: str = "") -> str:
    """HTML of a panel that plays.

    Args:
        name: a key of ``fqlab.panels.PANELS``.
        lesson: the notebook's file name without ending, for the link to Binder.
        still: HTML shown before the script has run, and without it.
        folder: the way from the page to the stored states.
        ticket: of the state that it starts with, where that is not the default.
    """
    title = html.escape(getattr(panels, name).title, quote=True)
    start = f' data-start="{ticket}"' if ticket else ""
    return (
        f'<section class="fq-panel" id="panel-{name}" aria-label="{title}" data-panel="{name}" data-lesson="{lesson}" '
        f'data-folder="{folder}"{start}>{still}</section>\n'
    )
