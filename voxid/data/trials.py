"""Trial lists: which recordings are compared, and whether the same person speaks in both."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from voxid.atomic import replacing
from voxid.data.table import check_file
from voxid.errors import DataError, did_you_mean

CODE = "E_TRIALS"
BYTES = 1 << 16  # of text in work at a time: what stays in the cache is quicker than more
Format = Literal["voxceleb", "kaldi", "wespeaker"]
WORDS = {b"target": True, b"nontarget": False}
DIGITS = {b"1": True, b"0": False}


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


class _Layout(NamedTuple):
    """The fields of a line; enrol and test stand side by side in all of them."""

    text: str
    widths: tuple[int, ...]
    enrol: int
    label: int | None = None
    score: int | None = None
    labels: Mapping[bytes, bool] = {}


BLIND = _Layout("enrol test", (2,), 0)
VOXCELEB = _Layout("1|0 enrol test", (3,), 1, 0, None, DIGITS)
KALDI = _Layout("enrol test target|nontarget", (3,), 0, 2, None, WORDS)
KALDI_DIGITS = _Layout("enrol test 1|0", (3,), 0, 2, None, DIGITS)
SCORED = _Layout("enrol test score target|nontarget", (4, 6), 0, 3, 2, WORDS | DIGITS)
SCORED_BLIND = _Layout("enrol test score", (3,), 0, None, 2)
# In the order of trying: a test called "target" is less likely than Kaldi's label, an enrolment called "1" less than VoxCeleb's.
LAYOUTS: dict[str | None, list[_Layout]] = {
    None: [BLIND, KALDI, VOXCELEB, KALDI_DIGITS, SCORED, SCORED_BLIND],
    "voxceleb": [BLIND, VOXCELEB],
    "kaldi": [BLIND, KALDI, KALDI_DIGITS],
    "wespeaker": [BLIND, KALDI, KALDI_DIGITS, SCORED, SCORED_BLIND],
}


def read_trials(path: str | Path, *, format: Format | None = None) -> list[Trial]:
    """Read a trial list or a score file; which kind it is shows in its first line.

    Understood: ``1 enrol test`` (VoxCeleb), ``enrol test target`` (Kaldi, wespeaker, 3D-Speaker), ``enrol test score target``
    (scores of wespeaker, with two further columns when they were normalised), ``enrol test`` and ``enrol test score`` (blind).

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
    path = Path(path)
    _check_format(format)
    check_file(path)
    names: dict[bytes, str] = {}
    pieces = []
    layout, width = None, 0
    for line, rows in _blocks(path):
        if layout is None:
            layout, width = _layout(path, line, rows[0], format), len(rows[0])
        try:
            if any(len(row) != width for row in rows):
                raise ValueError
            pieces.append(_trials(list(zip(*rows, strict=True)), layout, names))
        except (ValueError, KeyError) as error:
            raise _malformed(path, line, layout, width) from error
    if layout is None:
        raise DataError(f"{path}: no trial in it", CODE)
    return list(chain.from_iterable(pieces))


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
    path, trials = Path(path), list(trials)
    _check_format(format)
    _check_trials(path, trials)
    with replacing(path, DataError) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(_written(trials, format))


def convert(source: str | Path, output: str | Path, *, format: Format = "voxceleb") -> int:
    """Read a trial list of any kind and write it as another; answers the number of trials.

    Raises:
        DataError: As `read_trials` and `write_trials`.
    """
    trials = read_trials(source)
    write_trials(output, trials, format=format)
    return len(trials)


def _blocks(path: Path) -> Iterator[tuple[int, list[list[bytes]]]]:
    """Lines as fields, some at a time, with the number of the first one. Empty lines are left out."""
    line = 1
    with path.open("rb") as stream:
        while lines := stream.readlines(BYTES):
            if line == 1:
                lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
            if rows := [fields for text in lines if (fields := text.split())]:
                yield line, rows
            line += len(lines)


