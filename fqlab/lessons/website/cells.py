"""The cells of a run notebook as blocks of HTML; the site puts them under each other, the slides side by side."""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fqlab import panels
from fqlab.lessons.notebook import CLAIM, PANEL
from fqlab.lessons.website.learn.asking import part, stub
from fqlab.lessons.website.markup import Markup, highlight
from fqlab.lessons.website.play.section import section
from fqlab.panels.ticket import write

__all__ = ["Block", "Place", "blocks", "picture"]

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
PANEL_MADE = re.compile(r"\w+ = (\w+)\(((?:\w+=\"[^\"]*\"(?:, )?)*)\)\n")
SETTING = re.compile(r"(\w+)=\"([^\"]*)\"")
"""A panel, and the choices that it starts with."""
KERNEL = re.compile(r"\brun the next cell\b|^Stuck\? `hint\(", re.IGNORECASE)
"""Paragraphs that speak of cells and calls: on a page there are buttons in their place."""


@dataclass(frozen=True)
class Place:
    """Where the cells of a lesson stand.

    Attributes:
        stem: the lesson's file name without ending.
        truths: prediction -> true value.
        root: the way from the page to the folder of ``fqlab.js``.
        plays: the panels whose states are stored in ``play/`` there.
    """

    stem: str = ""
    truths: Mapping[str, float] = field(default_factory=dict)
    root: str = ""
    plays: Collection[str] = ()


@dataclass(frozen=True)
class Block:
    """One cell, or one output, on a page.

    Attributes:
        kind: ``text``, ``code``, ``panel``, ``claims``, ``output`` or ``asking``.
        html: what is shown.
        source: Markdown or Python behind it.
    """

    kind: str
    html: str
    source: str


def blocks(book: Any, markup: Markup, place: Place = Place()) -> Iterator[Block]:
    """The blocks of a notebook, top to bottom; empty cells leave none."""
    for cell in book["cells"]:
        if cell["cell_type"] == "markdown":
            source = _without_kernel(cell["source"])
            if source.strip():
                yield Block("text", markup.html(source), source)
        elif asked := part(cell["source"], place.stem, place.truths) if cell["cell_type"] == "code" else "":
            if before := stub(cell["source"]):
                yield Block("code", highlight(before), before)
            yield Block("asking", asked, cell["source"])
        elif cell["cell_type"] == "code" and cell["source"].strip():
            tags = cell["metadata"].get("tags", [])
            yield Block("code", _source(cell["source"]), cell["source"])
            for output in _joined(cell["outputs"]):
                yield _played(_output(output, tags, cell["source"], markup), place)


def _played(block: Block, place: Place) -> Block:
    """A panel whose states are stored as one that plays; everything else as it is."""
    made = PANEL_MADE.match(block.source)
    if block.kind != "panel" or made is None or made[1] not in place.plays:
        return block
    ticket = _ticket(made[1], dict(SETTING.findall(made[2])))
    return replace(block, html=section(made[1], place.stem, block.html, folder=f"{place.root}play/", ticket=ticket))


def _ticket(name: str, settings: Mapping[str, str]) -> str:
    """The ticket of a panel that is made with these settings; empty for its default."""
    if not settings:
        return ""
    panel = getattr(panels, name)
    return write(name, panel.version, panel.State(**settings))


def _without_kernel(source: str) -> str:
    return "\n\n".join(p for p in re.split(r"\n\s*\n", source) if not KERNEL.search(p))


def _source(source: str) -> str:
    """Code as shown: imports folded away, the rest open."""
    shown = highlight(source)
    return f"<details><summary>Imports</summary>{shown}</details>\n" if _imports_only(source) else shown


def _imports_only(source: str) -> bool:
    try:
        return all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.parse(source).body)
    except SyntaxError:
        return False


def _joined(outputs: list[Any]) -> Iterator[Any]:
    """Outputs with neighbouring prints in one."""
    text: dict[str, Any] | None = None
    for output in outputs:
        if output["output_type"] == "stream" and text and text["name"] == output["name"]:
            text["text"] += _text(output["text"])
            continue
        if text:
            yield text
        text = None
        if output["output_type"] == "stream":
            text = {**output, "text": _text(output["text"])}
        else:
            yield output
    if text:
        yield text


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def _output(output: Any, tags: list[str], source: str, markup: Markup) -> Block:
    kind = "panel" if PANEL in tags else "claims" if CLAIM in tags else "output"
    if output["output_type"] == "stream":
        shown = _plain(output["text"])
    elif output["output_type"] == "error":
        shown = _plain("\n".join(output["traceback"]))
    else:
        width = output.get("metadata", {}).get("image/png", {}).get("width")
        shown = _rich(output["data"], markup, f' width="{int(width)}"' if width else "")
    return Block(kind, shown, source)


def _plain(text: str) -> str:
    text = COLOURS.sub("", text).rstrip()
    return f'<pre class="out" tabindex="0">{html.escape(text)}</pre>\n' if text else ""


def _rich(data: dict[str, Any], markup: Markup, width: str = "") -> str:
    """The richest form of an output that needs no kernel; ``width``: attribute of its picture."""
    if "text/html" in data:
        return f'<div class="out">{_text(data["text/html"])}</div>\n'
    if "image/svg+xml" in data:
        return f'<div class="out">{_text(data["image/svg+xml"])}</div>\n'
    if "image/png" in data:
        alt = html.escape(_text(data.get("text/plain", "")), quote=True)
        return f'<div class="out"><img alt="{alt}"{width} src="data:image/png;base64,{_text(data["image/png"]).strip()}"></div>\n'
    if "text/markdown" in data:
        return f'<div class="out">{markup.html(_text(data["text/markdown"]))}</div>\n'
    return _plain(_text(data.get("text/plain", "")))


def picture(book: Any) -> bytes | None:
    """The still picture of the first panel of a notebook, as PNG; None where no panel left one."""
    import base64

    for cell in book["cells"]:
        for output in cell.get("outputs", []) if PANEL in cell["metadata"].get("tags", []) else []:
            if "image/png" in output.get("data", {}):
                return base64.b64decode(_text(output["data"]["image/png"]))
    return None
