"""A packet opened byte by byte: what every byte is for, what a flipped bit does, and what coding is worth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from fqlab import models, wire
from fqlab.errors import WireError
from fqlab.models.layers import build
from fqlab.panels.frame import Frame, Panel, Settings, control
from fqlab.panels.grids import choices
from fqlab.plots.packet import Bytes, Overhead, Rates
from fqlab.quant import Codes, Grid, clip_for, expected_mse, from_planes, quantize, to_planes
from fqlab.tensors import Weights

__all__ = ["PacketPanel", "State", "payload"]

CLIENT = 3
"""Who is said to have sent the packet."""
NETWORKS = {"tiny": "one layer, 40 weights", "digits": "digits, 4 736 weights", "paper": "paper's CNN, 81 848"}
SHAPES = {
    "tiny": lambda: torch.nn.Linear(8, 5, bias=False),
    "small": lambda: torch.nn.Linear(20, 20),
    "digits": lambda: models.MLP(64, (64,), 10),
    "lottery": models.LotteryMNIST,
    "paper": models.ClippedCNN,
    "resnet": lambda: models.ResNet(3, 10, "group"),
}
NAMES = ("40 weights", "20 × 20", "digits", "LeNet, MNIST", "paper's CNN", "ResNet-20")


@dataclass(frozen=True)
class State(Settings):
    """What is in the packet, and where one looks."""

    network: str = control("digits", label="Weights", group="Payload", choices=NETWORKS,
                           help="the network's own names and shapes, filled from a bell curve")  # fmt: skip
    grid: str = control(
        "sign_magnitude",
        label="Grid",
        choices=choices("sign_magnitude", "midrise", "narrow"),
    )
    bits: int = control(4, label="Bits per weight", unit="bit", low=1, high=8)
    rule: str = control("octav", label="Clip rule", choices={"octav": "OCTAV", "max_abs": "max-abs"})
    clip: float = control(1.0, label="Clip", unit="× the rule's", low=0.5, high=4.0, step=0.1, mark=1.0)
    coding: str = control("fixed", label="Coding", group="Packet",
                          choices={"fixed": "fixed length", "zstd": "zstandard"})  # fmt: skip
    cut: int = control(
        0,
        label="Top planes cut off",
        low=0,
        high=3,
        when=lambda s: s.grid == "sign_magnitude",
        help="clears the highest bits of every weight; the lowest plane always stays",
    )
    at: int = control(0, label="Look at", unit="‰ of the packet", low=0, high=1000, group="Magnifier")
    flip: bool = control(False, label="Flip a bit", choices={False: "no", True: "yes, here"})
    seed: int = control(0, label="Seed", low=0, high=999, box=True)


@dataclass(frozen=True)
class Opened:
    """A packet with all that does not depend on where one looks."""

    packet: bytes
    size: wire.Size
    fields: tuple[tuple, ...]
    parts: tuple[tuple, ...]
    weights: int
    rates: dict[str, float]
    mse: float
    saved: int
    changed: int


class PacketPanel(Panel):
    """Look at any byte of a packet, flip a bit, cut a plane, code it."""

    name, title = "packet", "A packet, byte by byte"
    State = State
    rows = ((Bytes,), (Rates, Overhead))
    presets = {
        "40 weights": {"network": "tiny"},
        "A plane": {"at": 300},
        "Flip a bit": {"at": 300, "flip": True},
        "... in the header": {"at": 40, "flip": True},
        "Cut a plane": {"rule": "max_abs", "cut": 1, "at": 300},
        "Entropy coded": {"rule": "max_abs", "coding": "zstd", "at": 300},
        "Paper's CNN": {"network": "paper", "grid": "midrise", "bits": 2, "at": 300},
    }
    handles = ("bits", "clip", "at")

    def instant(self, state: State) -> Frame:
        opening = opened(**{name: value for name, value in vars(state).items() if name not in ("at", "flip")})
        packet = bytearray(opening.packet)
        at = round(state.at / 1000 * (len(packet) - 1))
        packet[at] ^= state.flip
        verdict = _verdict(bytes(packet))
        finding = _finding(state, opening)
        shown = Bytes.Data(bytes(packet), opening.fields, opening.parts, at, state.flip, verdict, finding)
        curves = _curves(state.grid)
        gain = tuple(_gain(curves, way, opening.mse) for way in ("fixed", "coded"))
        rates = Rates.Data(curves, opening.rates, opening.mse, gain)
        share = Overhead.Data(
            _shares(state.grid, state.bits), opening.weights, opening.size.overhead_bytes / opening.size.total
        )
        rows = [dict(start=a, stop=b, bytes=b - a, name=name, meaning=says) for a, b, _, name, says in opening.fields]
        return Frame({Bytes: shown, Rates: rates, Overhead: share}, verdict, rows)


def _verdict(packet: bytes) -> str:
    """What the receiver says."""
    try:
        wire.unpack(packet, client=CLIENT)
    except WireError as error:
        return str(error)
    return f"Packet of client {CLIENT}: every checksum holds."


def _finding(state: State, opening: Opened) -> str:
    size = opening.size
    planes = "plane" if state.cut == 1 else "planes"
    if state.flip:
        return f"One flipped bit among {len(opening.packet):,} bytes is noticed, and the part is named"
    if opening.saved:
        rest = f", but for {opening.changed:,} bytes of signs" if opening.changed else ""
        return f"{state.cut} {planes} cut: {opening.saved:,} bytes fewer, the others as they were{rest}"
    if state.coding == "zstd":
        return f"{size.total:,} bytes entropy coded, {size.fixed_bytes:,} at fixed length"
    shares = [100 * n / size.total for n in (size.code_bytes, size.float_bytes, size.overhead_bytes)]
    return f"{size.total:,} bytes: {shares[0]:.0f} % codes, {shares[1]:.0f} % floats, {shares[2]:.0f} % header"


# ----------------------------------------------------------------------------------------------------- the payload


@lru_cache(maxsize=12)
def _tensors(network: str, seed: int) -> tuple[Weights, tuple[str, ...]]:
    """Weights of a network's names and shapes, drawn from a bell curve, and which of them are quantized."""
    draws = torch.Generator().manual_seed(seed)
    model = build(SHAPES[network], draws)
    names = models.quantizable(model)
    tensors = models.weights_of(model)
    return {n: torch.randn(w.shape, generator=draws) if n in names else w for n, w in tensors.items()}, names


