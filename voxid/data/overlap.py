"""Speakers on both sides of a split: what is tested must not have been trained on."""

from __future__ import annotations

from collections.abc import Iterable

from voxid.data.manifest import Manifest, Utterance
from voxid.errors import DataError

CODE = "E_OVERLAP"
SHOWN = 5  # names in an error


def check_overlap(train: Iterable[Utterance], test: Iterable[Utterance]) -> None:
    """Refuse a speaker who is in both.

    Args:
        train, test: A `Manifest` each, or utterances.

    Raises:
        DataError: ``E_OVERLAP``, naming the speakers.

    Example:
        >>> from pathlib import Path
        >>> check_overlap([Utterance(Path("a.wav"), "anna", 2.0)], [Utterance(Path("b.wav"), "ben", 2.0)])
    """
    shared = sorted(_speakers(train) & _speakers(test))
    if shared:
        names = ", ".join(shared[:SHOWN]) + (" ..." if len(shared) > SHOWN else "")
        number = "1 speaker is" if len(shared) == 1 else f"{len(shared)} speakers are"
        raise DataError(f"{number} both in the training and in the test data: {names}. Split by speaker, not by recording", CODE)


def _speakers(rows: Iterable[Utterance]) -> set[str]:
    return set(rows.speakers) if isinstance(rows, Manifest) else {row.speaker for row in rows}
