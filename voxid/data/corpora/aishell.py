"""AISHELL-1: read Mandarin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voxid.data.corpora.layout import Row, find_folders, gender, lines, recordings
from voxid.registry import register

PATTERN = r"(?P<speaker>S\d{4})/[A-Z0-9]+"
PLACES = tuple(f"{folder}wav/{split}" for folder in ("data_aishell/", "") for split in ("train", "dev", "test"))


@register("corpus", "aishell1")
def aishell1(root: Path) -> Iterator[Row]:
    """Rows of AISHELL-1: ``data_aishell/wav/train/S0002/BAC009S0002W0122.wav``, the archives of the speakers unpacked.

    ``split`` is the folder: train, dev or test. Gender comes from ``speaker.info`` in `root` or in ``resource_aishell``. Sessions
    are not told.

    Bu et al., "AISHELL-1: an open-source Mandarin speech corpus and a speech recognition baseline", O-COCOSDA 2017.
    """
    places = find_folders(root, "AISHELL-1", PLACES, "data_aishell/wav/train/S0002/*.wav (or wav/train, dev, test)")
    genders = _genders(root / "resource_aishell" / "speaker.info") | _genders(root / "speaker.info")
    for place in places:
        for name, match in recordings(root, place, PATTERN):
            if match is None:
                yield Row(name, None, {})
                continue
            extra = {"gender": genders.get(match["speaker"][1:], ""), "lang": "zh", "split": place.rpartition("/")[2]}
            yield Row(name, match["speaker"], extra)


def _genders(path: Path) -> dict[str, str]:
    """``0002 F``: the number of a speaker, and the gender."""
    rows = (line.split() for line in lines(path))
    return {row[0].removeprefix("S"): gender(row[1]) for row in rows if len(row) > 1}
