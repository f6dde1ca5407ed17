"""Trial lists as columns: for lists of millions, where a row of Python objects each would cost more than the scoring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from voxid.atomic import replacing
from voxid.data.table import check_file
from voxid.data.trial_formats import CODE, Format, Layout, check_format, layout_of, shown
from voxid.errors import DataError

BYTES = 1 << 16  # of text in work at a time: what stays in the cache is quicker than more
ROWS = 1 << 13  # written at a time, for the same reason
Name = TypeVar("Name", str, bytes)


@dataclass(frozen=True, eq=False)
class TrialTable:
    """N trials as columns over their n recordings.

    Args:
        names: The recordings, each once: by name or by path relative to a root [n].
        enrol, test: Places in `names` of the two sides [N].
        labels: Whether the same person speaks in both [N]; None for a blind list.
        scores: Higher = same speaker [N]; None where there are none.
    """

    names: list[str]
    enrol: NDArray[np.intp]
    test: NDArray[np.intp]
    labels: NDArray[np.bool_] | None = None
    scores: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.enrol)

    def select(self, rows: NDArray | slice) -> TrialTable:
        """The trials at `rows`, a mask [N] or places; `names` stays as it is."""
        labels = None if self.labels is None else self.labels[rows]
        scores = None if self.scores is None else self.scores[rows]
        return replace(self, enrol=self.enrol[rows], test=self.test[rows], labels=labels, scores=scores)


def read_trial_table(path: str | Path, *, format: Format | None = None) -> TrialTable:
    """Read a trial list or a score file as columns; the kinds, the arguments and the errors are those of `read_trials`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "list.txt").write_text("1 a.wav b.wav\\n0 a.wav c.wav\\n")
        ...     table = read_trial_table(f"{folder}/list.txt")
        >>> [table.names[place] for place in table.test], table.labels.tolist()
        (['b.wav', 'c.wav'], [True, False])
    """
    path = Path(path)
    check_format(format)
    check_file(path)
    with path.open("rb") as stream:
        line, row = _first_row(stream)
        if not row:
            raise DataError(f"{path}: no trial in it", CODE)
        layout = layout_of(path, line, row, format)
        try:
            return _parsed(stream, layout, len(row))
        except (ValueError, KeyError) as error:
            raise _malformed(path, layout, len(row)) from error


def write_trial_table(path: str | Path, table: TrialTable, *, format: Format = "voxceleb") -> None:
    """Write columns as a trial list, whole or not at all; formats and errors as of `write_trials`.

    Example:
        >>> import tempfile
        >>> table = TrialTable(["a.wav", "b.wav"], np.array([0]), np.array([1]), np.array([True]))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_trial_table(f"{folder}/list.txt", table, format="kaldi")
        ...     Path(folder, "list.txt").read_text()
        'a.wav b.wav target\\n'
    """
    path = Path(path)
    check_format(format)
    _check(path, table)
    with replacing(path, DataError) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(_written(table, format))


def _first_row(stream: BinaryIO) -> tuple[int, list[bytes]]:
    """Number and fields of the first line that is not empty; the stream stands before it."""
    for line, text in enumerate(iter(stream.readline, b""), 1):
        if row := _fields(line, text):
            stream.seek(-len(text), 1)
            return line, row
    return 0, []


def _fields(line: int, text: bytes) -> list[bytes]:
    return (text.removeprefix(b"\xef\xbb\xbf") if line == 1 else text).split()


def _parsed(stream: BinaryIO, layout: Layout, width: int) -> TrialTable:
    """The trials from here to the end of the stream.

    Raises:
        ValueError, KeyError: A line that is none.
    """
    numbers: dict[bytes, int] = {}
    sides, labels, scores = [], [np.empty(0, dtype=bool)], [np.empty(0)]
    for columns in _blocks(stream, width):
        count = len(columns[0])
        sides.append(places_of(columns[layout.enrol] + columns[layout.enrol + 1], numbers).reshape(2, count))
        if layout.label is not None:
            labels.append(np.fromiter(map(layout.labels.__getitem__, columns[layout.label]), bool, count))
        if layout.score is not None:
            scores.append(np.fromiter(map(float, columns[layout.score]), float, count))
    if not all(np.isfinite(part).all() for part in scores):
        raise ValueError("a score is NaN or infinite")
    enrol, test = np.concatenate(sides, axis=1)
    return TrialTable(
        names=[name.decode() for name in numbers],
        enrol=enrol,
        test=test,
        labels=None if layout.label is None else np.concatenate(labels),
        scores=None if layout.score is None else np.concatenate(scores),
    )


def _blocks(stream: BinaryIO, width: int) -> Iterator[list[list[bytes]]]:
    """Fields of some lines at a time, by column."""
    start = stream.tell() == 0
    while text := stream.read(BYTES) + stream.readline():
        if start:
            text, start = text.removeprefix(b"\xef\xbb\xbf"), False
        if columns := _columns(text if text.endswith(b"\n") else text + b"\n", width):
            yield columns


def _columns(text: bytes, width: int) -> list[list[bytes]]:
    """Fields of lines by column; empty lines do not count. Raises ValueError for a line of another width."""
    # One split of the whole text instead of one a line: the ends of lines become fields, and stand where they should or not.
    lines, step = text.count(b"\n"), width + 1
    fields = text.replace(b"\n", b" \0 ").split()
    if len(fields) == lines * step and fields[width::step].count(b"\0") == lines and b"\0" not in text:
        return [fields[place::step] for place in range(width)]
    rows = [row for line in text.split(b"\n") if (row := line.split())]
    if any(len(row) != width for row in rows):
        raise ValueError("a line has more or fewer fields")
    return [list(column) for column in zip(*rows, strict=True)]


def places_of(names: list[Name], known: dict[Name, int]) -> NDArray[np.intp]:
    """Place of each of two names or more among the known ones, to which new names are added.

    Example:
        >>> known = {"a": 0}
        >>> places_of(["b", "a", "b"], known).tolist(), known
        ([1, 0, 1], {'a': 0, 'b': 1})
    """
    try:
        return np.fromiter(itemgetter(*names)(known), np.intp, len(names))
    except KeyError:
        for name in dict.fromkeys(names):
            known.setdefault(name, len(known))
        return np.fromiter(itemgetter(*names)(known), np.intp, len(names))


def _malformed(path: Path, layout: Layout, width: int) -> DataError:
    with path.open("rb") as stream:
        for line, text in enumerate(stream, 1):
            row = _fields(line, text)
            if row and (len(row) != width or not layout.fits(row)):
                message = f"{shown(row)} is no trial; the first line says: {layout.text} ({width} fields)"
                return DataError(f"{path}:{line}: {message}", CODE)
    return DataError(f"{path}: it changed while it was read", CODE)


def _check(path: Path, table: TrialTable) -> None:
    if not len(table):
        raise DataError(f"{path}: no trial to write", CODE)
    if table.scores is not None and not np.isfinite(table.scores).all():
        raise DataError(f"{path}: a score is NaN or infinite", CODE)
    used = np.zeros(len(table.names), dtype=bool)
    used[table.enrol] = used[table.test] = True
    for place in np.flatnonzero(used):
        if not _writable(name := table.names[place]):
            reason = "it is empty, has a blank in it or is not UTF-8"
            raise DataError(f"{path}: {name!a} cannot stand in a trial list: {reason}; rename the file", CODE)


def _writable(name: str) -> bool:
    try:
        return name.encode().split() == [name.encode()] and not name.startswith("\ufeff")
    except UnicodeEncodeError:
        return False


def _written(table: TrialTable, format: Format) -> Iterator[str]:
    """The text of the list, some lines at a time."""
    scored, labelled = format == "wespeaker" and table.scores is not None, table.labels is not None
    leading = labelled and format == "voxceleb"
    after_test = " " if scored or (labelled and not leading) else "\n"
    left, right = (np.array([name + end for name in table.names], dtype=object) for end in (" ", after_test))
    marks = np.array(["0 ", "1 "] if leading else ["nontarget\n", "target\n"], dtype=object)
    for start in range(0, len(table), ROWS):
        part = slice(start, start + ROWS)
        fields = [left[table.enrol[part]], right[table.test[part]]]
        if scored and table.scores is not None:
            end = " " if labelled else "\n"
            fields.append(np.array([f"{score!r}{end}" for score in table.scores[part].tolist()], dtype=object))
        if table.labels is not None:
            fields.insert(0 if leading else len(fields), marks[table.labels[part].astype(np.intp)])
        yield "".join(np.stack(fields, axis=1).ravel().tolist())
