"""Markdown of a lesson as HTML that needs nothing from elsewhere: formulas become MathML, pictures of a network words.

Text is read by nbconvert's parser, so that a formula begins and ends where it does in JupyterLab. MathML is drawn by the
browser itself: no script, no fonts to load, and screen readers can read it.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from fqlab.errors import DataError, shown

__all__ = ["REPOSITORY", "Heading", "Markup", "highlight", "mathml", "slug"]

REPOSITORY = "https://github.com/fqlab/fqlab/blob/main/"
LOCAL = re.compile(r"([\w.-]+)\.(?:md|ipynb)(#.*)?")
BARS = re.compile(r'<mo(?: stretchy="false")?>(&#x0007C;|&#x02016;)</mo>')
"""Bars of absolute values and norms: MathML would space them like a relation."""
CLAIMS = re.compile(r"<tr>\s*<th>(?:claim|observation)</th>")
"""The head of a table of claims, which sorts, and is a list of cards on a telephone."""
OUTSIDE = re.compile(r"(?:https?:)?//", re.IGNORECASE)
LONG = 24
"""Letters of a formula's source that fit beside each other on the narrowest phone."""


@dataclass(frozen=True)
class Heading:
    """A heading of a page: its level, its text as HTML, and the name one links to."""

    level: int
    text: str
    anchor: str


def mathml(formula: str, *, block: bool = False) -> str:
    """A LaTeX formula as MathML.

    Raises:
        DataError: for a formula that cannot be read, or a command that is not known.
    """
    from latex2mathml.converter import convert

    try:
        markup = convert(formula.replace("{aligned}", "{align*}"), display="block" if block else "inline")
    except Exception as wrong:
        raise DataError(f"formula is {shown(formula)}, but cannot be read: {type(wrong).__name__} {wrong}.") from None
    unknown = re.search(r"\\[A-Za-z]+", markup)
    if unknown or "<mi>&</mi>" in markup:
        what = unknown[0] if unknown else "&"
        raise DataError(f"formula is {shown(formula)}, but {what} has no MathML here: write it in another way.")
    return BARS.sub(r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>', markup)


def slug(text: str) -> str:
    """The name of a heading in a link, as GitHub makes it: ``In the paper`` -> ``in-the-paper``."""
    plain = html.unescape(re.sub(r"<[^>]*>", "", text)).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


@cache
def _formatter() -> Any:
    from pygments.formatters import HtmlFormatter

    return HtmlFormatter(nowrap=True)


def highlight(code: str, language: str = "python") -> str:
    """Source code with its parts in spans, inside ``<pre class="code">``."""
    from pygments import highlight as colour
    from pygments.lexers import get_lexer_by_name
    from pygments.util import ClassNotFound

    try:
        inner = colour(code, get_lexer_by_name(language), _formatter()).rstrip("\n")
    except ClassNotFound:
        inner = html.escape(code.rstrip("\n"))
    return f'<pre class="code" tabindex="0"><code>{inner}</code></pre>\n'


@dataclass
class Markup:
    """Turns Markdown into HTML and remembers the headings it met."""

    headings: list[Heading] = field(default_factory=list)

    def html(self, text: str) -> str:
        """The text as HTML; formulas as MathML, links between lessons as links between pages.

        Raises:
            DataError: for a formula that cannot be read.
        """
        from nbconvert.filters.markdown_mistune import MarkdownWithMath

        return str(MarkdownWithMath(renderer=_renderer(self)).render(text))

    def anchor(self, text: str) -> str:
        """A name for a heading that no other heading of the page has."""
        base = slug(text)
        taken = {h.anchor for h in self.headings}
        return next(a for a in (base, *(f"{base}-{n}" for n in range(1, 1000))) if a not in taken)


def _renderer(markup: Markup) -> Any:
    return _renderer_class()(markup)


@cache
def _renderer_class() -> type:
    from nbconvert.filters.markdown_mistune import IPythonRenderer

    class Renderer(IPythonRenderer):
        """HTML for pages that stand alone."""

        def __init__(self, markup: Markup) -> None:
            super().__init__(escape=False, allow_harmful_protocols=False)
            self.markup = markup

        def heading(self, text: str, level: int, **_: Any) -> str:
            anchor = self.markup.anchor(text)
            self.markup.headings.append(Heading(level, text, anchor))
            return f'<h{level} id="{anchor}">{text}</h{level}>\n'

        def block_math(self, body: str) -> str:
            return f'<div class="math">{mathml(body, block=True)}</div>'

        def inline_math(self, body: str) -> str:
            """A long one may be wider than a phone: it gets a box to scroll in."""
            return f'<span class="formula">{mathml(body)}</span>' if len(body) > LONG else mathml(body)

        def latex_environment(self, name: str, body: str) -> str:
            return self.block_math(f"\\begin{{{name}}}{body}\\end{{{name}}}")

        def block_code(self, code: str, info: str | None = None) -> str:
            return highlight(code, (info or "text").split()[0])

        def table(self, text: str) -> str:
            kind = ' class="claims"' if CLAIMS.search(text) else ""
            return f'<div class="wide" tabindex="0"><table{kind}>{text}</table></div>\n'

        def image(self, text: str, url: str, title: str | None = None) -> str:
            if OUTSIDE.match(url):
                return f'<span class="badge">{"Open in Binder" if "mybinder" in url else html.escape(text)}</span>'
            return super().image(text, url, title)

        def link(self, text: str, url: str, title: str | None = None) -> str:
            return super().link(text, _page(url), title)

    return Renderer


def _page(url: str) -> str:
    """Where a link of a notebook leads on the site: a lesson to its page, another file to the repository."""
    local = LOCAL.fullmatch(url)
    if local:
        return f"{local[1]}.html{local[2] or ''}"
    if url.startswith("../"):
        return REPOSITORY + url.removeprefix("../")
    return url
