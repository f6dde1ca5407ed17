"""LibriSpeech: English audio books; a session is a chapter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from voxid.data.corpora.layout import Row, gender, lines, recordings, unknown
from voxid.registry import register

SUBSET = re.compile(r"(train|dev|test)-(clean|other)(-\d+)?")
PATTERN = r"(?P<speaker>\d+)/(?P<session>\d+)/\d+-\d+-\d+"


@register("corpus", "librispeech")
def librispeech(root: Path) -> Iterator[Row]:
    """Rows of LibriSpeech: ``train-clean-100/19/198/19-198-0001.flac``, with as many of its subsets as are there.

    ``split`` is the first word of the subset, the column ``subset`` its whole name. Gender comes from ``SPEAKERS.TXT``.

    Panayotov et al., "Librispeech: an ASR corpus based on public domain audio books", ICASSP 2015.
    """
    expected = "train-clean-100/SPEAKER/CHAPTER/SPEAKER-CHAPTER-UTTERANCE.flac (or another subset) and SPEAKERS.TXT"
    subsets = sorted(path.name for path in root.glob("*") if SUBSET.fullmatch(path.name) and path.is_dir())
    if not subsets:
        raise unknown(root, "LibriSpeech", expected)
    genders = _genders(root / "SPEAKERS.TXT")
    for subset in subsets:
        for name, match in recordings(root, subset, PATTERN):
            if match is None:
                yield Row(name, None, {})
                continue
            who = match["speaker"]
            extra = {"session": match["session"], "gender": genders.get(who, ""), "lang": "en", "split": subset.partition("-")[0]}
            yield Row(name, who, extra | {"subset": subset})


def _genders(path: Path) -> dict[str, str]:
    """``14 | F | train-clean-360 | 25.03 | Name``; a semicolon begins a comment."""
    rows = (line.split("|") for line in lines(path) if not line.startswith(";"))
    return {row[0].strip(): gender(row[1]) for row in rows if len(row) > 1}
