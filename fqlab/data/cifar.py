"""CIFAR-10 from the published archive, or from a folder with as many of its batches as are there.

The batches are Python pickles, so they are read only after the unpacked bytes have the published MD5 checksum, and by an
unpickler that knows what a batch is made of and nothing else: no code of a pickle runs, not even NumPy's.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import pickletools
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fqlab.data import Dataset, sources
from fqlab.data.unpack import limit, unxz
from fqlab.errors import DataError

__all__ = ["MD5", "load", "read_archive", "read_batch", "unpickle"]

MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
"""Published checksums of the unpacked batches."""

_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_MEAN, _STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
_OPCODES = frozenset((
    "PROTO", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "MARK", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET",
    "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINUNICODE", "GLOBAL", "TUPLE", "TUPLE1", "TUPLE2",
    "TUPLE3", "REDUCE", "BUILD", "BININT", "BININT1", "BININT2", "NONE", "NEWTRUE", "NEWFALSE", "APPEND", "APPENDS",
    "SETITEM", "SETITEMS", "STOP",
))  # fmt: skip
"""What pickles of lists, numbers, byte strings and arrays consist of, in protocols 2 and 3."""

Batch = tuple[np.ndarray, np.ndarray]


def load() -> Dataset:
    """Up to 50 000 + 10 000 colour images ``[n, 3, 32, 32]`` (Krizhevsky 2009), normalised by channel.

    Means .4914/.4822/.4465 and deviations .2023/.1994/.2010 are those of the clipped-quantization and BSQ
    code. Looked for in ``cifar10/``: the archive ``cifar-10-python.tar.gz``, else ``data_batch_1`` ...
    ``data_batch_5`` and ``test_batch``, plain (also in ``cifar-10-batches-py/``) or with ``.xz``. ``note``
    says which batches were used.

    Raises:
        DataError: if the test batch or every training batch is missing, or a file is damaged.
    """
    archive = sources.find(sources.FILES["cifar10"][0].path)
    batches = read_archive(archive) if archive else _from_folder()
    train = [name for name in batches if name != "test_batch"]
    if not train or "test_batch" not in batches:
        raise sources.missing("cifar10/test_batch" if train else "cifar10/cifar-10-python.tar.gz")
    train_x, train_y = _join([batches[name] for name in train])
    test_x, test_y = _join([batches["test_batch"]])
    numbers = ", ".join(name[-1] for name in train)
    note = f"training batches {numbers} of 1-5: {len(train_y)} of 50000 images"
    return Dataset("cifar10", train_x, train_y, test_x, test_y, _CLASSES, note=note)


def unpickle(data: bytes, name: str) -> Batch:
    """Images uint8 ``[n, 3, 32, 32]`` and labels int64 ``[n]`` of one batch, without running any code in it.

    Raises:
        DataError: if the pickle asks for anything but NumPy arrays, or does not hold images and their labels.
    """
    try:
        _check_opcodes(data)
        batch = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        images, labels = batch[b"data"], batch[b"labels"]
        if type(labels) is not list or not all(type(label) is int and 0 <= label < 10 for label in labels):
            raise ValueError("its labels are not numbers from 0 to 9")
        if not isinstance(images, _Array) or images.shape != (len(labels), 3072) or images.kind.code != b"u1":
            raise ValueError("its data are not images of 3072 bytes, one a label")
        pixels = np.frombuffer(images.content, dtype=np.uint8).reshape(-1, 3, 32, 32)
    except Exception as error:  # a damaged pickle may raise nearly anything
        why = str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}."
        raise DataError(f"File {name} is not a CIFAR-10 batch: {why}") from error
    return pixels, np.array(labels, dtype=np.int64)


def _check_opcodes(data: bytes) -> None:
    """Refuse what no batch contains, and memo numbers that no pickler writes (a list of that length would be made)."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if opcode.name not in _OPCODES or (opcode.name.endswith("BINPUT") and (argument or 0) > count):
            raise DataError(f"it contains {opcode.name}, and only plain arrays, lists and numbers are allowed.")


