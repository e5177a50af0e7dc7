"""Numbers of the lesson on packets: formulas beside bytes, clips beside coders, ledgers beside sockets."""

from __future__ import annotations

import numpy as np
import torch

from fqlab import models, wire
from fqlab.models.layers import build
from fqlab.quant import Grid, clip_for, expected_mse, quantize

__all__ = [
    "both_ways_2222", "clip_saves", "formula_2222", "mnist_upload", "packet_2222", "socket", "thousand_header", "zstd",
]  # fmt: skip


def _normal(seed: int, count: int) -> torch.Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed))


def mnist_upload(bits: tuple[int, ...]) -> wire.Payload:
    """An upload of the clipped-quantization paper's MNIST network, its weights drawn from a bell curve.

    Args:
        bits: of conv1, conv2, fc1 and fc2; 32 leaves a layer in full precision.
    """
    model = build(models.ClippedCNN, torch.Generator().manual_seed(0))
    tensors = models.weights_of(model)
    codes = {}
    for seed, (name, width) in enumerate(zip(models.quantizable(model), bits, strict=True)):
        if width < 32:
            shape = tensors.pop(name).shape
            w = _normal(seed, shape.numel()).reshape(shape)
            grid = Grid(width)
            codes[name] = quantize(w, clip_for("octav", w, grid), grid)
    return wire.Payload(codes, tensors)


def _size(bits: int) -> wire.Size:
    return wire.measure(wire.pack(mnist_upload((bits,) * 4)))


def formula_2222() -> float:
    """32-bit uplink over 2-2-2-2 uplink, counting codes, clips and the trained parameters that stay in 32 bit."""
    payload = mnist_upload((2, 2, 2, 2))
    codes = list(payload.codes.values())
    rest = sum(v.numel() for n, v in payload.tensors.items() if "running" not in n)
    code_bits = wire.measure(wire.pack(payload)).code_bits
    return 32 * (sum(c.values.numel() for c in codes) + rest) / (code_bits + 32 * (len(codes) + rest))


def packet_2222() -> float:
    """A packet in 32 bit over a packet at 2-2-2-2, every byte counted."""
    return _size(32).total / _size(2).total


def both_ways_2222() -> float:
    """Both directions in 32 bit over 2-2-2-2 up and 32 bit down."""
    whole = _size(32).total
    return 2 * whole / (whole + _size(2).total)


def thousand_header() -> float:
    """Header's share of a packet of 1000 3-bit codes."""
    size = wire.measure(wire.pack({"w": quantize(_normal(0, 1000), 2.0, Grid(3))}))
    return size.overhead_bytes / size.total


def clip_saves(seed: int, coded: bool) -> float:
    """Bits a weight that OCTAV (level-aware) saves over max-abs at the error of OCTAV with 16 levels."""
    x = _normal(seed, 100_000)
    rates = {}
    for rule in ("max_abs", "octav"):
        points = []
        for grid in (Grid(b) for b in range(2, 8)):
            clip = clip_for(rule, x, grid, level_aware=True)
            rate = wire.entropy(quantize(x, clip, grid)) if coded else grid.code_bits
            points.append((-np.log(float(expected_mse(x, clip, grid))), rate))
        rates[rule] = np.array(points).T
    mse, rate = rates["octav"][:, 2]
    return float(np.interp(mse, *rates["max_abs"]) - rate)


def zstd(seed: int) -> float:
    """zstandard's bits over Shannon's bound at 4 bits."""
    x = _normal(seed, 100_000)
    grid = Grid(4)
    codes = quantize(x, clip_for("octav", x, grid), grid)
    packed = wire.pack_measured({"w": codes}, coding="zstd")[1].code_bytes
    return 8 * packed / (wire.entropy(codes) * codes.values.numel())


def socket() -> float:
    """Bytes two clients put on their sockets, less those of the ledger, for each packet."""
    from fqlab.federation.loopback import exchange

    ledger = wire.Ledger()
    packets = []
    for client in range(2):
        packet, size = wire.pack_measured({"w": quantize(_normal(client, 1000), 2.0, Grid(3))})
        ledger.add(1, client, "up", size)
        packets.append(packet)
    return (sum(exchange(packets).sent) - ledger.total(direction="up")) / len(packets)
