"""Data sets against the published files, their checksums, and readers that were written independently."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import lzma
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fqlab import data
from fqlab.data import Dataset, cifar, digits, idx, load, sources
from fqlab.data.reduce import reduced
from fqlab.data.unpack import gunzip, limit, unxz
from fqlab.errors import ConfigError, DataError

needs_files = pytest.mark.skipif(
    not os.environ.get("FQLAB_DATA"), reason="set FQLAB_DATA to a folder with MNIST, Fashion-MNIST, CIFAR-10"
)
CODES = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    """An empty cache and no FQLAB_DATA."""
    monkeypatch.delenv("FQLAB_DATA", raising=False)
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


# -------------------------------------------------------------------------------------------------------- IDX


def encode(array: np.ndarray, code: int) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + array.tobytes()


@given(st.sampled_from(sorted(CODES)), st.lists(st.integers(0, 4), min_size=0, max_size=4), st.booleans())
def test_idx_round_trip(kind, shape, packed):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(kind)
    file = encode(array, CODES[kind])
    read = idx.decode(gzip.compress(file) if packed else file, "x")
    assert read.shape == array.shape
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


def test_every_truncated_idx_file_is_refused():
    file = encode(np.arange(6, dtype=np.uint8).reshape(2, 3), 8)
    for damaged in (*(file[:n] for n in range(len(file))), file + b"x"):
        with pytest.raises(DataError, match="File shelf/x"):
            idx.decode(damaged, "shelf/x")


def test_damaged_gzip_is_refused():
    packed = gzip.compress(encode(np.arange(99, dtype=np.uint8), 8))
    for damaged in (packed[:-9], packed[:20] + b"\xff" * 8 + packed[28:], packed[:5]):
        with pytest.raises(DataError, match="does not unpack"):
            idx.decode(damaged, "x")


def test_idx_shapes_that_no_array_has():
    """Zero entries, but 2^32 by 2^32; and forty dimensions, more than some NumPys take."""
    huge = b"\0\0\x08\x03" + bytes(4) + b"\xff" * 8
    many = b"\0\0\x08\x28" + (1).to_bytes(4, "big") * 40 + b"x"
    with pytest.raises(DataError, match="its shape .0, 4294967295, 4294967295. asks for"):
        idx.decode(huge, "x")
    with pytest.raises(DataError, match="40 dimensions"):
        idx.decode(many, "x")


@pytest.mark.parametrize("pack, unpack", [(gzip.compress, gunzip), (lzma.compress, unxz)])
def test_a_bomb_is_refused_before_it_unpacks(pack, unpack):
    """100 MB of zeros: refused with a peak of memory of a few megabytes."""
    import tracemalloc

    bomb = pack(bytes(10**8))
    assert limit(len(bomb)) < 10**7
    tracemalloc.start()
    with pytest.raises(DataError, match="unpack to more than"):
        unpack(bomb, "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e7  # xz keeps a dictionary of 8 MiB
    assert unpack(pack(b"hello"), "x") == b"hello"
    with pytest.raises(DataError, match="its end is not where it should be"):
        unpack(pack(b"hello") + pack(b"again"), "x")


def test_other_files_are_not_idx():
    with pytest.raises(DataError, match="not an IDX file: it starts with 89 50 4e 47"):
        idx.decode(b"\x89PNG\r\n", "x")


# ----------------------------------------------------------------------------------------------------- digits


def test_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    ours = data.load("digits")
    assert ours.train_x.shape == (1437, 1, 8, 8)
    assert ours.test_x.shape == (360, 1, 8, 8)
    assert (ours.train_x.dtype, ours.train_y.dtype) == (torch.float32, torch.int64)
    x, y = torch.cat([ours.train_x, ours.test_x]), torch.cat([ours.train_y, ours.test_y])
    table = np.column_stack([x.flatten(1).numpy() * 16, y])
    reference = np.column_stack([images, labels])
    np.testing.assert_array_equal(table[np.lexsort(table.T)], reference[np.lexsort(reference.T)])


def test_each_digit_gives_a_fifth_to_the_test_set():
    ours = data.load("digits")
    train, test = (torch.bincount(y, minlength=10) for y in (ours.train_y, ours.test_y))
    assert ((test - (train + test) / 5).abs() < 1).all()


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60))
def test_test_rows_are_a_fifth_for_any_labels(labels):
    marked = digits.test_rows(np.array(labels))
    assert marked.sum() == -(-len(labels) // 5)
    for label in set(labels):
        assert abs(marked[np.array(labels) == label].sum() - labels.count(label) / 5) < 1


def test_digits_are_read_without_importing_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)  # an import of it fails
    assert len(digits.load().train_y) == 1437
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(DataError, match="pip install scikit-learn"):
        digits.load()


def test_digits_come_through_scikit_learn_where_its_file_has_moved(monkeypatch):
    expected = digits.load()
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    assert torch.equal(digits.load().train_x, expected.train_x)


def test_names_and_fetch_need_no_torch():
    code = "import sys; from fqlab import data; data.DATASETS; assert not {'torch', 'pooch'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_load_keeps_what_it_loaded_and_a_seed_makes_no_second_copy():
    assert data.load("digits") is data.load("digits", seed=7)


def test_lidar_is_made_by_its_own_module(monkeypatch):
    import types

    asked = []
    world = lambda seed: dataclasses.replace(tiny_images(), name=f"world {seed}")
    toy = types.SimpleNamespace(load=lambda *, seed: asked.append(seed) or world(seed))
    monkeypatch.setitem(sys.modules, "fqlab.data.lidar", toy)
    data._load.cache_clear()
    assert [data.load("lidar", seed=seed).name for seed in (3, 4, 3)] == ["world 3", "world 4", "world 3"]
    assert asked == [3, 4]
    data._load.cache_clear()


def test_unknown_names_and_seeds():
    with pytest.raises(ConfigError, match="dataset is 'mnits', but must be one of digits, mnist"):
        data.load("mnits")
    with pytest.raises(ConfigError, match="seed is -1"):
        data.load("digits", seed=-1)
    with pytest.raises(ConfigError, match="dataset to fetch is 'digits', but must be one of mnist"):
        data.fetch("digits")


# --------------------------------------------------------------------------------------- finding and checking


def source(content: bytes, *urls: str, path: str = "mnist/toy.gz") -> sources.Source:
    return sources.Source(path, len(content), hashlib.sha256(content).hexdigest(), urls)


def put(place: Path, content: bytes) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


def test_own_folder_comes_before_the_cache(monkeypatch, cache, tmp_path):
    put(cache / "mnist/toy.gz", b"cached")
    assert sources.read(source(b"cached")) == b"cached"
    monkeypatch.setenv("FQLAB_DATA", str(tmp_path / "own"))
    assert sources.find("mnist/toy.gz") == cache / "mnist/toy.gz"
    put(tmp_path / "own/mnist/toy.gz", b"own")
    assert sources.read(source(b"own")) == b"own"


def test_a_missing_file_says_where_it_was_looked_for_and_how_to_get_it(monkeypatch, cache, tmp_path):
    monkeypatch.setenv("FQLAB_DATA", str(tmp_path / "own"))
    data._load.cache_clear()
    first = {"mnist": "mnist/train-images-idx3-ubyte.gz", "cifar10": "cifar10/cifar-10-python.tar.gz"}
    for name, file in first.items():
        with pytest.raises(DataError) as error:
            data.load(name)
        for part in (file, str(tmp_path / "own"), str(cache), f"`fqlab data fetch {name}`"):
            assert part in str(error.value)


@pytest.mark.parametrize("content", [b"", b"publishe", b"Published"])
def test_a_damaged_file_is_named(cache, content):
    place = put(cache / "mnist/toy.gz", content)
    with pytest.raises(DataError, match=f"File {place} is damaged: {len(content)} bytes"):
        sources.read(source(b"published"))


def test_the_folder_of_data_may_be_named_from_home(monkeypatch, cache, tmp_path):
    put(tmp_path / "own/mnist/toy.gz", b"own")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FQLAB_DATA", "~/own")
    assert sources.read(source(b"own")) == b"own"
    monkeypatch.setenv("FQLAB_DATA", "~nobody-of-this-name/data")
    with pytest.raises(ConfigError, match="FQLAB_DATA is '~nobody-of-this-name/data', but there is no such home"):
        sources.read(source(b"own"))


@pytest.mark.parametrize("kind", ["folder", "pipe", "long name"])
def test_what_is_no_file_is_not_found(monkeypatch, cache, tmp_path, kind):
    path = "mnist/toy.gz"
    (tmp_path / "own/mnist").mkdir(parents=True)
    if kind == "folder":
        (tmp_path / "own" / path).mkdir()
    elif kind == "pipe":
        os.mkfifo(tmp_path / "own" / path)
    monkeypatch.setenv("FQLAB_DATA", str(tmp_path / ("x" * 300 if kind == "long name" else "own")))
    with pytest.raises(DataError, match="was not found in"):
        sources.read(source(b"own"))


def test_a_file_of_another_length_is_damaged_and_not_read(monkeypatch, cache):
    put(cache / "mnist/toy.gz", b"much longer than what was published")
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("it was read"))
    with pytest.raises(DataError, match="is damaged: 35 bytes"):
        sources.read(source(b"published"))


# ------------------------------------------------------------------------------------------------------ fetch


class Shelf(BaseHTTPRequestHandler):
    files: dict[str, bytes] = {}
    promised: dict[str, int] = {}  # a longer Content-Length than the body: the connection breaks
    asked: list[str] = []

    def do_GET(self):
        self.asked.append(self.path)
        body = self.files.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(self.promised.get(self.path, len(body or b""))))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *args):
        pass


@pytest.fixture
def shelf(monkeypatch) -> Iterator[Callable[..., str]]:
    """A web server on this machine: ``shelf(path, content, promised)`` puts it there, gives its address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("files", "promised"):
        monkeypatch.setattr(Shelf, name, {})
    monkeypatch.setattr(Shelf, "asked", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Shelf) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()

        def offer(path: str, content: bytes | None, promised: int | None = None) -> str:
            if content is not None:
                Shelf.files[path] = content
            if promised is not None:
                Shelf.promised[path] = promised
            return f"http://127.0.0.1:{server.server_port}{path}"

        yield offer
        server.shutdown()
        thread.join()


