"""What a panel leaves behind where no kernel runs: a page with the figure, a table, a description."""

from __future__ import annotations

import base64
import csv
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

from fqlab.panels.state import Settings, controls
from fqlab.plots.picture import Drawing, to_png

__all__ = ["bundle", "data_uri", "link", "table", "text_box"]


def data_uri(content: str | bytes, mime: str) -> str:
    """The content as an address that needs no server."""
    raw = content.encode() if isinstance(content, str) else content
    return f"data:{mime};base64,{base64.b64encode(raw).decode()}"


def link(name: str, address: str, content: str) -> str:
    """A link that saves ``content``, whose address is ``address``, as the file ``name``."""
    return f'<a download="{name}" href="{address}">{name}</a> ({len(content) / 1000:.0f} kB)'


def text_box(content: str) -> str:
    """A box of two lines that holds ``content``; one click selects all of it."""
    lines = html.escape(content.rstrip())
    return f'<pre class="fqlab-text" tabindex="0" aria-label="Experiment as TOML">{lines}</pre>'


def table(ticket: str, state: Settings, rows: Sequence[Mapping[str, Any]]) -> str:
    """CSV text: ticket and settings first, then the columns of ``rows``; only the settings if there are none."""
    settings = {"ticket": ticket} | {c.name: getattr(state, c.name) for c in controls(type(state))}
    lines = [settings | row for row in rows] or [settings]
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return sheet.getvalue()


def bundle(title: str, description: str, drawing: Drawing) -> dict[str, str]:
    """The same panel for readers without widgets: HTML with figure and caption, PNG, and plain text.

    The PNG may be drawn larger than the layout; the HTML shows it at layout size.
    """
    picture = to_png(drawing)
    width = round(drawing.figure.bbox.width / drawing.figure.dpi * 72)
    shown = (
        f'<figure style="margin:0;max-width:{width}px"><img src="{data_uri(picture, "image/png")}" '
        f'alt="{html.escape(drawing.alt, quote=True)}" style="width:100%;max-width:{width}px;background:#fff">'
        f"<figcaption><b>{html.escape(title)}</b> (a still picture: run the notebook to move the controls). "
        f"{html.escape(description)}</figcaption></figure>"
    )
    return {"text/html": shown, "image/png": base64.b64encode(picture).decode(), "text/plain": description}
