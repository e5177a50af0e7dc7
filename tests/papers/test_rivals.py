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


CODES = 4096 + 640
"""Weights of the digits network that have codes: 64-64-10 without biases."""
PACKET = 74 * 4 + 450
"""Bytes of its biases, and the most that names, shapes, scales and the checksum take."""


@pytest.mark.parametrize("update", rivals.UPDATES)
def test_devices_of_five_bits_on_average_send_five_bits_and_a_sign(update):
    """By count: magnitude planes and a sign plane a weight, 300 uploads and as many downloads."""
    for name, bits in (("FP8", 8), ("AQFL", 5)):
        mean = found("digits")[f"{name}, {update}"].mean
        for way in ("bytes_up", "bytes_down"):
            codes = 300 * CODES * (bits + 1) / 8
            assert 0.9 * codes < mean[way] < codes + 300 * PACKET, (name, way)


@pytest.mark.parametrize("data", rivals.DATA)
@pytest.mark.parametrize("update", rivals.UPDATES)
def test_dealing_bits_costs_no_byte_more_and_fractions_are_what_trains(data, update):
    """Budgets are kept, so FedMPQ sends what AQFL may; and 2- and 4-bit devices train in planes, not in whole digits."""
    rows = found(data)
    aqfl, fedmpq, fp8 = (rows[f"{name}, {update}"].mean for name in ("AQFL", "FedMPQ", "FP8"))
    assert fedmpq["bytes_up"] < 1.02 * aqfl["bytes_up"] < fp8["bytes_up"]
    assert rows["AQFL, latent"].mean["accuracy"] > rows["AQFL, integer"].mean["accuracy"]


def test_a_stored_row_is_what_its_setting_gives():
    """Bytes to the byte and accuracy to three digits: a row is a run, not a memory of one."""
    stored = found("digits")["FedPAQ, 1 bit"]
    again = rivals.measure("FedPAQ, 1 bit", "digits")
    assert again.mean["bytes_up"] == stored.mean["bytes_up"]
    assert again.mean["accuracy"] == pytest.approx(stored.mean["accuracy"], abs=0.005)
    assert (again.sends, again.state) == (stored.sends, stored.state) == ("differences", False)
