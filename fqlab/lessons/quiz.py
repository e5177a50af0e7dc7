"""A quiz of three questions from core widgets, with feedback for every option."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from fqlab.errors import in_range
from fqlab.lessons import store
from fqlab.lessons.contents import lesson
from fqlab.lessons.model import Question

if TYPE_CHECKING:
    from ipywidgets import VBox

__all__ = ["quiz", "answer"]


def answer(number: str, question: int, option: int) -> tuple[bool, str]:
    """Answer question 1, 2, ... of a lesson with option 1, 2, ...: whether it is right, and the feedback.

    The first answer to a question is the one that counts in the progress.

    Raises:
        ConfigError: if there is no such lesson, question or option.
    """
    questions = lesson(number).questions
    options = questions[in_range("question", question, 1, len(questions), integer=True) - 1].options
    chosen = options[in_range("option", option, 1, len(options), integer=True) - 1]
    trouble = store.record("answers", f"{number}-{question}", chosen.right, first=True)
    return chosen.right, f"{chosen.feedback} {trouble}".strip()


def quiz(number: str) -> VBox:
    """The three questions of a lesson; an answer is judged as soon as it is picked."""
    import ipywidgets as w

    from fqlab.panels import beside

    class Quiz(w.VBox):
        """Questions as widgets, and as text where there is no kernel."""

        def without_kernel(self) -> dict[str, str]:
            return {"text/plain": as_text(number), "text/html": as_page(number)}

        def _ipython_display_(self) -> None:
            beside.show(self, self.without_kernel())

    box = Quiz([_row(number, i, q) for i, q in enumerate(lesson(number).questions, 1)])
    box.add_class("fqlab-quiz")
    return box


def as_text(number: str) -> str:
    """The questions and their options, without the answers."""
    blocks = []
    for i, question in enumerate(lesson(number).questions, 1):
        options = "\n".join(f"   {chr(96 + k)}) {o.text}" for k, o in enumerate(question.options, 1))
        blocks.append(f"{i}. {question.text}\n{options}")
    return "\n".join(blocks)


def as_page(number: str) -> str:
    """The questions as HTML without a kernel: an option opens to say whether it is right, and why it tempts."""
    blocks = []
    for i, question in enumerate(lesson(number).questions, 1):
        options = "".join(
            f"<details><summary>{html.escape(o.text)}</summary>{'✓' if o.right else '✗'} {html.escape(o.feedback)}</details>"
            for o in question.options
        )
        blocks.append(f"<p><b>{i}. {html.escape(question.text)}</b></p>{options}")
    return "".join(blocks)


def _row(number: str, index: int, question: Question) -> VBox:
    import ipywidgets as w

    choice = w.RadioButtons(
        options=[(o.text, k) for k, o in enumerate(question.options, 1)], value=None, layout=w.Layout(width="auto")
    )
    verdict = w.HTML()
    first: list[int] = []

    def judge(change: dict[str, Any]) -> None:
        first.append(change["new"])
        right, feedback = answer(number, index, change["new"])
        colour, mark = ("#009E73", "✓") if right else ("#D55E00", "✗")
        counts = "" if first[0] == change["new"] else " <i>Your first answer counts.</i>"
        verdict.value = (
            f'<span role="status"><b style="color:{colour}">{mark}</b> {html.escape(feedback)}{counts}</span>'
        )

    choice.observe(judge, "value")
    return w.VBox([w.HTML(f"<b>{index}. {html.escape(question.text)}</b>"), choice, verdict])
