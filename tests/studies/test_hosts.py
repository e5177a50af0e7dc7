"""The stored rounds over slow lines, and the picture of them."""

from __future__ import annotations

import pytest

from fqlab.papers.figures import hosts as figure
from fqlab.studies import hosts
from fqlab.studies.hosts import Cell


def test_every_line_was_measured_at_every_width_with_real_packets():
    table = hosts.lines()
    rates = {cell.rate for cell in table.cells}
    assert {(c.rate, c.bits) for c in table.cells} == {(r, b) for r in rates for b in figure.BITS}
    assert 0 in rates
    assert all(len(cell.seconds) == table.setup["rounds"] for cell in table.cells)
    for cell in table.cells:
        codes = 10 * (64 * 64 + 64 * 10) * cell.bits / 8
        assert codes <= cell.bytes_up <= codes + 10 * (4 * 74 + 700)


def test_a_line_carries_its_bits_a_second():
    """200 000 bytes of two nodes and 25 000 down: 125 000 bytes, a million bits on each line."""
    cell = Cell(0.5, 32, 200_000, 25_000, 250_000, (3.0, 2.5))
    assert cell.payload_seconds(nodes=2) == pytest.approx(2.0)
    assert cell.least == 2.5


def test_all_of_the_packets_crossed_the_line():
    assert all(cell.line_up > cell.bytes_up for cell in hosts.lines().cells)


def test_no_round_was_quicker_than_its_packets():
    table = hosts.lines()
    assert all(cell.least > cell.payload_seconds(table.setup["nodes"]) for cell in table.cells)


def test_fewer_bits_are_time_on_the_slowest_line():
    """The criterion of the experiment: a quarter of the bits saves at least half of what its packets save on the line."""
    table = hosts.lines()
    slowest = min(cell.rate for cell in table.cells if cell.rate)
    at = {cell.bits: cell for cell in table.cells if cell.rate == slowest}
    fewer = at[32].payload_seconds(2) - at[8].payload_seconds(2)
    assert at[32].least - at[8].least > fewer / 2


def test_the_picture_says_what_is_stored():
    drawing = figure.slow_lines()
    for cell in hosts.lines().cells:
        assert f"{cell.bits} bits: {cell.least:.1f} s" in drawing.alt
    assert "each a network namespace" in drawing.alt
