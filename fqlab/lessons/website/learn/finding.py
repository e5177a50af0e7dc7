"""What search looks through: the text of every section of every page, in one script that loads on first use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html.parser import HTMLParser
from importlib.resources import files

__all__ = ["sections", "script"]

SILENT = {"script", "style", "svg", "math", "details", "nav"}
"""Elements without text to be found: a hidden answer must not be found before it is asked for."""
BREAKS = {"p", "li", "td", "th", "tr", "div", "pre", "h1", "h2", "h3", "br"}


class _Reader(HTMLParser):
    """Cuts a page at its headings."""

    def __init__(self, page: str, url: str) -> None:
        super().__init__()
        self.page, self.url = page, url
        self.entries: list[dict[str, str]] = [{"page": page, "heading": "", "url": url, "text": ""}]
        self.silent = 0
        self.in_heading = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        anchor = dict(attrs).get("id")
        if tag in SILENT:
            self.silent += 1
        elif tag in ("h1", "h2", "h3") and anchor:
            url = self.url if tag == "h1" else f"{self.url}#{anchor}"
            self.entries.append({"page": self.page, "heading": "", "url": url, "text": ""})
            self.in_heading = True
        if tag in BREAKS:
            self.entries[-1]["text"] += " "

    def handle_endtag(self, tag: str) -> None:
        if tag in SILENT:
            self.silent -= 1
        elif tag in ("h1", "h2", "h3"):
            self.in_heading = False

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.entries[-1]["heading" if self.in_heading else "text"] += data


def sections(page: str, url: str, body: str) -> list[dict[str, str]]:
    """The sections of a page called ``page``: its name, the heading, the address and the text of each."""
    reader = _Reader(page, url)
    reader.feed(body)
    tidied = ({name: " ".join(text.split()) for name, text in section.items()} for section in reader.entries)
    return [section for section in tidied if section["text"] or section["heading"]]


def script(sections: Sequence[dict[str, str]]) -> str:
    """The script ``search.js``: MiniSearch, and the sections that it is to search."""
    engine = files("fqlab.lessons.website").joinpath("learn/minisearch.js").read_text(encoding="utf-8").rstrip()
    return f"{engine}\nfqlab.learn.searchable({json.dumps(list(sections), ensure_ascii=False)});\n"
