"""Trial lists: which recordings are compared, and whether the same person speaks in both."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxid.data.trial_formats import CODE as CODE
from voxid.data.trial_formats import Format as Format
from voxid.data.trial_formats import check_format
from voxid.data.trial_table import TrialTable, places_of, read_trial_table, write_trial_table
from voxid.errors import DataError


class Trial(NamedTuple):
    """Two recordings to compare.

    Args:
        enrol, test: The recordings, by name or by path relative to a root.
        label: Whether the same person speaks in both; None when it is not told (a blind list).
        score: Score from a score file; higher = same speaker.
    """

    enrol: str
    test: str
    label: bool | None = None
    score: float | None = None


def read_trials(path: str | Path, *, format: Format | None = None) -> list[Trial]:
    """Read a trial list or a score file; which kind it is shows in its first line.

    Understood: ``1 enrol test`` (VoxCeleb), ``enrol test target`` (Kaldi, wespeaker, 3D-Speaker), ``enrol test score target``
    (scores of wespeaker, with two further columns when they were normalised), ``enrol test`` and ``enrol test score`` (blind).
    `voxid.data.trial_table.read_trial_table` reads the same as columns, in half the time.

    Args:
        path: The list, UTF-8; fields are separated by blanks or tabs, empty lines do not count.
        format: What it must be, for lists whose names look like labels.

    Raises:
        DataError: ``E_NOT_FILE``, or ``E_TRIALS`` with file and line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "list.txt").write_text("1 a.wav b.wav\\n0 a.wav c.wav\\n")
        ...     read_trials(f"{folder}/list.txt")[1]
        Trial(enrol='a.wav', test='c.wav', label=False, score=None)
    """
    return rows_of(read_trial_table(path, format=format))


def write_trials(path: str | Path, trials: Iterable[Trial], *, format: Format = "voxceleb") -> None:
    """Write a trial list, whole or not at all.

    Args:
        path: Where to.
        trials: With labels or, for a blind list, all without.
        format: ``voxceleb`` (1 enrol test), ``kaldi`` (enrol test target), or ``wespeaker``: as Kaldi's, with the scores
            before the labels where the trials have scores. The others leave scores out.

    Raises:
        DataError: ``E_TRIALS`` for no trial, a name with a blank in it, or labels or scores that only some trials have;
            ``E_DISK_FULL`` or ``E_WRITE``.
    """
    check_format(format)
    write_trial_table(path, table_of(list(trials), str(path)), format=format)


def convert(source: str | Path, output: str | Path, *, format: Format = "voxceleb") -> int:
    """Read a trial list of any kind and write it as another; answers the number of trials.

    Raises:
        DataError: As `read_trials` and `write_trials`.
    """
    table = read_trial_table(source)
    write_trial_table(output, table, format=format)
    return len(table)


def rows_of(table: TrialTable) -> list[Trial]:
    """The trials of a table, one by one.

    Example:
        >>> rows_of(TrialTable(["a.wav", "b.wav"], np.array([0]), np.array([1])))
        [Trial(enrol='a.wav', test='b.wav', label=None, score=None)]
    """
    names = np.array(table.names, dtype=object)
    columns = [names[table.enrol].tolist(), names[table.test].tolist()]
    columns += [repeat(None) if column is None else column.tolist() for column in (table.labels, table.scores)]
    with _collector_paused():
        # What `Trial(...)` does, without a call of Python for each of a million rows.
        return list(map(partial(tuple.__new__, Trial), zip(*columns, strict=False)))


def table_of(trials: Sequence[Trial], what: str = "trials") -> TrialTable:
    """Trials as columns.

    Args:
        trials: With labels all or none, and with scores all or none.
        what: Their name, for the message.

    Raises:
        DataError: ``E_TRIALS``, only some have one.

    Example:
        >>> table_of([Trial("a.wav", "b.wav", True), Trial("b.wav", "c.wav", False)]).enrol.tolist()
        [0, 1]
    """
    if not trials:
        raise DataError(f"{what}: no trial to write", CODE)
    fields: list[Any] = list(chain.from_iterable(trials))
    enrol, test, labels, scores = (fields[place::4] for place in range(4))
    known: dict[str, int] = {}
    left, right = places_of(enrol + test, known).reshape(2, len(trials))
    return TrialTable(list(known), left, right, _column(labels, "label", bool, what), _column(scores, "score", float, what))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """No search for circles meanwhile: over a million new rows it takes longer than making them, and finds none."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _column(values: list, name: str, dtype: type, what: str) -> NDArray | None:
    missing = values.count(None)
    if 0 < missing < len(values):
        raise DataError(f"{what}: {missing} of {len(values)} trials have no {name}; a list has it for all or for none", CODE)
    return None if missing else np.array(values, dtype=dtype)
