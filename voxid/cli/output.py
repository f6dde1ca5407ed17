"""What the shell prints: the result on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import dataclasses
import json as json_format
import logging
import os
import sys
from typing import Any

from voxid.errors import VoxidError


def say(text: str) -> None:
    """Write to stdout, at once."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        mute()
        raise VoxidError(f"standard output cannot be written to ({error.strerror or error})", "E_WRITE") from error


def mute() -> None:
    """Leave nothing for the interpreter to write when it ends: that would fail once more, with a traceback."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(message: str) -> int:
    line = " ".join(message.encode(errors="backslashreplace").decode().splitlines())
    print(f"voxid: {line}", file=sys.stderr)
    return 2


def show(result: Any, json: bool, text: str | None = None) -> None:
    """The result on stdout and nothing else; progress and logs go to stderr."""
    plain = dataclasses.asdict(result) if dataclasses.is_dataclass(result) and not isinstance(result, type) else result
    if json:
        say(json_format.dumps(plain, indent=1, ensure_ascii=True, allow_nan=False) + "\n")
    else:
        say((text if text is not None else _lines(plain)) + "\n")


def _lines(plain: Any) -> str:
    if isinstance(plain, dict):
        return "\n".join(f"{key.replace('_', ' ')}: {_word(value)}" for key, value in plain.items())
    if isinstance(plain, list):
        return "\n".join(_lines(item) + ("\n" if isinstance(item, dict) else "") for item in plain)
    return str(plain)


def _word(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(_word(item) for item in value) or "-" if isinstance(value, (list, tuple)) else _one_line(str(value))


def _one_line(text: str) -> str:
    """Characters that no terminal shows, line ends in file names among them, in Python's notation."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def ready() -> None:
    """Logs to stderr, and an allocator for nets."""
    log = logging.getLogger("voxid")
    log.setLevel(logging.INFO)
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
    keep_memory()


def keep_memory() -> None:
    """Tell the C library (Linux) to keep large blocks: a net frees and takes the same megabytes at every layer, and giving
    them back to the kernel each time costs up to half of its time in page faults."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library: its own allocator, its own habits
        return
    trim, top_pad, mmap_max = -1, -2, -4
    for option, value in ((mmap_max, 0), (trim, 2**31 - 1), (top_pad, 256 * 2**20)):
        mallopt(option, value)