class _Kind:
    """Stands for ``numpy.dtype``: only its name is kept."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code.encode() if isinstance(code, str) else code

    def __setstate__(self, state: object) -> None:
        """Byte order, alignment and so on, which one byte does not have."""


class _Array:
    """Stands for ``numpy.ndarray``: shape, type and bytes as they were written."""

    def __init__(self, *_: object) -> None:
        self.shape = ()
        self.kind = _Kind(b"")
        self.content = b""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.kind, fortran, self.content = state
        if fortran:
            raise DataError("its array is stored column by column.")


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
}


class _Unpickler(pickle.Unpickler):
    """Refuses every global but the names that a pickled NumPy array needs, and builds none of them."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise DataError(f"it asks for {module}.{name}, and only plain NumPy arrays are allowed.")
        return _ALLOWED[module, name]


def _checked(data: bytes, batch: str, file: str | Path) -> Batch:
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != MD5[batch]:
        raise DataError(
            f"File {file} is damaged: its batch {batch} ({len(data)} bytes) does not have the published "
            "checksum; delete it and run `fqlab data fetch cifar10`."
        )
    return unpickle(data, batch)


def read_archive(place: Path) -> dict[str, Batch]:
    """Every batch of the published archive.

    Raises:
        DataError: if it is damaged, or lacks one.
    """
    try:
        with tarfile.open(place, "r:gz") as archive:
            batches = dict(_members(archive, place))
    except DataError:
        raise
    except Exception as error:  # a damaged archive may raise nearly anything
        raise DataError(f"File {place} is damaged ({error}); delete it and run `fqlab data fetch cifar10`.") from error
    if lost := [name for name in MD5 if name not in batches]:
        raise DataError(f"File {place} is not the published archive: it lacks {', '.join(lost)}.")
    return {name: batches[name] for name in MD5}


def _members(archive: tarfile.TarFile, place: Path) -> Iterator[tuple[str, Batch]]:
    most = limit(place.stat().st_size)
    seen = 0
    for member in archive:
        name = Path(member.name).name
        seen += member.size
        if seen > most:
            raise DataError(f"File {place} is damaged: it unpacks to more than {most} bytes.")
        file = archive.extractfile(member) if name in MD5 and member.isreg() else None
        if file is not None:
            yield name, _checked(file.read(), name, place)


def _from_folder() -> dict[str, Batch]:
    """The batches that lie in a folder, unpacked two at a time (lzma lets go of the interpreter lock)."""
    places = {name: place for name in MD5 if (place := _place(name)) is not None}
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(places, pool.map(read_batch, places, places.values()), strict=True))


def _place(batch: str) -> Path | None:
    names = (f"cifar10/{batch}", f"cifar10/cifar-10-batches-py/{batch}", f"cifar10/{batch}.xz")
    return next((place for name in names if (place := sources.find(name)) is not None), None)


def read_batch(batch: str, place: Path) -> Batch:
    """The batch of that name from a file, plain or with ``.xz``.

    Raises:
        DataError: if it cannot be read, or is not the published one.
    """
    try:
        data = place.read_bytes()
    except OSError as error:
        raise DataError(f"File {place} cannot be read: {error.strerror}.") from error
    return _checked(unxz(data, str(place)) if place.suffix == ".xz" else data, batch, place)


def _join(batches: list[Batch]) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised float32 images and int64 labels; batch by batch, so that memory holds the images once."""
    labels = torch.from_numpy(np.concatenate([labels for _, labels in batches]))
    images = torch.empty(len(labels), 3, 32, 32, dtype=torch.float32)
    start = 0
    for batch, _ in batches:
        images[start : start + len(batch)] = torch.tensor(batch, dtype=torch.float32)
        start += len(batch)
    mean, std = (torch.tensor(values, dtype=torch.float32).view(3, 1, 1) for values in (_MEAN, _STD))
    return images.div_(255).sub_(mean).div_(std), labels
