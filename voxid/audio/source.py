"""Where audio comes from: a path, a file object, or a (waveform, rate) pair; opened without hanging and without trust."""

from __future__ import annotations

import errno
import io
import math
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from voxid.errors import AudioError

AudioLike = str | bytes | os.PathLike[Any] | BinaryIO | tuple[Any, Any]

_NOT_FOUND = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))


def printable(text: str) -> str:
    """A name or a foreign message for one line of text: control characters and broken Unicode are escaped.

    Example:
        >>> print(printable("a\\nb.wav"))
        a\\nb.wav
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def refusal(name: str, reason: str, code: str) -> AudioError:
    """The one shape of an audio error: ``NAME: reason; hint``, on one line."""
    return AudioError(f"{printable(name)}: {printable(reason)}", code)


class Guard:
    """A caller's file object behind a wall: what it raises is kept, for an exception must not cross a C library.

    Args:
        file: Binary and seekable.
        start: The byte that counts as its first.
    """

    def __init__(self, file: Any, name: str, start: int = 0) -> None:
        self._file, self._name, self._start = file, name, start
        self.error: Exception | None = None
        try:
            self.size = int(file.seek(0, io.SEEK_END)) - start
            file.seek(start)
        except Exception as error:
            raise refusal(name, f"cannot seek in it ({error}); pass io.BytesIO(file.read())", "E_NOT_FILE") from error

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._file.read(size)
            if not isinstance(data, bytes | bytearray | memoryview):
                raise TypeError(f"read() gave {type(data).__name__}, not bytes")
        except Exception as error:
            self.error = self.error or error
            return b""
        return bytes(data)

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return int(self._file.seek(offset + (self._start if whence == io.SEEK_SET else 0), whence)) - self._start
        except Exception:
            return -1  # what lseek answers for a place outside the file

    def tell(self) -> int:
        return int(self._file.tell()) - self._start

    def check(self) -> None:
        """Raise what reading raised, as a typed error."""
        if self.error is not None:
            raise refusal(self._name, f"cannot be read: {self.error}", "E_IO") from self.error


class OpenFile:
    """A regular file or a file object, open for reading.

    Args:
        audio: A path, or a binary file object (not closed here).

    Raises:
        AudioError: E_NOT_FOUND, E_NOT_FILE, E_PERMISSION, E_EMPTY, E_IO.
    """

    def __init__(self, audio: str | bytes | os.PathLike[Any] | BinaryIO) -> None:
        if isinstance(audio, str | bytes | os.PathLike):
            self.name = os.fsdecode(audio)
            self.raw: io.FileIO | None = _open_regular(self.name)
            self.file = Guard(self.raw, self.name)
        else:
            name = getattr(audio, "name", None)
            self.name = os.fsdecode(name) if isinstance(name, str | bytes) else "<file object>"
            self.raw = None
            self.file = Guard(audio, self.name)
        self.size = self.file.size
        if self.size == 0:
            self.close()
            raise refusal(self.name, "0 bytes; the recording or the copy failed", "E_EMPTY")

    def at(self, position: int, length: int) -> bytes:
        """Up to `length` bytes from `position`; fewer at the end of the file."""
        self.file.seek(position)
        return self.file.read(length)

    def rewind(self, start: int = 0) -> Any:
        """What libsndfile opens: a descriptor (fast), or a guarded object; `start` hides what stands in front of the audio."""
        if start:
            return Guard(self.file, self.name, start)
        self.file.seek(0)
        return self.file if self.raw is None else self.raw.fileno()

    def close(self) -> None:
        if self.raw is not None:
            self.raw.close()


def _open_regular(name: str) -> io.FileIO:
    """A regular file, unbuffered. A pipe or a device is refused before it is opened; O_NONBLOCK covers a swap in between."""
    try:
        _refuse_kind(name, Path(name).stat())
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        raw = io.FileIO(os.open(name, flags), "rb")
    except (OSError, ValueError) as error:
        raise _open_error(name, error) from error
    try:
        _refuse_kind(name, os.fstat(raw.fileno()))
    except AudioError:
        raw.close()
        raise
    return raw


def _refuse_kind(name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((word for test, word in _KINDS if test(status.st_mode)), "a device")
        raise refusal(name, f"is {kind}, not a regular file", "E_NOT_FILE")


def _open_error(name: str, error: OSError | ValueError) -> AudioError:
    number = getattr(error, "errno", errno.ENOENT)
    if number in _NOT_FOUND:
        dangling = number in (errno.ENOENT, errno.ELOOP) and "\0" not in name and Path(name).is_symlink()
        return refusal(name, "a link that leads nowhere" if dangling else "no such file; check the path", "E_NOT_FOUND")
    if number in (errno.EACCES, errno.EPERM):
        return refusal(name, "no permission to read it", "E_PERMISSION")
    return refusal(name, f"cannot be opened: {getattr(error, 'strerror', None) or error}", "E_NOT_FILE")


def from_pair(pair: tuple[Any, Any]) -> tuple[np.ndarray, int]:
    """A waveform in memory.

    Args:
        pair: ``(waveform, rate)``: [T] or [C, T], a NumPy array or anything with ``__array__``; integers are PCM of their width.

    Returns:
        Frames first, [T, C] float32, and the rate in Hz.

    Raises:
        AudioError: Not such a pair; an odd shape or type; an empty waveform.
    """
    name = "<waveform>"
    if len(pair) != 2 or not hasattr(pair[0], "__array__") or not _is_whole(pair[1]):
        kinds = ", ".join(type(part).__name__ for part in pair)
        raise refusal(name, f"expected (waveform, rate) with the rate in whole Hz, got ({kinds})", "E_INPUT")
    try:
        waveform = np.asarray(pair[0])
    except (TypeError, ValueError, RuntimeError) as error:
        raise refusal(name, f"does not become an array ({error}); for a tensor: .detach().cpu()", "E_INPUT") from error
    if waveform.ndim not in (1, 2):
        raise refusal(name, f"expected the shape [T] or [C, T], got {list(waveform.shape)}", "E_SHAPE")
    if waveform.size == 0:
        raise refusal(name, f"no samples, its shape is {list(waveform.shape)}", "E_EMPTY")
    return np.atleast_2d(to_float(waveform)).T, int(pair[1])


def _is_whole(rate: Any) -> bool:
    return isinstance(rate, int | float | np.integer | np.floating) and math.isfinite(rate) and rate == int(rate)


def to_float(waveform: np.ndarray) -> np.ndarray:
    """float32 in [-1, 1]: uint8 is offset binary as in WAV, signed integers are PCM of their width."""
    if waveform.dtype == np.uint8:
        return (waveform.astype(np.float32) - 128.0) / 128.0
    if waveform.dtype.kind == "i":
        return (waveform / 2.0 ** (8 * waveform.dtype.itemsize - 1)).astype(np.float32)
    if waveform.dtype.kind != "f":
        raise refusal("<waveform>", f"expected float or PCM integer samples, got {waveform.dtype}", "E_INPUT")
    with np.errstate(over="ignore"):  # 1e300 becomes Inf, which the reader refuses by name
        return waveform.astype(np.float32)
