"""The controls of a panel: core ipywidgets made from the fields of its state, and the style sheet that lays them out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ipywidgets as w

from fqlab.panels.state import Control

__all__ = ["STYLE", "button", "close_children", "column", "css_class", "decimals", "marks", "widget"]

LONG_LABEL = 11
"""Letters of a label that fit beside its control; a longer one stands above it, as with sliders."""

STYLE = """
.fqlab-panel { overflow: visible; container-type: inline-size; --jp-widgets-slider-handle-size: 14px; }
@container (min-width: 880px) and (max-width: 959px) { .fqlab-panel > * { zoom: .916; } }
@container (min-width: 800px) and (max-width: 879px) { .fqlab-panel > * { zoom: .833; } }
@container (min-width: 720px) and (max-width: 799px) { .fqlab-panel > * { zoom: .75; } }
@container (max-width: 719px) {
  .fqlab-panel .fqlab-gallery { order: -1; width: 100%; align-items: center; }
  .fqlab-panel .fqlab-row { max-width: 100%; justify-content: center; }
  .fqlab-panel .fqlab-picture { flex: 0 1 auto !important; min-width: 0; max-width: 100%; height: auto !important; }
  .fqlab-panel .fqlab-column { width: 100% !important; }
  .fqlab-panel .fqlab-presets, .fqlab-panel .fqlab-bar { flex-wrap: wrap; }
  .fqlab-panel .fqlab-presets .fqlab-preset { flex: 1 1 auto; }
  .fqlab-panel .fqlab-bar, .fqlab-panel .fqlab-bar .fqlab-status { height: auto !important; }
  .fqlab-panel .fqlab-bar .fqlab-status { min-height: 34px; flex: 1 1 100%; }
}
@container (max-width: 499px) { .fqlab-panel .fqlab-row { flex-wrap: wrap; } }
.fqlab-panel .fqlab-heading { height: 20px; margin: 4px 2px 1px; border-bottom: 1px solid var(--jp-border-color2, #ccc); }
.fqlab-panel .fqlab-heading .widget-html-content { font-weight: 600; font-size: var(--fqlab-font, 12px); line-height: 20px; opacity: .8; }
.fqlab-panel .fqlab-control { width: auto; margin: 1px 2px; }
.fqlab-panel .fqlab-pair > .fqlab-control { flex: 1 1 0; min-width: 0; }
.fqlab-panel .fqlab-pair > .fqlab-slider > .widget-readout { min-width: 24px; }
.fqlab-panel .fqlab-control, .fqlab-panel .fqlab-control > *, .fqlab-panel .fqlab-preset {
  font-size: var(--fqlab-font, 12px); }
.fqlab-panel .fqlab-control > .widget-label { text-align: left; overflow: visible; }
.fqlab-panel .fqlab-control select, .fqlab-panel .fqlab-control input { font-size: var(--fqlab-font, 12px); height: 26px; line-height: 24px; }
.fqlab-panel .fqlab-control.widget-dropdown, .fqlab-panel .fqlab-control.widget-text { height: 28px; }
.fqlab-panel .fqlab-slider, .fqlab-panel .fqlab-tall { display: grid; grid-template-columns: 1fr auto; height: 30px;
  grid-template-rows: 19px 11px; align-items: center; }
.fqlab-panel .fqlab-control.fqlab-tall { height: 47px; grid-template-rows: 19px 28px; }
.fqlab-panel .fqlab-slider > .widget-label, .fqlab-panel .fqlab-tall > .widget-label { grid-area: 1 / 1; width: auto !important;
  height: 19px; line-height: 17px; margin: 0; }
.fqlab-panel .fqlab-slider > .widget-readout { grid-area: 1 / 2; height: 19px; line-height: 19px; min-width: 40px; margin: 0;
  font-weight: 600; font-variant-numeric: tabular-nums; text-align: right; }
.fqlab-panel .fqlab-slider > .slider-container { grid-area: 2 / 1 / 3 / 3; margin: 0 8px; width: auto; height: 11px; }
.fqlab-panel .fqlab-tall > select, .fqlab-panel .fqlab-tall > input { grid-area: 2 / 1 / 3 / 3; }
.fqlab-panel .fqlab-picture { box-shadow: 0 0 0 1px var(--jp-border-color2, #d0d7de); border-radius: 5px; background: #fff;
  object-fit: fill; margin: 0; border: 0; padding: 0; }
.fqlab-panel .fqlab-stale { opacity: .45; }
.fqlab-panel .fqlab-preset { flex: 1 1 0; min-width: 0; padding: 0 4px; margin: 0; }
.fqlab-panel .fqlab-preset.fqlab-on { font-weight: 700; box-shadow: inset 0 -3px 0 #0072B2; }
.fqlab-panel .fqlab-status { margin: 0 4px; flex: 1 1 auto; overflow: hidden; }
.fqlab-panel .fqlab-status .widget-html-content { font-size: var(--fqlab-font, 12px); line-height: 1.4; font-variant-numeric: tabular-nums; }
.fqlab-panel .fqlab-text { display: inline-block; width: 250px; max-width: 60%; height: 34px; margin: 0; padding: 1px 4px;
  overflow: auto; vertical-align: top; font-size: 11px; line-height: 16px; user-select: all; border: 1px solid var(--jp-border-color2, #ccc); }
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
        built = w.Dropdown(options=[(words, key) for key, words in control.choices.items()], **shared)
    elif control.box:
        box = w.BoundedIntText if isinstance(control.step, int) else w.BoundedFloatText
        built = box(min=control.low, max=control.high, step=control.step, **shared)
    else:
        built = _slider(control, shared)
    built.style.description_width = "78px"
    built.add_class("fqlab-control")
    if len(control.title) > LONG_LABEL and not isinstance(built, (w.IntSlider, w.FloatSlider)):
        built.add_class("fqlab-tall")
    built.add_class(css_class(control.name))
    return built


def _slider(control: Control, shared: dict[str, Any]) -> w.Widget:
    whole = isinstance(control.step, int)
    kind, form = (w.IntSlider, "d") if whole else (w.FloatSlider, _format(control.step))
    slider = kind(min=control.low, max=control.high, step=control.step, readout_format=form, **shared)
    slider.add_class("fqlab-slider")
    return slider


def _format(step: float) -> str:
    return f".{decimals(step)}f"


def decimals(step: float) -> int:
    """How many decimals the step of a slider has."""
    return len(f"{step:.10f}".rstrip("0").split(".")[1])


def marks(panel: str, controls: Iterable[Control]) -> str:
    """Style rules that draw the recommended value of each slider as a tick across its track."""
    rules = []
    for c in controls:
        if c.mark is not None and c.low is not None and not c.box:
            place = 100 * (c.mark - c.low) / (c.high - c.low)
            rules.append(
                f".fqlab-{panel} .{css_class(c.name)} .noUi-base::after {{ content: ''; position: absolute; left: {place:.2f}%;"
                " top: -6px; width: 0; height: 16px; border-left: 2px dashed #CC79A7; pointer-events: none; }"
            )
    return "\n".join(rules)


def column(controls: Iterable[Control], widgets: dict[str, w.Widget], width: int) -> w.VBox:
    """The controls in one column, under the headings of their groups."""
    children: list[w.Widget] = []
    heading = None
    for control in controls:
        if control.group and control.group != heading:
            heading = control.group
            title = w.HTML(heading)
            title.add_class("fqlab-heading")
            children.append(title)
        if not control.half:
            children.append(widgets[control.name])
        elif isinstance(children[-1], w.HBox) and len(children[-1].children) == 1:
            children[-1].children += (widgets[control.name],)
        else:
            children.append(w.HBox([widgets[control.name]], layout=w.Layout(overflow="visible", grid_gap="10px")))
            children[-1].add_class("fqlab-pair")
    box = w.VBox(children, layout=w.Layout(width=f"{width}px", flex="0 0 auto", overflow="hidden"))
    box.add_class("fqlab-column")
    return box


def button(text: str, tip: str, width: str = "auto", icon: str = "") -> w.Button:
    """A small button."""
    return w.Button(description=text, icon=icon, tooltip=tip, layout=w.Layout(width=width, height="28px", margin="0"))


def close_children(box: w.Box) -> None:
    """Close everything inside a box, with its layouts and styles: closing the box alone keeps all of it in memory."""
    for child in box.children:
        if isinstance(child, w.Box):
            close_children(child)
        for part in (child.layout, getattr(child, "style", None), child):
            if part is not None:
                part.close()