def everything(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def test_fetch_downloads_once_with_a_bar(monkeypatch, cache, shelf, capsys):
    good = np.random.default_rng(0).bytes(5000)
    monkeypatch.setitem(sources.FILES, "mnist", (source(good, shelf("/toy.gz", good)),))
    assert data.fetch("mnist") == cache / "mnist"
    assert "toy.gz" in capsys.readouterr().err
    assert everything(cache) == ["mnist/toy.gz"]
    assert sources.read(sources.FILES["mnist"][0]) == good
    data.fetch("mnist", progress=False)
    assert Shelf.asked == ["/toy.gz"]
    assert capsys.readouterr().err == ""


def test_fetch_replaces_a_damaged_copy(monkeypatch, cache, shelf):
    monkeypatch.setitem(sources.FILES, "mnist", (source(b"good", shelf("/toy.gz", b"good")),))
    put(cache / "mnist/toy.gz", b"half")
    data.fetch("mnist", progress=False)
    assert (cache / "mnist/toy.gz").read_bytes() == b"good"


@pytest.mark.parametrize(
    "content, promised, reason",
    [
        (b"not what was published", None, "the file that came is damaged"),
        (b"published but cu", 30, "ChunkedEncodingError|ConnectionError"),
        (None, None, "404"),
    ],
)
@pytest.mark.parametrize("progress", [True, False])
def test_a_failed_fetch_leaves_nothing_behind(monkeypatch, cache, shelf, content, promised, reason, progress):
    url = shelf("/toy.gz", content, promised)
    monkeypatch.setitem(sources.FILES, "mnist", (source(b"published but cut in the middle", url),))
    with pytest.raises(DataError, match=f"File mnist/toy.gz could not be fetched from {url} .*({reason})"):
        data.fetch("mnist", progress=progress)
    assert everything(cache) == []


@pytest.mark.parametrize("proxy", ["://", "http://[::1", "http://host:port", "http://:8080", "http://127.0.0.1:9"])
def test_a_proxy_that_is_none_is_named_and_nothing_is_damaged(monkeypatch, cache, proxy):
    for name in ("HTTP_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setitem(sources.FILES, "mnist", (source(b"x", "https://example.invalid/toy.gz"),))
    with pytest.raises(DataError, match="the proxy in HTTPS_PROXY cannot be used") as error:
        data.fetch("mnist", progress=False)
    assert "damaged" not in str(error.value)


def test_a_cache_that_cannot_be_written_is_said_and_no_address_is_blamed(monkeypatch, cache, shelf, tmp_path):
    monkeypatch.setitem(sources.FILES, "mnist", (source(b"good", shelf("/toy.gz", b"good")),))
    put(tmp_path / "cache", b"a file where the folder should be")
    with pytest.raises(DataError, match=f"Folder {cache}/mnist cannot be used for data: (Not a directory|File exists)"):
        data.fetch("mnist", progress=False)
    (tmp_path / "cache").unlink()
    (cache / "mnist/toy.gz").mkdir(parents=True)
    with pytest.raises(DataError, match="something else has its name"):
        data.fetch("mnist", progress=False)
    assert Shelf.asked == []


def test_a_full_disk_while_fetching_is_said(monkeypatch, cache, shelf):
    monkeypatch.setitem(sources.FILES, "mnist", (source(b"good", shelf("/toy.gz", b"good"), shelf("/2", b"good")),))

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    import pooch

    monkeypatch.setattr(pooch, "retrieve", full)
    with pytest.raises(DataError, match="toy.gz cannot be written: No space left on device"):
        data.fetch("mnist", progress=False)


def test_a_server_that_never_ends_is_cut_off(monkeypatch, cache, shelf):
    monkeypatch.setitem(sources.FILES, "mnist", (source(b"good", shelf("/toy.gz", b"good" * 10**6)),))
    with pytest.raises(DataError, match="the file that came is damaged"):
        data.fetch("mnist", progress=False)
    assert everything(cache) == []


def test_fetch_tries_the_next_address(monkeypatch, cache, shelf):
    urls = shelf("/gone", None), shelf("/bad", b"bad"), shelf("/good", b"good")
    monkeypatch.setitem(sources.FILES, "mnist", (source(b"good", *urls),))
    data.fetch("mnist", progress=False)
    assert Shelf.asked == ["/gone", "/bad", "/good"]
    assert everything(cache) == ["mnist/toy.gz"]


# --------------------------------------------------------------------------------------------------- CIFAR-10


def pickled(seed: int, n: int = 4) -> bytes:
    """A batch as Python 2 wrote it: bytes keys, and NumPy's old module name."""
    draw = np.random.default_rng(seed)
    batch = {
        b"data": draw.integers(0, 256, (n, 3072), dtype=np.uint8),
        b"labels": draw.integers(0, 10, n).tolist(),
        b"batch_label": b"testing",
        b"filenames": [b"a.png"] * n,
    }
    return pickle.dumps(batch, protocol=3).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


@pytest.fixture
def batches(monkeypatch) -> dict[str, bytes]:
    """Six small batches in place of the published ones."""
    toys = {name: pickled(seed) for seed, name in enumerate(cifar.MD5)}
    for name, toy in toys.items():
        monkeypatch.setitem(cifar.MD5, name, hashlib.md5(toy, usedforsecurity=False).hexdigest())
    return toys


def archive(place: Path, batches: dict[str, bytes]) -> Path:
    place.parent.mkdir(parents=True)
    with tarfile.open(place, "w:gz") as file:
        for name, content in {"readme.html": b"hello", **batches}.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return place


def check_pixels(dataset: data.Dataset, batches: dict[str, bytes], train: list[str]) -> None:
    mean, std = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2023, 0.1994, 0.2010])
    raw = [np.random.default_rng(list(cifar.MD5).index(name)) for name in train]
    pixels = np.concatenate([draw.integers(0, 256, (4, 3072), dtype=np.uint8) for draw in raw])
    labels = np.concatenate([draw.integers(0, 10, 4) for draw in raw])
    expected = (pixels.reshape(-1, 3, 32, 32) / 255 - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(dataset.train_x.numpy(), expected, atol=1e-5)
    np.testing.assert_array_equal(dataset.train_y.numpy(), labels)


def test_cifar_from_the_published_archive(cache, batches):
    shuffled = dict(reversed(batches.items()))
    archive(cache / "cifar10/cifar-10-python.tar.gz", shuffled)
    dataset = cifar.load()
    assert dataset.note == "training batches 1, 2, 3, 4, 5 of 1-5: 20 of 50000 images"
    check_pixels(dataset, batches, list(batches)[:5])


def test_cifar_from_the_batches_that_are_there(cache, batches):
    put(cache / "cifar10/data_batch_2.xz", lzma.compress(batches["data_batch_2"]))
    put(cache / "cifar10/data_batch_4", batches["data_batch_4"])
    with pytest.raises(DataError, match="File cifar10/test_batch was not found"):
        cifar.load()
    put(cache / "cifar10/cifar-10-batches-py/test_batch", batches["test_batch"])
    dataset = cifar.load()
    assert dataset.note == "training batches 2, 4 of 1-5: 8 of 50000 images"
    assert (dataset.input_shape, len(dataset.test_y), len(dataset.classes)) == ((3, 32, 32), 4, 10)
    check_pixels(dataset, batches, ["data_batch_2", "data_batch_4"])


def test_a_cifar_archive_must_be_whole(cache, batches):
    place = cache / "cifar10/cifar-10-python.tar.gz"
    batches.pop("data_batch_3")
    archive(place, batches)
    with pytest.raises(DataError, match=r"not the published archive: it lacks data_batch_3"):
        cifar.load()
    whole = place.read_bytes()
    flipped = whole[:3000] + b"\xff" * 99 + whole[3099:]
    for damaged in (whole[: len(whole) // 2], b"", b"no archive at all", flipped):
        place.write_bytes(damaged)
        with pytest.raises(DataError, match=r"python\.tar\.gz is damaged.*fqlab data fetch cifar10"):
            cifar.load()


def test_damaged_cifar_batches_are_named(cache, batches):
    place = put(cache / "cifar10/data_batch_1", batches["data_batch_1"][:-5])
    with pytest.raises(DataError, match=f"File {place} is damaged: its batch data_batch_1"):
        cifar.load()
    place.unlink()
    place = put(cache / "cifar10/data_batch_1.xz", lzma.compress(batches["data_batch_1"])[:-50])
    with pytest.raises(DataError, match=f"File {place} is damaged: it does not unpack"):
        cifar.load()


class Trap:
    def __reduce__(self):
        return os.system, ("echo sprung > trap",)


PAYLOADS = [Trap(), {b"data": Trap(), b"labels": []}, {b"labels": [Trap()]}, np.array([Trap()], dtype=object)]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_pickle_with_code_runs_nothing(monkeypatch, tmp_path, payload):
    monkeypatch.chdir(tmp_path)
    for protocol in range(6):
        with pytest.raises(DataError, match=r"not a CIFAR-10 batch: it (asks for|contains) .*only plain"):
            cifar.unpickle(pickle.dumps(payload, protocol), "x")
    assert everything(tmp_path) == []


def test_a_pickle_takes_no_memory_on_its_word():
    """A memo of 2^31 places, 16 GB in C's unpickler; labels that are one list within itself a thousand times."""
    memo = b"\x80\x02}r\xff\xff\xff\x7f."
    nested = {b"data": np.zeros((1, 3072), np.uint8), b"labels": [[1]] * 1000}
    for content in (memo, pickle.dumps(nested, 3).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")):
        with pytest.raises(DataError, match="File x is not a CIFAR-10 batch"):
            cifar.unpickle(content, "x")


def test_other_pickles_are_no_batches():
    pickles = [pickle.dumps(value) for value in (3, {}, {b"data": 3, b"labels": [1]})]
    for content in (b"", b"hello", *pickles, pickled(0)[:-3000]):
        with pytest.raises(DataError, match="File x is not a CIFAR-10 batch"):
            cifar.unpickle(content, "x")


# -------------------------------------------------------------------------------------------- published files


@needs_files
def test_mnist_is_the_published_one():
    dataset = data.load("mnist")
    assert dataset.train_x.shape == (60000, 1, 28, 28)
    train, test = (torch.bincount(y).tolist() for y in (dataset.train_y, dataset.test_y))
    assert train == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert abs(dataset.train_x.mean()) < 1e-3
    assert abs(dataset.train_x.std() - 1) < 1e-3
    sizes = torch.bincount(dataset.groups)
    sizes = sizes[sizes > 0]
    assert (len(sizes), int(sizes.min()), int(sizes.median()), int(sizes.max())) == (539, 19, 116, 131)


@needs_files
def test_writer_ids_belong_to_the_images():
    """QMNIST's own label column must agree with MNIST's, row by row."""
    *_, file = sources.FILES["mnist"]
    table = np.frombuffer(gzip.decompress(sources.read(file)), ">i4", offset=12).reshape(60000, 8)
    dataset = data.load("mnist")
    np.testing.assert_array_equal(table[:, 0], dataset.train_y.numpy())
    np.testing.assert_array_equal(table[:, 2], dataset.groups.numpy())


def test_mnist_without_writers_says_so(monkeypatch, cache):
    """A toy MNIST folder without QMNIST's file: no groups, and the note tells."""
    files = [encode(np.zeros((3, 28, 28), np.uint8), 8), encode(np.array([1, 2, 3], np.uint8), 8)] * 2
    toys = [source(toy, path=f"mnist/{k}") for k, toy in enumerate(files)]
    for toy, content in zip(toys, files, strict=True):
        put(cache / toy.path, content)
    monkeypatch.setitem(sources.FILES, "mnist", (*toys, sources.FILES["mnist"][-1]))
    from fqlab.data.mnist import load_mnist

    dataset = load_mnist()
    assert dataset.groups is None
    assert "QMNIST" in dataset.note
    assert torch.allclose(dataset.train_x, torch.full((3, 1, 28, 28), -0.1307 / 0.3081))


@needs_files
def test_fashion_mnist_is_the_published_one():
    dataset = data.load("fashion_mnist")
    assert torch.bincount(dataset.train_y).tolist() == [6000] * 10
    assert torch.bincount(dataset.test_y).tolist() == [1000] * 10
    assert abs(dataset.train_x.mean()) < 1e-3
    assert abs(dataset.train_x.std() - 1) < 1e-3


@needs_files
def test_cifar_is_the_published_one(monkeypatch):
    """Of a folder's batches two are enough to check, and quicker to unpack; of an archive all are read."""
    if sources.find(sources.FILES["cifar10"][0].path) is None:
        monkeypatch.setattr(cifar, "MD5", {name: cifar.MD5[name] for name in ("data_batch_1", "test_batch")})
    dataset = cifar.load()
    assert torch.bincount(dataset.test_y).tolist() == [1000] * 10
    first = torch.bincount(dataset.train_y[:10000]).tolist()
    assert first == [1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981]
    assert f": {len(dataset.train_y)} of 50000 images" in dataset.note
    std, mean = torch.tensor([0.2023, 0.1994, 0.2010]), torch.tensor([0.4914, 0.4822, 0.4465])
    pixels = (dataset.test_x[:100].movedim(1, -1) * std + mean) * 255
    assert (pixels - pixels.round()).abs().max() < 1e-2
    assert (pixels.min() > -0.1, pixels.max() < 255.1) == (True, True)


# --------------------------------------------------------------------------------------------- made smaller


def tiny_images() -> Dataset:
    x = torch.arange(2 * 3 * 1 * 4 * 4, dtype=torch.float32).reshape(6, 1, 4, 4)
    y = torch.arange(6)
    return Dataset("tiny", x, y, x[:3], y[:3], ("a",) * 6, groups=torch.arange(6))


def test_reduced_images_are_means_of_squares():
    small = reduced(tiny_images(), side=2)
    assert small.input_shape == (1, 2, 2)
    assert small.train_x[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert small.test_x.shape == (3, 1, 2, 2)


def test_the_first_samples_stay_with_their_labels_and_owners():
    small = reduced(tiny_images(), train=4, test=1)
    assert torch.equal(small.train_x, tiny_images().train_x[:4])
    assert small.train_y.tolist() == [0, 1, 2, 3]
    assert small.groups.tolist() == [0, 1, 2, 3]
    assert (len(small.test_x), len(small.test_y)) == (1, 1)
    assert reduced(tiny_images()).train_x is not None


@pytest.mark.parametrize(
    ("how", "message"),
    [({"side": 3}, "side is 3, but must divide"), ({"train": 7}, "train is 7"), ({"test": -1}, "test is -1")],
)
def test_what_cannot_be_reduced_in_one_sentence(how, message):
    with pytest.raises(ConfigError, match=message):
        reduced(tiny_images(), **how)


def test_only_square_images_have_a_side():
    with pytest.raises(ConfigError, match="inputs have shape"):
        reduced(load("lidar"), side=2)
