"""The packet panel: bytes, cuts, rates and headers are those of real packets and of textbooks."""

from __future__ import annotations

import numpy as np
import pytest

from fqlab import wire
from fqlab.errors import WireError
from fqlab.panels import packet
from fqlab.panels.views.packet import payload
from fqlab.plots.packet import Bytes, Overhead, Rates, layout
from fqlab.quant import Codes

MAX_1960 = {4: (0.1188, 1.904), 8: (0.03744, 2.759), 16: (0.01154, 3.602)}
"""Levels -> error and entropy of the best uniform quantizer of a bell curve (Max 1960, table II)."""


@pytest.fixture(scope="module")
def panel():
    panel = packet()
    yield panel
    panel.close()


def test_every_byte_shown_is_a_byte_sent(panel):
    panel.reset()
    sent = wire.pack(payload("digits"))
    for at in (0, 99, 500, 1000):
        shown = panel.set(at=at).frame.pictures[Bytes]
        assert shown.packet == sent
        assert shown.at == round(at / 1000 * (len(sent) - 1))
    header = 8 + int.from_bytes(sent[:8], "little")
    sizes = {name: size for _, name, _, size in shown.parts}
    assert sizes == {"header": header, "floats": 4 * (64 + 10 + 2), "fc1.weight": 4 * 64 * 64 // 8,
                     "fc2.weight": 4 * 640 // 8, "signs": (4096 + 640) // 8}  # fmt: skip
    assert sum(sizes.values()) == len(sent)
    ends = [0, *(f[1] for f in shown.fields)]
    assert [f[0] for f in shown.fields] == ends[:-1]
    assert ends[-1] == len(sent)


def test_a_flipped_bit_is_noticed_wherever_it_is(panel):
    panel.reset()
    honest = wire.pack(payload("tiny"))
    for at in range(0, 1001, 50):
        shown = panel.set(network="tiny", at=at, flip=True).frame.pictures[Bytes]
        differing = [i for i, (a, b) in enumerate(zip(honest, shown.packet, strict=True)) if a != b]
        assert differing == [shown.at]
        with pytest.raises(WireError) as caught:
            wire.unpack(shown.packet, client=3)
        assert shown.verdict == str(caught.value) == panel.frame.message
        assert shown.verdict.startswith("Packet of client 3: ")
    assert "'weight'" in shown.verdict


def test_cutting_planes_is_masking_magnitudes(panel):
    for cut in (1, 2, 3):
        whole, less = payload("digits", rule="max_abs"), payload("digits", rule="max_abs", cut=cut)
        for name, codes in whole.items():
            if isinstance(codes, Codes):
                values = codes.values.numpy()
                kept = np.sign(values) * (np.abs(values) & (0b1111 >> cut))
                assert np.array_equal(less[name].values.numpy(), kept)
        panel.reset().set(rule="max_abs", cut=cut)
        title = panel.frame.pictures[Bytes].finding
        before, after = wire.pack(whole), wire.pack(less)
        assert f"{len(before) - len(after):,} bytes fewer" in title
        assert abs(len(before) - len(after) - cut * 4736 // 8) < 12  # the checksums' digits and the padding
        old, new = ({f.name: p[f.start : f.stop] for f in wire.explain(p)} for p in (before, after))
        planes = [n for n in new if ": bit" in n and new[n]]
        assert len(planes) == 2 * (4 - cut)
        assert all(new[n] == old[n] for n in planes), "only signs may change"


def test_rates_are_those_of_the_codes(panel):
    panel.reset().set(network="paper", grid="midrise", bits=2)
    shown = panel.frame.pictures[Rates]
    codes = {n: c for n, c in payload("paper", grid="midrise", bits=2).items() if isinstance(c, Codes)}
    bits = 0.0
    for c in codes.values():
        p = np.unique(c.values.numpy(), return_counts=True)[1] / c.values.numel()
        bits -= c.values.numel() * float(np.sum(p * np.log2(p)))
    count = sum(c.values.numel() for c in codes.values())
    assert count == 81_848
    assert shown.rates["Shannon"] == pytest.approx(bits / count, rel=1e-9)
    assert shown.rates["fixed"] == 2
    assert 1 <= shown.rates["ANS"] / shown.rates["Shannon"] < 1.01
    assert 1 <= shown.rates["zstd"] / shown.rates["Shannon"] < 1.03
    for levels, (least, entropy) in MAX_1960.items():
        rates, mse = shown.curves["octav", "coded"]
        k = levels.bit_length() - 2
        assert mse[k] == pytest.approx(least, rel=0.015)
        assert rates[k] == pytest.approx(entropy, abs=0.03)
        assert shown.curves["octav", "fixed"][0][k] == np.log2(levels)


def test_the_header_shrinks_beside_a_growing_payload(panel):
    panel.reset()
    shares = [share for _, _, share in panel.frame.pictures[Overhead].networks]
    assert shares[0] > 0.8
    assert shares[:5] == sorted(shares[:5], reverse=True)
    size = wire.measure(wire.pack(payload("paper")))
    assert shares[4] == pytest.approx(size.overhead_bytes / size.total, rel=1e-3)


@pytest.mark.parametrize("count", [1, 40, 269, 3616, 24046, 100_000])
def test_the_map_has_room_for_every_byte(count):
    cell, columns, each = layout(count)
    cells = -(-count // each)
    rows = -(-cells // columns)
    assert cell * columns <= 330
    assert cell * rows <= 112
