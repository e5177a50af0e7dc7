"""The comparison of the rivals: its stored rows are those of its settings, and say what the prose says."""

from __future__ import annotations

import pytest

from fqlab.studies import rivals


def found(data: str) -> dict[str, rivals.Row]:
    return {row.name: row for row in rivals.rows() if row.data == data}


@pytest.mark.parametrize("data", rivals.DATA)
def test_every_setting_has_a_row_and_every_row_a_setting(data):
    assert list(found(data)) == list(rivals.SETTINGS)
    lines = rivals.table(data).splitlines()
    assert len(lines) == 2 + len(rivals.SETTINGS)
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize("data", rivals.DATA)
def test_one_bit_of_a_difference_is_worth_more_than_one_bit_of_a_weight(data):
    rows = found(data)
    weights = rows["clipped, 1 bit"]
    for name in ("FedPAQ, 1 bit", "UVeQFed, 1 bit", "EDEN, 1 bit"):
        assert rows[name].mean["accuracy"] > weights.mean["accuracy"] + 0.05, name
        assert rows[name].mean["bytes_up"] < weights.mean["bytes_up"] * 1.15
        assert rows[name].mean["bytes_down"] == weights.mean["bytes_down"]


def test_a_stored_row_is_what_its_setting_gives():
    """Bytes to the byte and accuracy to three digits: a row is a run, not a memory of one."""
    stored = found("digits")["FedPAQ, 1 bit"]
    again = rivals.measure("FedPAQ, 1 bit", "digits")
    assert again.mean["bytes_up"] == stored.mean["bytes_up"]
    assert again.mean["accuracy"] == pytest.approx(stored.mean["accuracy"], abs=0.005)
    assert (again.sends, again.state) == (stored.sends, stored.state) == ("differences", False)
