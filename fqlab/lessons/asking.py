"""A question with a slider and a button under it, so that a guess costs no syntax; as text where there is no browser."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fqlab.lessons.card import Card, reading
from fqlab.lessons.model import Prediction

if TYPE_CHECKING:
    from ipywidgets import VBox

__all__ = ["Ask", "step"]


@dataclass(frozen=True)
class Ask(Card):
    """The card of a question that waits for its answer; in a notebook it has a slider and a button.

    What a notebook's file keeps is the question alone, the same for everybody.

    Attributes:
        prediction: what is asked.
        commit: takes the guess and says what became of it.
        sentence: what is known of the learner's guess, or that the answer is out; may be empty.
        over: whether the answer is out, so that a guess does not count.
    """

    prediction: Prediction | None = field(default=None, repr=False)
    commit: Callable[[float], Card] | None = field(default=None, repr=False)
    sentence: str = ""
    over: bool = False

    def __repr__(self) -> str:
        return "\n".join(filter(None, [Card.__repr__(self), self.sentence]))

    def without_kernel(self) -> dict[str, str]:
        """By MIME type the question alone."""
        return {"text/plain": Card.__repr__(self), "text/html": self._repr_html_()}

    def _ipython_display_(self) -> None:
        from IPython.display import display

        from fqlab.panels import beside

        if reading():
            display(self.without_kernel(), raw=True)
        else:
            beside.show(self.widget(), self.without_kernel())

    def widget(self) -> VBox:
        """The question, the slider, the button, and the place where the answer to the guess appears."""
        import ipywidgets as w

        from fqlab.panels.assist import assistant

        slider = self._slider()
        chosen = w.HTML("move the slider")
        verdict = w.HTML()
        button = w.Button(description="This is my guess", disabled=True, layout=w.Layout(width="auto"))

        def moved(change: dict[str, Any]) -> None:
            chosen.value = f"<b>{change['new']:g}</b> {self.prediction.unit}"
            button.disabled = False

        slider.observe(moved, "value")
        button.on_click(lambda _: setattr(verdict, "value", self.commit(round(slider.value, 6))._repr_html_()))
        row = w.HBox([slider, chosen, button], layout=w.Layout(align_items="center", grid_gap="8px"))
        helper = assistant({"fqlab-c-guess": f"Your guess ({self.prediction.unit})".replace(" ()", "")})
        asked = self._repr_html_() + (f"<p>{html.escape(self.sentence)}</p>" if self.sentence else "")
        box = w.VBox([w.HTML(asked), *([] if self.over else [row, verdict]), helper])
        box.add_class("fqlab-quiz")
        box.add_class("fqlab-ask")
        return box

    def _slider(self) -> Any:
        """The question's scale; it shows no number before it is moved, so that it suggests none."""
        import ipywidgets as w

        low, high = self.prediction.low, self.prediction.high
        slider = w.FloatSlider(
            low, min=low, max=high, step=step(low, high), readout=False, layout=w.Layout(width="420px")
        )
        slider.add_class("fqlab-c-guess")
        return slider


def step(low: float, high: float) -> float:
    """A hundredth of a scale as a round number; 1 for a scale of few whole numbers."""
    if high - low <= 24 and float(low).is_integer() and float(high).is_integer():
        return 1.0
    power = 10.0 ** math.floor(math.log10((high - low) / 100))
    return min((power * m for m in (1, 2, 5, 10)), key=lambda s: abs(math.log(s * 100 / (high - low))))