def _layout(path: Path, line: int, row: Sequence[bytes], format: Format | None) -> _Layout:
    for layout in LAYOUTS[format]:
        if _fits(row, layout):
            return layout
    kinds = "; ".join(layout.text for layout in LAYOUTS[format])
    raise DataError(f"{path}:{line}: {_shown(row)} is no trial; expected one of: {kinds}", CODE)


def _fits(row: Sequence[bytes], layout: _Layout) -> bool:
    try:
        return len(row) in layout.widths and bool(_trials([(text,) for text in row], layout, {}))
    except (ValueError, KeyError):
        return False


def _shown(row: Sequence[bytes]) -> str:
    return repr(b" ".join(row)[:80].decode(errors="backslashreplace"))


def _trials(columns: list[tuple[bytes, ...]], layout: _Layout, names: dict[bytes, str]) -> list[Trial]:
    enrol, test = columns[layout.enrol], columns[layout.enrol + 1]
    for name in {*enrol, *test} - names.keys():  # a recording is in many trials: one text for all of them
        names[name] = name.decode()
    labels: Iterable[bool | None] = repeat(None)
    if layout.label is not None:
        labels = [layout.labels[label] for label in columns[layout.label]]
    scores: Iterable[float | None] = repeat(None)
    if layout.score is not None:
        scores = [_score(score) for score in columns[layout.score]]
    return list(map(Trial, [names[name] for name in enrol], [names[name] for name in test], labels, scores))


def _score(text: bytes) -> float:
    score = float(text)
    if not math.isfinite(score):
        raise ValueError(score)
    return score


def _malformed(path: Path, first: int, layout: _Layout, width: int) -> DataError:
    with path.open("rb") as stream:
        for line, text in enumerate(stream, 1):
            row = text.split()
            if line >= first and row and (len(row) != width or not _fits(row, layout)):
                message = f"{_shown(row)} is no trial; the first line says: {layout.text} ({width} fields)"
                return DataError(f"{path}:{line}: {message}", CODE)
    return DataError(f"{path}: it changed while it was read", CODE)


def _check_format(format: str | None) -> None:
    if format not in LAYOUTS:
        raise DataError(f"unknown format of trials {format!r}: {did_you_mean(str(format), get_args(Format))}", CODE)


def _check_trials(path: Path, trials: Sequence[Trial]) -> None:
    if not trials:
        raise DataError(f"{path}: no trial to write", CODE)
    for what, values in (("label", [trial.label for trial in trials]), ("score", [trial.score for trial in trials])):
        missing = values.count(None)
        if 0 < missing < len(values):
            raise DataError(f"{path}: {missing} of {len(values)} trials have no {what}; a list has it for all or for none", CODE)
    if not all(trial.score is None or math.isfinite(trial.score) for trial in trials):
        raise DataError(f"{path}: a score is NaN or infinite", CODE)
    for name in {name for trial in trials for name in trial[:2]}:
        if not _writable(name):
            reason = "it is empty, has a blank in it or is not UTF-8"
            raise DataError(f"{path}: {name!a} cannot stand in a trial list: {reason}; rename the file", CODE)


def _writable(name: str) -> bool:
    try:
        return name.encode().split() == [name.encode()] and not name.startswith("\ufeff")
    except UnicodeEncodeError:
        return False


def _written(trials: Sequence[Trial], format: Format) -> Iterator[str]:
    labelled, scored = trials[0].label is not None, format == "wespeaker" and trials[0].score is not None
    if format == "voxceleb" and labelled:
        yield from (f"{'1' if label else '0'} {enrol} {test}\n" for enrol, test, label, _ in trials)
        return
    words: dict[bool | None, str] = {True: " target\n", False: " nontarget\n", None: "\n"}
    for enrol, test, label, score in trials:
        middle = f" {float(score)!r}" if scored and score is not None else ""
        yield f"{enrol} {test}{middle}{words[label if label is None else bool(label)]}"
