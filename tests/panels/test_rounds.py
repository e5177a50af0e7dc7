"""What the round charts share: curves named at their ends."""

import pytest

from fqlab.plots import axes, figure, line, note
from fqlab.plots.rounds import build_bytes, draw_curves

KINDS = ("previous", "accuracy", "full precision")


def test_labels_stand_at_the_ends_apart_and_a_kind_without_values_disappears() -> None:
    ax = axes(figure(300, 200), 20, 20, 200, 150)
    lines = {kind: line(ax, kind) for kind in KINDS}
    names = {kind: note(ax) for kind in KINDS}
    curves = {"previous": [0.2, 0.5], "accuracy": [0.25, 0.5, 0.75], "full precision": []}
    draw_curves(lines, names, curves, dict.fromkeys(KINDS, "now"), (0.4, 0.0, 1.0), first=0)
    assert lines["accuracy"].get_xydata().tolist() == [[0, 0.25], [1, 0.5], [2, 0.75]]
    assert [names[kind].get_text() for kind in KINDS] == ["now 50.0%", "now 75.0%", ""]
    assert [names[kind].get_position()[1] for kind in KINDS[:2]] == pytest.approx(
        [0.425, 0.825]
    )  # 0.15 short: half each
    draw_curves(lines, names, {"accuracy": [0.333]}, dict.fromkeys(KINDS, "now"), (0.4, 0.0, 1.0), digits=0)
    assert [names[kind].get_text() for kind in KINDS] == ["", "now 33%", ""]
    assert lines["accuracy"].get_xydata().tolist() == [[1, 0.333]]
    assert not len(lines["previous"].get_xydata())


def test_the_first_bar_of_bytes_is_the_highest() -> None:
    bars, values = build_bytes(axes(figure(300, 200), 20, 20, 200, 150), ("up", "down"), (1.0, 0.3))
    assert [bar.get_y() + bar.get_height() / 2 for bar in bars] == pytest.approx([1, 0])
    assert [value.get_position()[1] for value in values] == [1, 0]
    assert [bar.get_alpha() for bar in bars] == [1.0, 0.3]
