"""Text files with one record about time a line: read with the line where something is wrong, written whole or not at all."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from voxid.atomic import replacing
from voxid.errors import DataError

CODE = "E_SEGMENTS"
MAX_SECONDS = 1e7  # 115 days: what lies beyond is no time in seconds
Row = Sequence[bytes]
Record = TypeVar("Record")


def records(path: Path, parse: Callable[[Row], Record]) -> Iterator[Record]:
    """What `parse` makes of the fields of each line; empty lines and comments (``;`` or ``#``) are left out.

    Raises:
        DataError: ``E_NOT_FILE``; what `parse` raises, with file and line before it.
    """
    for number, row in _rows(path):
        try:
            yield parse(row)
        except UnicodeDecodeError:
            raise DataError(f"{path}:{number}: not UTF-8 text; save it as UTF-8", CODE) from None
        except DataError as error:
            raise DataError(f"{path}:{number}: {error}", error.code) from None


def by_recording(
    path: Path, parse: Callable[[Row], tuple[str, str, Record] | None], channel: str | None
) -> dict[str, list[Record]]:
    """Records of each recording, from (recording, channel, record); None is a line that does not count.

    Raises:
        DataError: As `records`; ``E_SEGMENTS`` for a recording on several channels when none was named, or a channel that is
            not there.
    """
    found: dict[str, list[Record]] = defaultdict(list)
    first: dict[str, str] = {}
    channels = set()
    for record in records(path, parse):
        if record is None:
            continue
        recording, its_channel, item = record
        if channel is None and first.setdefault(recording, its_channel) != its_channel:
            both = f"{first[recording]!a} and {its_channel!a}"
            raise DataError(f"{path}: {recording!a} has lines of the channels {both}; say which one with channel=", CODE)
        channels.add(its_channel)
        if channel in (None, its_channel):
            found[recording].append(item)
    if channels and not found:
        raise DataError(f"{path}: no line of channel {channel!a}; there are: {', '.join(map(ascii, sorted(channels)[:5]))}", CODE)
    return dict(found)


def check_width(row: Row, widths: Sequence[int], layout: str) -> None:
    """Raise `DataError` for a line that has not as many fields as its layout."""
    if len(row) not in widths:
        shown = b" ".join(row)[:80].decode(errors="backslashreplace")
        raise DataError(f"{len(row)} fields in {shown!a}; expected: {layout}", CODE)


def seconds(field: bytes) -> float:
    """A time of a file, from 0 to `MAX_SECONDS`."""
    try:
        time = float(field)
        if b"_" not in field and 0.0 <= time <= MAX_SECONDS:
            return time
    except ValueError:
        pass
    shown = field[:40].decode(errors="backslashreplace")
    raise DataError(f"{shown!a} is no time; expected seconds from 0 to {MAX_SECONDS:.0f}", CODE)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines of text, whole or not at all."""
    with replacing(path, DataError) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(lines)


def name(text: str, *, first: bool = False) -> str:
    """`text` if it can stand in a line as one field; `first`: at its beginning, where some letters would make it a comment."""
    try:
        whole = text.encode().split() == [text.encode()] and not text.startswith("\ufeff")
    except UnicodeEncodeError:
        whole = False
    if not whole or (first and text.startswith((";", "#"))):
        reason = "it is empty, has a blank in it, is not UTF-8 or begins like a comment"
        raise DataError(f"{text[:80]!a} cannot stand in the file: {reason}; choose another name", CODE)
    return text


def microseconds(start: float, end: float) -> tuple[int, int]:
    """Both ends of a region in whole microseconds, so that regions which touch still do after they were written."""
    first, last = round(start * 1e6), round(end * 1e6)
    if first >= last:
        raise DataError(f"from {start} to {end} is less than a microsecond, which cannot be written; leave it out", CODE)
    return first, last


def decimal(time: int) -> str:
    """Microseconds as seconds.

    Example:
        >>> decimal(1_250_000)
        '1.250000'
    """
    return f"{time // 10**6}.{time % 10**6:06d}"


def _rows(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file() raises on a name that is too long
        raise DataError(f"{path}: there is no such file", "E_NOT_FILE")
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                # Only the blanks of ASCII part fields: names may hold others.
                row = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).split()
                if row and not row[0].startswith((b";", b"#")):
                    yield number, row
    except OSError as error:
        raise DataError(f"{path}: it cannot be read ({error.strerror or error})", "E_NOT_FILE") from error
