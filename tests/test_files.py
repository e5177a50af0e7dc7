"""Files that people name: special files, long names, home folders, full disks, two writers."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from fqlab import files
from fqlab.errors import ConfigError, StoreError, one_of, shown
from fqlab.files import atomic_write, expand, read_bytes, writable_file, writable_folder, write_or_keep

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
not_root = pytest.mark.skipif(ROOT, reason="root may write everywhere")
linux = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc and /dev/full")


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_written_file_is_whole_and_alone(tmp_path):
    atomic_write(tmp_path / "a", b"one")
    atomic_write(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    assert names(tmp_path) == ["a"]


def test_permissions_are_those_of_any_new_file_and_stay(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    atomic_write(tmp_path / "new", b"x")
    assert stat.S_IMODE(os.stat(tmp_path / "new").st_mode) == stat.S_IMODE(os.stat(tmp_path / "plain").st_mode)
    os.chmod(tmp_path / "new", 0o640)
    atomic_write(tmp_path / "new", b"y")
    assert stat.S_IMODE(os.stat(tmp_path / "new").st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "far")
    for content in (b"one", b"two"):
        atomic_write(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "far").read_bytes() == content


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    got = []
    os.mkfifo(pipe)
    assert writable_file(pipe, "out") == pipe
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    atomic_write(pipe, b"through")
    reader.join()
    assert got == [b"through"]
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)


def test_a_name_as_long_as_file_systems_take_is_written(tmp_path):
    target = tmp_path / ("é" * 125)  # 250 bytes
    write_or_keep(writable_file(target, "out"), b"x", "out")
    assert target.read_bytes() == b"x"
    with pytest.raises(ConfigError, match="out is .* but cannot be written: File name too long"):
        writable_file(tmp_path / ("x" * 300), "out")


def test_two_writers_leave_one_whole_file(tmp_path):
    contents = [bytes([i]) * 200_000 for i in range(4)]

    def work(content: bytes) -> None:
        for _ in range(20):
            atomic_write(tmp_path / "shared", content)

    threads = [threading.Thread(target=work, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if (tmp_path / "shared").exists():
            assert (tmp_path / "shared").read_bytes() in contents
    for thread in threads:
        thread.join()
    assert names(tmp_path) == ["shared"]


@pytest.mark.parametrize("path, words", [
    ("", "out is ''"), ("a\0b", "out is 'a.x00b'"), ("~nobody-of-this-name/x", "home"), ("\ud800", "out is '.ud800'"),
    (5, "out is 5"), (None, "out is None"), (b"x", "out is b'x'"), (["x"], "out is .'x'"),
])  # fmt: skip
def test_names_that_are_none(path, words):
    for check in (expand, writable_file, writable_folder):
        with pytest.raises(ConfigError, match=words):
            check(path, "out")


def test_home_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert writable_file("~/x.json", "out") == tmp_path / "x.json"
    assert writable_folder("~", "store") == tmp_path
    assert names(tmp_path) == []


def test_what_cannot_be_written_is_said_before(tmp_path):
    (tmp_path / "file").write_bytes(b"kept")
    cases = {
        tmp_path: "that is a folder", tmp_path / "no" / "x": "its folder does not exist", tmp_path / "file" / "x": "Not a dir",
    }  # fmt: skip
    for target, words in cases.items():
        with pytest.raises(ConfigError, match=f"out is .*{words}"):
            writable_file(target, "out")
    for target in (tmp_path / "no", tmp_path / "file"):
        with pytest.raises(ConfigError, match="store is .*must be a folder that exists"):
            writable_folder(target, "store")
    assert writable_file(tmp_path / "file", "out").read_bytes() == b"kept"
    assert names(tmp_path) == ["file"]


@linux
def test_a_folder_that_takes_no_files(tmp_path):
    with pytest.raises(ConfigError, match="out is '/proc/x', but cannot be written"):
        writable_file("/proc/x", "out")
    with pytest.raises(ConfigError, match="store is '/proc', but takes no files"):
        writable_folder("/proc", "store")


@not_root
def test_permissions_are_said_before(tmp_path):
    os.chmod(tmp_path, 0o500)
    with pytest.raises(ConfigError, match="Permission denied"):
        writable_file(tmp_path / "x", "out")
    os.chmod(tmp_path, 0o700)


def test_what_fails_at_the_end_is_kept_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setattr(files.tempfile, "gettempdir", lambda: str(tmp_path / "temp"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)  # a long path would be cut in the sentence
    missing = Path("gone") / "run.json"
    with pytest.raises(
        StoreError, match="out 'gone/run.json' could not be written .No such file.*; the result is in"
    ) as e:
        write_or_keep(missing, b"precious", "out")
    kept = Path(str(e.value).rpartition(" in ")[2].rstrip("."))
    assert kept.read_bytes() == b"precious"
    assert (kept.parent, kept.suffix) == (tmp_path / "home", ".json")
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="could not be kept anywhere else"):
        write_or_keep(missing, b"precious", "out")


@linux
def test_a_full_disk_is_said_and_the_result_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(files.tempfile, "gettempdir", lambda: str(tmp_path))
    with pytest.raises(StoreError, match=f"No space left on device.*the result is in {tmp_path}"):
        write_or_keep(Path("/dev/full"), b"x", "out")
    assert len(names(tmp_path)) == 1


def test_a_failed_write_leaves_what_was_there(monkeypatch, tmp_path):
    atomic_write(tmp_path / "a", b"old")

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        atomic_write(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_reading_has_an_end(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 10)
    assert read_bytes(tmp_path / "a", 10) == b"x" * 10
    with pytest.raises(OSError, match="longer than 9 bytes"):
        read_bytes(tmp_path / "a", 9)


@linux
def test_an_endless_device_has_an_end_too():
    with pytest.raises(OSError, match="longer than"):
        read_bytes(Path("/dev/zero"), 1000)


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None


@pytest.mark.parametrize(
    "value",
    ids=range(7),
    argvalues=[10**5000, "x" * 10**6, Rude(), "a\nb", ["\n" * 500], {1: "y" * 999}, b"\xff" * 999],
)
def test_every_value_fits_a_sentence(value):
    assert len(shown(value)) <= 80
    assert "\n" not in shown(value)
    with pytest.raises(ConfigError, match="colour is ") as error:
        one_of("colour", value, ("red", "blue"))
    assert len(str(error.value)) < 140
