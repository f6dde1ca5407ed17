"""What corpora share: a row, which folders are there, and paths that fit a pattern."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from voxid.data.scan import SUFFIXES, scan
from voxid.errors import DataError

CODE = "E_LAYOUT"


class Row(NamedTuple):
    """A recording of a corpus.

    Args:
        name: Its path relative to the corpus' folder, with forward slashes.
        speaker: Label of the speaker; "" for noise, None where the path does not fit the layout.
        extra: Further columns.
    """

    name: str
    speaker: str | None
    extra: Mapping[str, str]


def find_folders(root: Path, corpus: str, places: Sequence[str], expected: str) -> list[str]:
    """Those of the places below `root` that are folders, in their order.

    Raises:
        DataError: ``E_NOT_FOUND`` when there is no `root`, ``E_LAYOUT`` when it holds none of the places.
    """
    found = [place for place in places if os.path.isdir(root / place)]  # noqa: PTH112 - is_dir() raises on names too long
    if not found:
        raise unknown(root, corpus, expected)
    return found


def unknown(root: Path, corpus: str, expected: str) -> DataError:
    """The error for a folder that is not laid out like the corpus: what was expected, and what is there."""
    if not os.path.isdir(root):  # noqa: PTH112
        return DataError(f"{root}: there is no such folder", "E_NOT_FOUND")
    names = sorted(os.listdir(root))  # noqa: PTH208
    shown = ", ".join(names[:6]) + (" ..." if len(names) > 6 else "") or "nothing"
    return DataError(f"{root}: not the layout of {corpus}: expected {expected}; found {shown}", CODE)


def recordings(root: Path, folder: str, pattern: str) -> Iterator[tuple[str, re.Match[str] | None]]:
    """Recordings below a folder of `root`, sorted, each with the match of its path below that folder, or None.

    Args:
        root: The corpus.
        folder: Relative to it.
        pattern: A regular expression over the whole path, its suffix left out.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     _ = Path(root, "a1.wav").write_bytes(b"RIFF")
        ...     [(name, match["who"]) for name, match in recordings(Path(root), "", r"(?P<who>[a-z])1")]
        [('a1.wav', 'a')]
    """
    fits = re.compile(pattern)
    for name in scan(root / folder):
        stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a million times
        yield f"{folder}/{name}".lstrip("/"), fits.fullmatch(stem) if suffix.lower() in SUFFIXES else None


def table(path: Path, separator: str, *, header: bool = True) -> Iterator[dict[str, str]]:
    """Rows of a text table, by the names of its header (without, by "0", "1", ...), blanks stripped. No table is no row.

    Quotes are letters here: sentences of Common Voice hold some that never close.

    Raises:
        DataError: ``E_LAYOUT`` for a table that is not UTF-8.
    """
    if not path.is_file():
        return
    with path.open(encoding="utf-8-sig", newline="\n") as stream:
        try:
            names = [word.strip() for word in next(stream, "").split(separator)] if header else None
            for line in stream:
                if line.strip():
                    words = [word.strip() for word in line.split(separator)]
                    yield dict(zip(names or map(str, range(len(words))), words, strict=False))
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: not UTF-8 text", CODE) from error


def gender(word: str) -> str:
    """f, m, or "" for what is neither or not told.

    Example:
        >>> gender("F"), gender("male_masculine"), gender("other")
        ('f', 'm', '')
    """
    word = word.strip().lower()
    return word[0] if word in ("f", "m", "female", "male", "female_feminine", "male_masculine") else ""


def lines(path: Path) -> Iterable[str]:
    """The lines of a list, blanks stripped, empty ones left out. No list is no line.

    Raises:
        DataError: ``E_LAYOUT`` for a list that is not UTF-8.
    """
    if not path.is_file():
        return []
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text", CODE) from error
