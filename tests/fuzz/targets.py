"""What reads bytes that others wrote, with good examples to start from."""

from __future__ import annotations

import atexit
import gzip
import io
import lzma
import os
import pickle
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from fqlab import wire
from fqlab.data import cifar, idx, kitti
from fqlab.data.unpack import unxz
from fqlab.federation import Experiment, checkpoint
from fqlab.quant import Grid, quantize
from fqlab.wire import container

__all__ = ["BYTES", "Target", "in_a_file"]


class Target(NamedTuple):
    """A decoder: returns, or raises an error of fqlab."""

    seeds: list[bytes]
    decode: Callable[[bytes], object]


def _idx() -> Target:
    image = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    plain = [
        b"\0\0" + bytes([code, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
        for code, array in ((8, image), (12, image.astype(">i4")), (13, image[:0].astype(">f4")), (8, image.ravel()))
    ]
    return Target(plain + [gzip.compress(file) for file in plain], lambda data: idx.decode(data, "x"))


def cifar_batch(images: int = 3, protocol: int = 2) -> bytes:
    """A batch as Python 2 wrote it: byte strings as keys."""
    draw = np.random.default_rng(0)
    batch = {
        b"batch_label": b"training batch 1 of 5",
        b"labels": draw.integers(0, 10, images).tolist(),
        b"data": draw.integers(0, 256, (images, 3072), dtype=np.uint8),
        b"filenames": [b"a.png"] * images,
    }
    data = pickle.dumps(batch, protocol=3).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    return data if protocol == 3 else b"\x80\x02" + data[2:]


def _pickle() -> Target:
    head, _, tail = cifar_batch(1).partition(bytes(8))  # most of an image is left out, so that damage hits the rest
    return Target([cifar_batch(), cifar_batch(1), cifar_batch(0), head + tail], lambda data: cifar.unpickle(data, "x"))


def in_a_file(read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Read bytes that stand in a file, for readers of paths; in memory where the system has such files."""
    if hasattr(os, "memfd_create"):
        place = Path(f"/proc/self/fd/{os.memfd_create('fuzz')}")
    else:
        handle, name = tempfile.mkstemp()
        os.close(handle)
        place = Path(name)
        atexit.register(place.unlink)

    def decode(data: bytes) -> object:
        place.write_bytes(data)
        return read(place)

    return decode


def _archive() -> Target:
    """A tar of batches; checksums cannot hold, so what is tested is everything before them."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        for name in ("readme.html", "data_batch_1"):
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = 600
            archive.addfile(entry, io.BytesIO(bytes(600)))
        link = tarfile.TarInfo("cifar-10-batches-py/data_batch_2")
        link.type = tarfile.SYMTYPE
        link.linkname = "nowhere"
        archive.addfile(link)
    packed = file.getvalue()
    stored = gzip.compress(gzip.decompress(packed), 0)  # so that damage of the tar itself gets through
    return Target([packed, stored], in_a_file(cifar.read_archive))


def _xz() -> Target:
    return Target([lzma.compress(bytes(n)) for n in (0, 500)], lambda data: unxz(data, "x"))


SCAN = np.array([[1.0, 2.0, 3.0, 0.5], [10.0, -20.0, 1.0, 0.0]], "<f4").tobytes()
LABELS = (
    b"Car 0.00 0 1.85 387.63 181.54 423.81 203.12 1.67 1.87 3.69 -16.53 2.39 58.49 1.57\n"
    b"DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 -1000 -10\n"
)
CALIB = b"P0: 7.07e+02 0 6.04e+02 0\nR0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: 0 -1 0 0.1 0 0 -1 0 1 0 0 -0.3\n"


def _packets() -> list[bytes]:
    w = torch.randn(40, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    payload = {
        "w": quantize(w, torch.tensor(1.0), Grid(3)),
        "s": quantize(w[:9], torch.tensor(1.0), Grid(4, "sign_magnitude")),
        "b": w[:3],
        "m": w > 0,
        "i": torch.arange(5),
    }
    return [wire.pack(payload, coding=coding) for coding in wire.CODINGS] + [wire.pack({}), wire.pack({"b": w})]


def _signed(packet: bytes) -> bytes:
    """``packet`` with a header checksum that holds, so that what lies behind it is reached."""
    end = 8 + int.from_bytes(packet[:8], "little")
    digits = packet.find(container.MARK, 8, end) + len(container.MARK)
    if len(packet) < 8 or end > len(packet) or digits < len(container.MARK):
        return packet
    return packet[:digits] + container._header_crc(packet, digits, end) + packet[digits + 8 :]


def _checkpoint() -> Target:
    decode = in_a_file(checkpoint.load)
    tensors = {"weights/w": torch.zeros(3, dtype=torch.float32), "shared/seen": torch.ones(2, dtype=torch.bool)}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(Path(folder) / "x", tensors, {"experiment": "{}", "rounds": "[]"})
        seed = (Path(folder) / "x").read_bytes()
    return Target([seed], decode)


TOML = (
    Experiment().to_toml(),
    Experiment(method="clipped", options={"bits": "4-2"}, partition="dirichlet", split={"alpha": 0.1}).to_toml(),
    Experiment(method="lottery", options={"gate": 0.5}, partition="n_class", validation=0.1).to_toml(),
)

BYTES: dict[str, Callable[[], Target]] = {
    "idx": _idx,
    "cifar pickle": _pickle,
    "cifar archive": _archive,
    "xz": _xz,
    "kitti scan": lambda: Target([SCAN], in_a_file(kitti.read_velodyne)),
    "kitti labels": lambda: Target([LABELS], in_a_file(kitti.read_labels)),
    "kitti calibration": lambda: Target([CALIB], in_a_file(kitti.read_calib)),
    "packet": lambda: Target(_packets(), wire.unpack),
    "signed packet": lambda: Target(_packets(), lambda data: wire.unpack(_signed(data))),
    "checkpoint": _checkpoint,
    "experiment": lambda: Target([text.encode() for text in TOML], in_a_file(Experiment.from_toml)),
}
