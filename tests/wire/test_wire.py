"""Packets: exact inverses, honest sizes, and no damaged byte that goes unnoticed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab import wire
from fqlab.errors import ConfigError, WireError
from fqlab.quant import KINDS, Codes, Grid, prune_msb, quantize
from fqlab.wire.delta import apply_changes, changes

NETWORKS = {"mnist": (144, 2304, 78400, 1000), "cifar": (432, 2304, 102400, 1000)}
SHAPES = st.lists(st.integers(0, 5), max_size=3)


def codes_of(grid: Grid, shape: tuple[int, ...], seed: int = 0) -> Codes:
    draw = np.random.default_rng(seed)
    values = torch.from_numpy(draw.integers(grid.low, grid.high + 1, shape)).to(torch.int16)
    return Codes(values, grid, torch.tensor(float(draw.uniform(0.1, 2)), dtype=torch.float32))


def same(a, b) -> bool:
    return a == b if isinstance(a, Codes) else a.dtype == b.dtype and torch.equal(a, b)


@given(
    bits=st.integers(1, 8),
    kind=st.sampled_from(KINDS),
    shape=SHAPES,
    seed=st.integers(0, 99),
    coding=st.sampled_from(wire.CODINGS),
)
def test_unpack_inverts_pack(bits, kind, shape, seed, coding):
    draw = torch.Generator().manual_seed(seed)
    grid = Grid(bits, kind)
    codes = {
        "w": codes_of(grid, tuple(shape), seed),
        "zero": Codes(torch.full(shape, max(0, grid.low), dtype=torch.int16), grid, torch.tensor(1.0)),
    }
    tensors = {
        "bias": torch.randn(shape, generator=draw),
        "mask": torch.rand(shape, generator=draw) < 0.5,
        "scalar": torch.tensor(float("nan")) if seed == 1 else torch.tensor(1.5),
        "count": torch.tensor([seed, 7], dtype=torch.int32),
    }
    payload = wire.Payload(codes, tensors)
    back = wire.unpack(wire.pack(payload, coding=coding))
    assert list(back) == list(payload)
    assert all(same(payload[k], back[k]) for k in payload if k != "scalar")
    assert wire.pack(payload, coding=coding) == wire.pack(payload, coding=coding)


def test_an_empty_payload_travels():
    assert wire.unpack(wire.pack({})) == {}


@pytest.mark.parametrize("bits", range(1, 9))
def test_planes_are_the_bits_one_after_the_other(bits):
    """Against Python's own binary digits: top plane first, entry 0 the highest bit of a byte."""
    grid = Grid(bits)
    codes = codes_of(grid, (21,), bits)
    packet = wire.pack({"w": codes})
    digits = ["".join(f"{v:0{bits}b}"[k] for v in codes.values.tolist()).ljust(24, "0") for k in range(bits)]
    expected = b"".join(int(d, 2).to_bytes(3, "big") for d in digits if "1" in d)
    assert packet.endswith(expected)


def test_a_packet_is_a_safetensors_file():
    packet = wire.pack({"w": codes_of(Grid(4), (64, 10)), "b": torch.arange(10.0)})
    opened = safetensors.numpy.load(packet)
    assert opened["floats"].view(np.float32)[-10:].tolist() == list(range(10))


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 8), st.sampled_from(KINDS)), max_size=3),
    st.sampled_from(wire.CODINGS),
    st.booleans(),
)
def test_a_packet_is_what_safetensors_writes(layers, coding, floats):
    """The header is composed by hand; the library that reads it elsewhere writes the same bytes."""
    payload = {f'w"{i}é': codes_of(Grid(bits, kind), (3, n), i) for i, (n, bits, kind) in enumerate(layers)}
    payload |= {"b": torch.zeros(100), "n": torch.arange(3)} if floats else {"mask": torch.ones(9, dtype=torch.bool)}
    packet = wire.pack(payload, coding=coding)
    header = json.loads(packet[8 : 8 + int.from_bytes(packet[:8], "little")])
    buffers = safetensors.numpy.load(packet)
    assert safetensors.numpy.save(buffers, header["__metadata__"]) == packet


def test_cutting_a_top_plane_is_a_byte_slice():
    """Drop the top bit: the planes left are the end of the planes there were, byte for byte."""
    values = torch.tensor([1, -2, 3, 15, -7, 0, 5, 6] * 4, dtype=torch.int16)
    codes = Codes(values, Grid(4, "sign_magnitude"), torch.tensor(1.0))
    pruned, left = prune_msb(codes, 0.125, saturate=False, once=True)
    assert int(left) == 3
    whole, cut = (wire.pack({"w": c}) for c in (codes, pruned))
    assert wire.measure(whole).code_bytes == 5 * 4
    assert wire.measure(cut).code_bytes == 4 * 4
    assert cut[-16:] == whole[-16:]


