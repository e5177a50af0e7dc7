"""A widget on a page, and in an output of its own what stands for it where no kernel runs; a style rule shows one of the two.

An output may hold a widget and a picture, and Jupyter shows the first of them that it knows: without a kernel that is still
the widget, as "Error displaying widget: model not found". Two outputs leave the choice to a rule that looks at the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipywidgets import DOMWidget

__all__ = ["RULE", "VIEW", "show"]

VIEW = "application/vnd.jupyter.widget-view+json"

CHILD = ".jp-OutputArea-child"
DEAD = f"{CHILD}:has(> .jupyter-widgets):not(:has(> .jupyter-widgets .jupyter-widgets))"
"""In JupyterLab and Notebook: an output whose widget was not found. One that loads, or lives, does not look so."""
LIVE = ":has(.fqlab-panel, .fqlab-quiz):not(:has(.fqlab-still))"
"""Anywhere: an output with a widget of ours in it."""
RULE = (
    '<style class="fqlab-still">'
    f"{CHILD}:not({DEAD}) + {CHILD}:has(.fqlab-still), {DEAD}:has(+ {CHILD} .fqlab-still), "
    f"{LIVE} + * :has(> .fqlab-still) {{ display: none; }}</style>"
)
"""Stands at the end of the still's HTML. Where it is taken out, both outputs show what they can: an untrusted notebook has
no widgets, and a stored one keeps the still alone."""


def show(live: DOMWidget, still: Mapping[str, str]) -> None:
    """Display a widget, and behind it what replaces it without a kernel.

    Args:
        live: of the class ``fqlab-panel`` or ``fqlab-quiz``.
        still: text by MIME type, ``text/html`` among them.
    """
    view(live)
    behind(still)


def view(live: DOMWidget) -> None:
    """Display the widget alone."""
    from IPython.display import display

    display({VIEW: live.get_view_spec()}, raw=True)


def behind(still: Mapping[str, str]) -> None:
    """Display what replaces the widget that was displayed just before."""
    from IPython.display import display

    display({**still, "text/html": still["text/html"] + RULE}, raw=True)
