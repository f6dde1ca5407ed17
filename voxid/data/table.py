"""Rows of a text table, CSV with a header or JSON lines; whatever is wrong with one is said with its file and line."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from voxid.atomic import replacing
from voxid.errors import DataError

CODE = "E_MANIFEST"
ROWS = 1 << 10  # rows held at a time: a filter may throw most of them away, and so few stay in the cache
Row = list[str]


def read_table(path: Path) -> tuple[Row, Iterator[list[Row]]]:
    """The header and, in blocks, the rows, each as wide as the header.

    Args:
        path: UTF-8, with or without a byte order mark: CSV with a header line, or JSON lines (the first character is a brace).

    Raises:
        DataError: ``E_NOT_FILE``, or ``E_MANIFEST`` with file and line.
    """
    if is_jsonl(path):
        records = list(_json_records(path))
        header = list(dict.fromkeys(key for _, record in records for key in record))
        rows = [[record.get(key, "") for key in header] for _, record in records]
        return header, (rows[first : first + ROWS] for first in range(0, len(rows), ROWS))
    numbered = numbered_rows(path)
    _, header = next(numbered, (1, []))
    if len(set(header)) < len(header):
        raise DataError(f"{path}:1: a column is named twice in {','.join(header)!r}", CODE)
    return header, _csv_blocks(path, len(header))


def numbered_rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Every row with the line where it begins, the header first. Slower than `read_table`: for finding the culprit."""
    if is_jsonl(path):
        header, _ = read_table(path)
        yield 1, header
        yield from ((line, [record.get(key, "") for key in header]) for line, record in _json_records(path))
        return
    line = 1
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, strict=True)
        try:
            for row in reader:
                if row:
                    yield line, row
                line = reader.line_num + 1
        except csv.Error as error:
            raise DataError(f"{path}:{line}: not a row of CSV ({error})", CODE) from error
        except UnicodeDecodeError as error:
            raise _not_utf8(path) from error


def write_table(path: Path, header: Row, rows: Iterable[Sequence[str]]) -> None:
    """Write rows of text as CSV, whole or not at all.

    Raises:
        DataError: ``E_NAME`` for a file name that is not UTF-8, ``E_DISK_FULL`` or ``E_WRITE``.
    """
    with replacing(path, DataError) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        plain = csv.writer(stream, lineterminator="\n")
        quoted = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
        plain.writerow(header)
        try:
            for row in rows:
                # a bare carriage return would end the line for a reader, and the writer does not quote it
                (quoted if "\r" in "".join(row) else plain).writerow(row)
        except UnicodeEncodeError as error:
            raise DataError(f"{path}: the name {error.object.strip()[:200]!a} is not UTF-8; rename the file", "E_NAME") from error


def is_jsonl(path: Path) -> bool:
    """Whether the file holds JSON lines, by its first character.

    Raises:
        DataError: ``E_NOT_FILE`` when there is no such file, ``E_MANIFEST`` when it is UTF-16.
    """
    check_file(path)
    with path.open("rb") as stream:
        head = stream.read(64)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head:
        raise _not_utf8(path)
    return head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")


def check_file(path: Path) -> None:
    """Raise `DataError` (``E_NOT_FILE``) for what is not a file that may be read."""
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file() raises on a name that is too long
        raise DataError(f"{path}: there is no such file", "E_NOT_FILE")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path}: no permission to read it", "E_NOT_FILE")


def _csv_blocks(path: Path, width: int) -> Iterator[list[Row]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = filter(None, csv.reader(stream, strict=True))
        next(rows)
        try:
            while block := list(islice(rows, ROWS)):
                if any(len(row) != width for row in block):
                    line = next(line for line, row in numbered_rows(path) if len(row) != width)
                    raise DataError(f"{path}:{line}: the row does not have the {width} fields of the header", CODE)
                yield block
        except (csv.Error, UnicodeDecodeError):
            for _ in numbered_rows(path):  # reads again, row by row, and raises with the line
                pass
            raise


def _json_records(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    line = 0
    with path.open(encoding="utf-8-sig") as stream:
        try:
            for line, text in enumerate(stream, 1):
                if text.strip():
                    yield line, _record(text)
        except UnicodeDecodeError as error:
            raise _not_utf8(path) from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{line}: not a JSON object ({str(error) or 'nested too deep'})", CODE) from error


def _record(text: str) -> dict[str, str]:
    record = json.loads(text)
    if not isinstance(record, dict):
        raise ValueError(f"a {type(record).__name__}, expected {{...}}")
    return {key: _field(value) for key, value in record.items()}


def _field(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _not_utf8(path: Path) -> DataError:
    with path.open("rb") as stream:
        for line, text in enumerate(stream, 1):
            try:
                if "\0" not in text.decode():
                    continue
            except UnicodeDecodeError:
                pass
            return DataError(f"{path}:{line}: not UTF-8 text (UTF-16, or no text at all?); save it as UTF-8", CODE)
    return DataError(f"{path}: not UTF-8 text; save it as UTF-8", CODE)