@pytest.mark.parametrize("network, bits, expected", [
    ("mnist", (2, 2, 2, 2), 163_696), ("mnist", (4, 2, 2, 4), 165_984), ("mnist", (4, 4, 4, 4), 327_392),
    ("mnist", (8, 8, 8, 8), 654_784), ("cifar", (2, 2, 2, 2), 212_272), ("cifar", (4, 2, 2, 4), 215_136),
    ("cifar", (4, 4, 4, 4), 424_544), ("cifar", (8, 8, 8, 8), 849_088),
])  # fmt: skip
def test_uplink_sizes_of_the_clipped_paper(network, bits, expected):
    payload = {
        f"layer{i}": codes_of(Grid(b), (n,), i) for i, (n, b) in enumerate(zip(NETWORKS[network], bits, strict=True))
    }
    size = wire.measure(wire.pack(payload))
    assert size.code_bits == expected
    assert size.code_bytes * 8 == expected
    assert size.total == size.code_bytes + size.float_bytes + size.overhead_bytes


def test_overhead_of_the_clipped_papers_network_is_below_three_percent():
    from fqlab.models import ClippedCNN, quantizable

    model = ClippedCNN((1, 28, 28), 10)
    payload = {name: value.detach() for name, value in model.state_dict().items()}
    for name in quantizable(model):
        payload[name] = quantize(
            torch.randn(payload[name].shape, generator=torch.Generator().manual_seed(0)), 2.0, Grid(4)
        )
        payload[f"{name}/error"] = torch.tensor(0.1)
    size = wire.measure(wire.pack(payload))
    assert size.code_bits == 327_392
    assert size.overhead_bytes < 0.03 * size.total


def small_packet(coding: str) -> bytes:
    payload = {"w": codes_of(Grid(3, "narrow"), (3, 5)), "m": torch.tensor([True, False, True]), "b": torch.ones(2)}
    return wire.pack(payload, coding=coding)


@pytest.mark.parametrize("coding", wire.CODINGS)
def test_every_flipped_byte_and_every_cut_is_noticed(coding):
    packet = small_packet(coding)
    for i in range(len(packet)):
        broken = bytearray(packet)
        broken[i] ^= 1 << (i % 8)
        with pytest.raises(WireError, match="client 7"):
            wire.unpack(bytes(broken), client=7)
    for length in range(len(packet)):
        with pytest.raises(WireError, match="client 7"):
            wire.unpack(packet[:length], client=7)
    with pytest.raises(WireError, match="client 7"):
        wire.unpack(packet + b"\0", client=7)


def test_damage_names_its_field():
    packet = bytearray(wire.pack({"fc1.weight": codes_of(Grid(8), (64,))}))
    packet[-1] ^= 1
    with pytest.raises(WireError, match="client 3.*fc1.weight"):
        wire.unpack(bytes(packet), client=3)


def test_what_cannot_travel_is_named():
    with pytest.raises(ConfigError, match="'w'.*float64"):
        wire.pack({"w": torch.zeros(2, dtype=torch.float64)})
    batch = quantize(torch.randn(2, 4), torch.ones(2), Grid(2), batch_dims=1)
    with pytest.raises(ConfigError, match="'w'.*clip"):
        wire.pack({"w": batch})
    with pytest.raises(ConfigError, match="coding is 'gzip'"):
        wire.pack({}, coding="gzip")
    beyond = Codes(torch.tensor([4], dtype=torch.int16), Grid(2), torch.tensor(1.0))
    with pytest.raises(ConfigError, match="codes run"):
        wire.pack({"w": beyond})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("far", [65541, -65541, 2**31 - 1, -(2**31), -32768, 32767, 2**40])
def test_a_code_that_a_cast_would_fold_back_onto_the_grid_is_refused(kind, far):
    """65541 is 5 modulo 2^16, and |−32768| is negative in 16 bits."""
    for dtype in (torch.int16, torch.int32, torch.int64):
        if torch.iinfo(dtype).min <= far <= torch.iinfo(dtype).max:
            codes = Codes(torch.tensor([1, far], dtype=dtype), Grid(8, kind), torch.tensor(1.0))
            with pytest.raises(ConfigError, match=rf"^codes run from .*{far}.*, but must lie from"):
                wire.pack({"w": codes})
            with pytest.raises(ConfigError, match=rf"^codes run from .*{far}.*, but must lie from"):
                wire.pack_all([{"w": codes}, {"w": Codes(codes.values[:1].expand(2), codes.grid, codes.clip)}])


def test_codes_of_another_whole_type_travel_and_others_do_not():
    values = torch.tensor([3, 0, -2, 1])
    want = wire.pack({"w": Codes(values.to(torch.int16), Grid(3, "narrow"), torch.tensor(1.0))})
    for dtype in (torch.int8, torch.int32, torch.int64):
        assert wire.pack({"w": Codes(values.to(dtype), Grid(3, "narrow"), torch.tensor(1.0))}) == want
    for dtype in (torch.float32, torch.bool):
        with pytest.raises(ConfigError, match=r"^codes are .*, but must be whole numbers\.$"):
            wire.pack({"w": Codes(values.to(dtype), Grid(3, "narrow"), torch.tensor(1.0))})


