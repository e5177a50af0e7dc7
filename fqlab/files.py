"""Files that a person names: ``~`` is home, nothing half-written stays, nothing is read without an end.

A name is checked *before* the work whose result goes there, and a result that cannot be written is kept elsewhere.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fqlab.errors import ConfigError, StoreError, shown

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

__all__ = [
    "UntilClosed", "atomic_write", "discard", "expand", "read_bytes", "tomllib", "writable_file", "writable_folder", "write_or_keep",
]  # fmt: skip


BLOCK = 2**20
"""Bytes that are read at a time."""


def expand(path: Any, name: str) -> Path:
    """``path`` with ``~`` as the home folder; ``name`` is the argument that it came with.

    Raises:
        ConfigError: if it is neither text nor a path, is empty, holds a NUL or half a character, or names a home that is not there.
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str) or not text or "\0" in text or not _encodes(text):
        raise ConfigError(f"{name} is {shown(text)}, but must be the name of a file or a folder.")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ConfigError(f"{name} is {shown(text)}, but there is no such home folder.") from None


def _encodes(text: str) -> bool:
    """Whether the file system has bytes for a name; for half a character of two it has none."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a file, a pipe or a device, of at most ``most`` bytes.

    Raises:
        OSError: if it cannot be read, or there is more of it.
    """
    content = bytearray()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):  # to ask for all that is allowed would take the memory for it
            content += block
            if len(content) > most:
                raise OSError(0, f"it is longer than {most:,} bytes")
    return bytes(content)


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file through a temporary neighbour, so that nobody ever sees half of it.

    A link stays a link, a file keeps its permissions, and a pipe or a device (``/dev/null``) is written to, not replaced.

    Raises:
        OSError: if it cannot be written; what was there before is still there.
    """
    path = Path(os.path.realpath(path))
    mode = _mode(path)
    if mode is not None and not stat.S_ISREG(mode):
        with open(path, "wb") as file:
            file.write(content)
        return
    temporary = _neighbour(path.parent)
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # less what the user's umask takes
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def writable_file(path: str | Path, name: str) -> Path:
    """The file to write later: :func:`expand`-ed, and found fit to be written. Nothing is left there.

    Raises:
        ConfigError: if it is a folder, its own folder does not exist or takes no files, or its name is too long.
    """
    target = expand(path, name)
    try:
        mode = _mode(target)
        if mode is not None and stat.S_ISDIR(mode):
            raise ConfigError(f"{name} is {shown(str(path))}, but that is a folder; name a file in it.")
        if mode is None or stat.S_ISREG(mode):
            real = Path(os.path.realpath(target))
            if _mode(real.parent) is None:
                raise ConfigError(f"{name} is {shown(str(path))}, but its folder does not exist.")
            if mode is not None:
                os.close(os.open(real, os.O_WRONLY))
            _probe(real.parent)
    except OSError as error:
        raise ConfigError(f"{name} is {shown(str(path))}, but cannot be written: {error.strerror}.") from None
    return target


def writable_folder(path: str | Path, name: str) -> Path:
    """A folder that exists and takes new files, :func:`expand`-ed.

    Raises:
        ConfigError: otherwise.
    """
    target = expand(path, name)
    try:
        mode = _mode(target)
        if mode is None or not stat.S_ISDIR(mode):
            raise ConfigError(f"{name} is {shown(str(path))}, but must be a folder that exists.")
        _probe(target)
    except OSError as error:
        raise ConfigError(f"{name} is {shown(str(path))}, but takes no files: {error.strerror}.") from None
    return target


def write_or_keep(path: Path, content: bytes, name: str) -> None:
    """:func:`atomic_write`, or where that fails a file of the same kind in the temporary or the home folder.

    Raises:
        StoreError: if ``path`` could not be written; the message says where the result is instead.
    """
    try:
        atomic_write(path, content)
    except OSError as error:
        kept = _keep(content, path.suffix)
        place = f"the result is in {kept}" if kept else "the result could not be kept anywhere else"
        raise StoreError(f"{name} {shown(str(path))} could not be written ({error.strerror}); {place}.") from error


def _mode(path: Path) -> int | None:
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


def _neighbour(folder: Path) -> Path:
    """A free name: short, because the name of the result may already have as many bytes as a file system takes."""
    return folder / f".fqlab-{secrets.token_hex(6)}.part"


def _probe(folder: Path) -> None:
    """Raise the OSError that a new file in ``folder`` would raise."""
    temporary = _neighbour(folder)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    temporary.unlink()


def _keep(content: bytes, suffix: str) -> Path | None:
    """Where ``content`` could be written instead, or None."""
    for folder in (Path(tempfile.gettempdir()), Path.home()):
        place = folder / f"fqlab-result-{secrets.token_hex(4)}{suffix[:20]}"
        try:
            atomic_write(place, content)
        except OSError:
            continue
        return place
    return None


class UntilClosed:
    """A stream whose reader may leave (``fqlab run | head -3``): the run goes on, and its file is still written."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """The number of characters that somebody took."""
        return self._try(self._stream.write, text) or 0

    def flush(self) -> None:
        """Hand over what has been written."""
        self._try(self._stream.flush)

    def _try(self, action: Callable[..., Any], *arguments: str) -> Any:
        try:
            return action(*arguments)
        except BrokenPipeError:
            discard(self._stream)
            return None


def discard(stream: Any) -> None:
    """Let whatever is still written to an open stream vanish, what its buffer holds included."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
