"""The orders in which trial lists write their fields, and which of them a line has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from voxid.errors import DataError, did_you_mean

CODE = "E_TRIALS"
Format = Literal["voxceleb", "kaldi", "wespeaker"]
WORDS = {b"target": True, b"nontarget": False}
DIGITS = {b"1": True, b"0": False}


class Layout(NamedTuple):
    """The fields of a line; enrol and test stand side by side in all of them.

    Args:
        text: How it is called in an error.
        widths: How many fields a line may have.
        enrol, label, score: At which place a field is; None where there is no such field.
        labels: What stands for target and for non-target.
    """

    text: str
    widths: tuple[int, ...]
    enrol: int
    label: int | None = None
    score: int | None = None
    labels: Mapping[bytes, bool] = {}

    def fits(self, row: Sequence[bytes]) -> bool:
        """Whether the fields of a line can be read so."""
        if len(row) not in self.widths:
            return False
        try:
            for name in row[self.enrol : self.enrol + 2]:
                name.decode()
            return (self.label is None or row[self.label] in self.labels) and (
                self.score is None or math.isfinite(float(row[self.score]))
            )
        except ValueError:
            return False


BLIND = Layout("enrol test", (2,), 0)
VOXCELEB = Layout("1|0 enrol test", (3,), 1, 0, None, DIGITS)
KALDI = Layout("enrol test target|nontarget", (3,), 0, 2, None, WORDS)
KALDI_DIGITS = Layout("enrol test 1|0", (3,), 0, 2, None, DIGITS)
SCORED = Layout("enrol test score target|nontarget", (4, 6), 0, 3, 2, WORDS | DIGITS)
SCORED_BLIND = Layout("enrol test score", (3,), 0, None, 2)
# In the order of trying: a test called "target" is less likely than Kaldi's label, an enrolment called "1" less than VoxCeleb's.
LAYOUTS: dict[str | None, list[Layout]] = {
    None: [BLIND, KALDI, VOXCELEB, KALDI_DIGITS, SCORED, SCORED_BLIND],
    "voxceleb": [BLIND, VOXCELEB],
    "kaldi": [BLIND, KALDI, KALDI_DIGITS],
    "wespeaker": [BLIND, KALDI, KALDI_DIGITS, SCORED, SCORED_BLIND],
}


def layout_of(path: Path, line: int, row: Sequence[bytes], format: Format | None) -> Layout:
    """The first layout of a format that fits a line.

    Raises:
        DataError: ``E_TRIALS``, with file and line: none does.

    Example:
        >>> layout_of(Path("a.txt"), 1, [b"1", b"a.wav", b"b.wav"], None).text
        '1|0 enrol test'
    """
    for layout in LAYOUTS[format]:
        if layout.fits(row):
            return layout
    kinds = "; ".join(layout.text for layout in LAYOUTS[format])
    raise DataError(f"{path}:{line}: {shown(row)} is no trial; expected one of: {kinds}", CODE)


def shown(row: Sequence[bytes]) -> str:
    """The fields of a line for an error, cut where they are long.

    Example:
        >>> shown([b"a", b"b"])
        "'a b'"
    """
    return repr(b" ".join(row)[:80].decode(errors="backslashreplace"))


def check_format(format: str | None) -> None:
    """Raise `DataError` (``E_TRIALS``) for the name of no format."""
    if format not in LAYOUTS:
        raise DataError(f"unknown format of trials {format!r}: {did_you_mean(str(format), get_args(Format))}", CODE)