def payload(
    network: str,
    *,
    grid: str = "sign_magnitude",
    bits: int = 4,
    rule: str = "octav",
    clip: float = 1.0,
    cut: int = 0,
    seed: int = 0,
) -> wire.Payload:
    """What a packet with these settings of :class:`State` carries."""
    tensors, names = _tensors(network, seed)
    g = Grid(bits, grid)
    code = lambda w: quantize(w, clip * clip_for(rule, w, g, level_aware=True), g)
    return {n: _cut(code(w), cut) if n in names else w for n, w in tensors.items()}


def _cut(codes: Codes, count: int) -> Codes:
    """The codes with their highest ``count`` bit planes cleared; one plane always stays."""
    if not count or codes.grid.kind != "sign_magnitude":
        return codes
    planes, sign = to_planes(codes)
    planes[max(1, codes.grid.bits - count) :] = False
    return from_planes(planes, sign, codes.clip)


@lru_cache(maxsize=24)
def opened(network: str, coding: str, cut: int, seed: int, **settings: Any) -> Opened:
    """The packet of these settings, weighed and explained."""
    content = payload(network, cut=cut, seed=seed, **settings)
    tensors, names = _tensors(network, seed)
    packet, size = wire.pack_measured(content, coding=coding)
    codes = [content[n] for n in names]
    count = sum(tensors[n].numel() for n in names)
    rates = {
        "fixed": size.code_bits / count,
        "zstd": 8 * wire.pack_measured(content, coding="zstd")[1].code_bytes / count,
        "ANS": sum(map(wire.ans_bits, codes)) / count,
        "Shannon": sum(wire.entropy(c) * c.values.numel() for c in codes) / count,
    }
    mse = sum(float((tensors[n] - content[n].dequantize()).square().sum()) for n in names) / count
    fields = _fields(packet, size)
    difference = (0, 0)
    if cut:
        difference = _difference(wire.pack(payload(network, seed=seed, **settings)), wire.pack(content))
    return Opened(packet, size, fields, _parts(fields, size), count, rates, mse, *difference)


