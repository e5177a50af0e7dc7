"""Where data files come from: one registry of addresses and checksums, one way to find, read and fetch them.

A file is looked for in the folder named by the environment variable ``FQLAB_DATA``, then in the cache folder
of the user. Its SHA-256 is checked **every** time it is read (about 3 ms per megabyte, against 23 ms per
megabyte for unpacking it), so a damaged file is never trained on.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fqlab import files
from fqlab.errors import DataError, one_of, shown

__all__ = ["FILES", "Source", "cache_folder", "fetch", "find", "folders", "missing", "read"]


@dataclass(frozen=True)
class Source:
    """One file: where it lies under a data folder, what it must be, where it can be had (in this order)."""

    path: str
    size: int
    sha256: str
    urls: tuple[str, ...]


def _sources(folder: str, mirrors: tuple[str, ...], *rows: tuple[str, int, str]) -> tuple[Source, ...]:
    return tuple(
        Source(f"{folder}/{name}", size, sha256, tuple(mirror + name for mirror in mirrors))
        for name, size, sha256 in rows
    )


_MNIST = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_QMNIST = ("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",)
_FASHION = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
_CIFAR = (
    "https://www.cs.toronto.edu/~kriz/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
)

_TRAIN_X, _TRAIN_Y = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
_TEST_X, _TEST_Y = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"

FILES: dict[str, tuple[Source, ...]] = {
    "mnist": (
        *_sources(
            "mnist",
            _MNIST,
            (_TRAIN_X, 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
            (_TRAIN_Y, 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
            (_TEST_X, 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
            (_TEST_Y, 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
        ),
        *_sources(
            "mnist/qmnist",
            _QMNIST,
            (
                "qmnist-train-labels-idx2-int.gz",
                463024,
                "2c05dc77f6b916b38e455e97ab129a42a444f3dbef09b278a366f82904e0dd9f",
            ),
        ),
    ),
    "fashion_mnist": _sources(
        "fashion_mnist",
        _FASHION,
        (_TRAIN_X, 26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        (_TRAIN_Y, 29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        (_TEST_X, 4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        (_TEST_Y, 5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ),
    "cifar10": _sources(
        "cifar10",
        _CIFAR,
        (
            "cifar-10-python.tar.gz",
            170498071,
            "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        ),
    ),
}


def cache_folder() -> Path:
    """Folder that :func:`fetch` fills, the usual cache place of the operating system."""
    import pooch

    return Path(pooch.os_cache("fqlab"))


def folders() -> Iterator[Path]:
    """The folders to look in, in order: ``FQLAB_DATA`` where it is set, then the cache."""
    if os.environ.get("FQLAB_DATA"):
        yield files.expand(os.environ["FQLAB_DATA"], "FQLAB_DATA")
    yield cache_folder()


def find(path: str) -> Path | None:
    """The first place that has the file ``path`` (relative, as in :data:`FILES`), or None."""
    return next((folder / path for folder in folders() if _is_file(folder / path)), None)


def _is_file(place: Path) -> bool:
    """Whether a regular file is there; one that may not be looked at, or has an impossible name, is not."""
    try:
        return place.is_file()
    except OSError:
        return False


def missing(path: str) -> DataError:
    """The error for a file that is nowhere: which one, where it was looked for, and how to get it."""
    places = " or ".join(shown(str(folder), 200) for folder in folders())
    hint = f"`fqlab data fetch {path.split('/')[0]}`"
    return DataError(f"File {path} was not found in {places}: run {hint}, or point FQLAB_DATA at its folder.")


def read(source: Source) -> bytes:
    """The bytes of a file, found and checked.

    Raises:
        DataError: if the file is nowhere, cannot be read, or is not the one its checksum says.
    """
    place = find(source.path)
    if place is None:
        raise missing(source.path)
    try:
        length = place.stat().st_size
        data = place.read_bytes() if length == source.size else b""
    except OSError as error:
        raise DataError(f"File {place} cannot be read: {error.strerror}.") from error
    if hashlib.sha256(data).hexdigest() != source.sha256:
        raise DataError(
            f"File {place} is damaged: {length} bytes that do not have the SHA-256 checksum of the "
            f"published file; delete it and run `fqlab data fetch {source.path.split('/')[0]}`."
        )
    return data


def fetch(name: str, progress: bool = True) -> Path:
    """Download the files of a data set into the cache folder, unless they are there already.

    A file gets its name only after its SHA-256 was checked, so nothing half-written or damaged stays.

    Args:
        name: a key of :data:`FILES`; ``digits`` and ``lidar`` need no download.
        progress: show one bar per file.

    Returns:
        The folder of the data set.

    Raises:
        ConfigError: if ``name`` has no files to fetch.
        DataError: if no address gave the published file; the message says what the last one answered.
    """
    one_of("dataset to fetch", name, FILES)
    folder = cache_folder()
    for source in FILES[name]:
        _download(source, folder / source.path, progress)
    return folder / name


class _Damaged(Exception):
    """What came is not what was published."""


def _download(source: Source, target: Path, progress: bool) -> None:
    """Put a file into its place, from the first of its addresses that has it."""
    import pooch
    import requests

    _prepare(target)
    pooch.get_logger().setLevel("WARNING")
    reason = "no address is known"
    for url in source.urls:
        try:
            pooch.retrieve(
                url,
                f"sha256:{source.sha256}",
                fname=target.name,
                path=target.parent,
                downloader=_downloader(source, target.name, progress),
            )
            return
        except _Damaged:
            reason = "the file that came is damaged"
        except (requests.RequestException, ValueError) as error:
            reason = _reason(error, url)
        except OSError as error:  # of this machine: requests' own are RequestExceptions
            raise DataError(f"File {target} cannot be written: {error.strerror or error}.") from error
    tried = ", ".join(source.urls)
    raise DataError(f"File {source.path} could not be fetched from {tried} ({reason.rstrip('.')}).")


def _prepare(target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_file():
            raise DataError(f"File {target} cannot be written: something else has its name.")
    except OSError as error:
        raise DataError(f"Folder {target.parent} cannot be used for data: {error.strerror}.") from error


def _reason(error: Exception, url: str) -> str:
    """Why an address gave nothing. Our addresses are sound, so a malformed one is the proxy's."""
    from requests.exceptions import InvalidSchema, InvalidURL, ProxyError

    text = f"{type(error).__name__}: {error}"
    wanted = (f"{url.partition(':')[0]}_proxy", "all_proxy")
    proxies = [name for name in os.environ if name.lower() in wanted and os.environ[name]]
    if proxies and isinstance(error, (InvalidSchema, InvalidURL, ProxyError)):
        return f"the proxy in {' or '.join(proxies)} cannot be used: {text}"
    return text


def _downloader(source: Source, label: str, progress: bool) -> Any:
    """What pooch calls with an address and a temporary file; the connection is closed whatever happens."""
    import requests
    from tqdm.auto import tqdm

    def download(url: str, file: str, _: object) -> None:
        with requests.get(url, stream=True, timeout=30, headers={"Accept-Encoding": "identity"}) as answer:
            answer.raise_for_status()
            size = int(answer.headers.get("Content-Length", 0)) or None
            bar = tqdm(total=size, desc=label, unit="B", unit_scale=True, disable=not progress)
            seen = hashlib.sha256()
            with bar, open(file, "wb") as target:
                for chunk in answer.iter_content(1 << 16):
                    target.write(chunk)
                    seen.update(chunk)
                    bar.update(len(chunk))
                    if target.tell() > source.size:
                        raise _Damaged
            if seen.hexdigest() != source.sha256:
                raise _Damaged

    return download
