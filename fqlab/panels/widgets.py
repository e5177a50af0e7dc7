"""The controls of a panel: core ipywidgets made from the fields of its state, and the style sheet that lays them out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ipywidgets as w

from fqlab.panels.state import Control

__all__ = ["STYLE", "button", "column", "css_class", "marks", "widget"]

STYLE = """
.fqlab-panel { overflow: visible; }
.fqlab-panel .fqlab-heading { font-weight: 600; font-size: 12px; line-height: 18px; margin: 5px 2px 0; opacity: .75;
  border-bottom: 1px solid var(--jp-border-color2, #ccc); }
.fqlab-panel .fqlab-control { width: auto; margin: 1px 2px; font-size: 12px; }
.fqlab-panel .fqlab-control > .widget-label { font-size: 12px; }
.fqlab-panel .fqlab-slider { flex-wrap: wrap; height: 42px; }
.fqlab-panel .fqlab-slider > .widget-label { flex: 0 0 100%; text-align: left; height: 20px; line-height: 20px; margin: 0; }
.fqlab-panel .fqlab-slider > .slider-container { height: 22px; position: relative; flex: 1 1 100px; }
.fqlab-panel .fqlab-slider > .widget-readout { height: 20px; line-height: 20px; min-width: 42px; margin-left: 6px; }
.fqlab-panel .fqlab-picture { border: 1px solid var(--jp-border-color2, #d0d7de); border-radius: 6px; background: #fff;
  object-fit: fill; margin: 0; }
.fqlab-panel .fqlab-stale { opacity: .45; }
.fqlab-panel .fqlab-preset { flex: 1 1 0; min-width: 0; padding: 0 4px; margin: 0; font-size: 12px; }
.fqlab-panel .fqlab-preset.fqlab-on { font-weight: 700; text-decoration: underline; text-underline-offset: 3px; }
.fqlab-panel .fqlab-status { font-size: 12.5px; line-height: 18px; overflow: hidden; margin: 0 4px; flex: 1 1 auto; }
.fqlab-panel .fqlab-status .widget-html-content { line-height: 18px; }
.fqlab-panel button:focus-visible, .fqlab-panel .noUi-handle:focus, .fqlab-panel select:focus-visible {
  outline: 2px solid #0072B2; outline-offset: 1px; }
"""


def css_class(name: str) -> str:
    """The CSS class of the control of field ``name``."""
    return f"fqlab-c-{name.replace('_', '-')}"


def widget(control: Control, value: Any) -> w.Widget:
    """The widget of one control: dropdown, number box or slider."""
    shared = {"description": control.title, "tooltip": control.help or control.title, "value": value}
    if control.choices is not None:
        made = w.Dropdown(options=[(words, key) for key, words in control.choices.items()], **shared)
    elif control.box:
        box = w.BoundedIntText if isinstance(control.step, int) else w.BoundedFloatText
        made = box(min=control.low, max=control.high, step=control.step, **shared)
    else:
        made = _slider(control, shared)
    made.style.description_width = "112px"
    made.add_class("fqlab-control")
    made.add_class(css_class(control.name))
    return made


def _slider(control: Control, shared: dict[str, Any]) -> w.Widget:
    whole = isinstance(control.step, int)
    kind, form = (w.IntSlider, "d") if whole else (w.FloatSlider, _format(control.step))
    made = kind(min=control.low, max=control.high, step=control.step, readout_format=form, **shared)
    made.add_class("fqlab-slider")
    return made


def _format(step: float) -> str:
    """As many decimals as the step has."""
    text = f"{step:.10f}".rstrip("0")
    return f".{len(text.split('.')[1])}f"


def marks(panel: str, controls: Iterable[Control]) -> str:
    """Style rules that draw the recommended value of each slider as a tick across its track."""
    rules = []
    for c in controls:
        if c.mark is not None and c.low is not None and not c.box:
            place = 100 * (c.mark - c.low) / (c.high - c.low)
            rules.append(
                f".fqlab-{panel} .{css_class(c.name)} .noUi-base::after {{ content: ''; position: absolute; left: {place:.2f}%;"
                " top: -7px; width: 0; height: 18px; border-left: 2px dashed #CC79A7; pointer-events: none; }"
            )
    return "\n".join(rules)


def column(controls: Iterable[Control], widgets: dict[str, w.Widget], width: int) -> w.VBox:
    """The controls in one column, under the headings of their groups."""
    children: list[w.Widget] = []
    heading = None
    for control in controls:
        if control.group and control.group != heading:
            heading = control.group
            title = w.HTML(heading, layout=w.Layout(height="24px", margin="0"))
            title.add_class("fqlab-heading")
            children.append(title)
        children.append(widgets[control.name])
    return w.VBox(children, layout=w.Layout(width=f"{width}px", flex="0 0 auto", overflow="hidden"))


def button(text: str, tip: str, width: str = "auto") -> w.Button:
    """A small button."""
    return w.Button(description=text, tooltip=tip, layout=w.Layout(width=width, height="28px", margin="0"))