def _fields(packet: bytes, size: wire.Size) -> tuple[tuple, ...]:
    """Start, stop, kind, name and meaning of every field that has bytes."""
    fields = []
    for field in wire.explain(packet):
        kind = "header" if field.stop <= size.overhead_bytes else "numbers"
        if field.start >= size.overhead_bytes + size.float_bytes:
            kind = "other plane" if fields and fields[-1][2] == "plane" else "plane"
            kind = "sign" if field.name.endswith(": sign") else kind
        if field.stop > field.start:
            fields.append((field.start, field.stop, kind, field.name, field.meaning))
    return tuple(fields)


def _parts(fields: tuple[tuple, ...], size: wire.Size) -> tuple[tuple, ...]:
    """Kind, name, detail and bytes of header, numbers, each coded layer and the signs of all."""
    rows = [("header", "header", "names, checksums", size.overhead_bytes)]
    rows += [("numbers", "floats", "clips, biases", size.float_bytes)]
    layers: dict[str, list[int]] = {}
    for start, stop, kind, name, _ in fields:
        if "plane" in kind:
            layers.setdefault(name.partition(": ")[0], []).append(stop - start)
    rows += [("plane", n, f"{len(s)} × {s[0]:,} B" if len(s) > 1 else "", sum(s)) for n, s in layers.items()]
    signs = sum(stop - start for start, stop, kind, *_ in fields if kind == "sign")
    return tuple(rows + [("sign", "signs", "of all layers", signs)] * bool(signs))


def _difference(whole: bytes, less: bytes) -> tuple[int, int]:
    """Bytes by which ``less`` is shorter, and bytes of the planes in both that differ."""
    before, after = ({f.name: p[f.start : f.stop] for f in wire.explain(p) if ": " in f.name} for p in (whole, less))
    changed = sum(x != y for name, part in after.items() if part for x, y in zip(before[name], part, strict=True))
    return len(whole) - len(less), changed


# ------------------------------------------------------------------------------------------------------ comparisons


@lru_cache(maxsize=8)
def _curves(grid: str) -> dict[tuple[str, str], tuple[list[float], list[float]]]:
    """Bits a weight and squared error of bell-shaped weights at 1 to 8 bits: (rule, fixed or coded)."""
    x = torch.special.ndtri((torch.arange(20_001, dtype=torch.float64) + 0.5) / 20_001).float()
    curves: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for rule in ("octav", "max_abs"):
        grids = [Grid(bits, grid) for bits in range(1, 9)]
        clips = [clip_for(rule, x, g, level_aware=True) for g in grids]
        mse = [float(expected_mse(x, c, g)) for c, g in zip(clips, grids, strict=True)]
        curves[rule, "fixed"] = ([g.code_bits for g in grids], mse)
        curves[rule, "coded"] = ([wire.entropy(quantize(x, c, g)) for c, g in zip(clips, grids, strict=True)], mse)
    return curves


def _gain(curves: dict, way: str, mse: float) -> float:
    """Bits a weight that OCTAV saves over max-abs at this error; NaN beyond the curves."""
    rates = []
    for rule in ("max_abs", "octav"):
        x, y = curves[rule, way]
        inside = min(y) <= mse <= max(y)
        rates.append(float(np.interp(-np.log(mse), -np.log(y), x)) if inside else float("nan"))
    return rates[0] - rates[1]


@lru_cache(maxsize=1)
def _measured() -> tuple[tuple[str, int, int, int], ...]:
    """Name, weights, header bytes and plain bytes of a real packet of every network."""
    rows = []
    for name, network in zip(NAMES, SHAPES, strict=True):
        size = wire.measure(wire.pack(payload(network)))
        rows.append((name, size.magnitude_bits // 4, size.overhead_bytes, size.float_bytes))
    return tuple(rows)


def _shares(grid: str, bits: int) -> tuple[tuple[str, int, float], ...]:
    """Name, weights and header's share of every network at these bits."""
    each = Grid(bits, grid).code_bits / 8
    return tuple((name, n, header / (header + numbers + n * each)) for name, n, header, numbers in _measured())