@pytest.mark.parametrize("coding", wire.CODINGS)
def test_views_travel_as_the_values_they_show(coding):
    """Strided, transposed, expanded and empty tensors of every type."""
    base = {
        "codes": codes_of(Grid(4), (6, 8)).values, "float": torch.arange(48.0).reshape(6, 8),
        "bool": torch.arange(48).reshape(6, 8) % 3 == 0, "int32": torch.arange(48, dtype=torch.int32).reshape(6, 8),
        "int64": torch.arange(48).reshape(6, 8), "uint8": torch.arange(48, dtype=torch.uint8).reshape(6, 8),
    }  # fmt: skip
    views = (lambda t: t.T, lambda t: t[:, 3], lambda t: t[::2, 1::3], lambda t: t[0, 0].expand(5), lambda t: t[:0])
    for view in views:
        payload = {name: view(value) for name, value in base.items()}
        payload["codes"] = Codes(payload["codes"], Grid(4), torch.tensor(1.0))
        back = wire.unpack(wire.pack(payload, coding=coding))
        assert all(same(payload[name], back[name]) for name in payload)


def test_changes_refuse_codes_wider_than_they_say():
    new = Codes(torch.tensor([1, 2], dtype=torch.int16), Grid(3, "sign_magnitude"), torch.tensor(1.0))
    for old in (torch.tensor([8, 0], dtype=torch.int16), torch.tensor([65541, 0], dtype=torch.int32)):
        with pytest.raises(ConfigError, match=r"^bits is 3, but must be enough for the magnitude \d+\.$"):
            changes(old, 3, new)
        with pytest.raises(ConfigError, match=r"^bits is 3, but must be enough for the magnitude \d+\.$"):
            apply_changes(old, 3, new, torch.tensor([False, False]))
    for empty in (Codes(new.values[:0], new.grid, new.clip),):
        assert apply_changes(empty.values, 3, *changes(empty.values, 3, empty)) == empty


def test_no_codes_have_no_entropy():
    empty = codes_of(Grid(4), (0, 3))
    assert (wire.entropy(empty), wire.ans_bits(empty)) == (0, 0)


@pytest.mark.parametrize("bits, clip, most", [(4, 5.0, 1.03), (2, 1.7, 1.03), (8, 4.5, 1.03)])
def test_entropy_coders_come_close_to_shannon(bits, clip, most):
    x = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    codes = quantize(x, clip, Grid(bits))
    counts = np.unique(codes.values.numpy(), return_counts=True)[1]
    bound = -sum(n * np.log2(n / len(x)) for n in counts)
    assert wire.entropy(codes) * len(x) == pytest.approx(bound, rel=1e-9)
    assert bound * 0.999 <= wire.ans_bits(codes) <= 1.01 * bound + 100
    assert 8 * wire.measure(wire.pack({"w": codes})).entropy_bytes <= most * bound + 8000


def test_reference_coder_round_trip():
    codes = codes_of(Grid(5, "sign_magnitude"), (40, 7))
    assert np.array_equal(
        wire.entropy.__globals__["ans_decode"](*wire.entropy.__globals__["ans_encode"](codes), codes), codes.values
    )


def test_measured_sizes_are_those_of_packing_again():
    payload = {"w": codes_of(Grid(4), (500,)), "b": torch.zeros(300)}
    for coding in wire.CODINGS:
        packet, size = wire.pack_measured(payload, coding=coding)
        assert packet == wire.pack(payload, coding=coding)
        assert size == wire.measure(packet)
        assert size.fixed_bytes == len(wire.pack(payload))
        assert size.entropy_bytes == len(wire.pack(payload, coding="zstd"))


def test_ledger_sums():
    ledger = wire.Ledger()
    packet = wire.pack({"b": torch.zeros(4)})
    for r in (1, 2):
        for c in (0, 1, 2):
            ledger.add(r, c, "up" if c else "down", wire.measure(packet))
    assert ledger.total() == 6 * len(packet)
    assert ledger.total(round_index=1, direction="up") == 2 * len(packet)
    assert ledger.total("float_bytes", client=0) == 2 * 16
    assert ledger.rows()[0]["round_index"] == 1
    with pytest.raises(ConfigError, match="direction is 'sideways'"):
        ledger.add(1, 0, "sideways", wire.measure(packet))


def test_explain_covers_every_byte_once():
    packet = small_packet("fixed")
    fields = wire.explain(packet)
    edges = [(f.start, f.stop) for f in fields]
    assert edges[0][0] == 0
    assert edges[-1][1] == len(packet)
    assert all(a[1] == b[0] for a, b in zip(edges, edges[1:], strict=False))
