"""What corpora of mixtures share: recordings of the same name in folders side by side, of the mixtures and of each source."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from voxid.data.corpora.layout import find_folders, recordings

SPLITS = {"tr": "train", "cv": "dev", "tt": "test"}  # of WSJ0


class Mixed(NamedTuple):
    """A mixture of a corpus.

    Args:
        name: Its path relative to the corpus' folder.
        match: Of its path below the folder of mixtures, without the suffix; None where that does not fit.
        references: Its sources s1, s2 ..., and its noise: paths relative to the corpus' folder.
    """

    name: str
    match: re.Match[str] | None
    references: dict[str, str]


def parallel(root: Path, place: str, mixture: str, references: Mapping[str, str], pattern: str) -> Iterator[Mixed]:
    """Mixtures in the order of their names, with the recordings of the same name in the folders of their sources.

    Args:
        root: The corpus.
        place: The folder that the others lie in, relative to it.
        mixture: The folder of the mixtures in it.
        references: The folder of each source in it.
        pattern: A regular expression over the whole path below the folder of the mixtures, its suffix left out.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     Path(root, "tr/mix").mkdir(parents=True)
        ...     _ = Path(root, "tr/mix/7.wav").write_bytes(b"RIFF")
        ...     [(row.name, row.references) for row in parallel(Path(root), "tr", "mix", {"s1": "clean"}, ".*")]
        [('tr/mix/7.wav', {'s1': 'tr/clean/7.wav'})]
    """
    prefix = f"{place}/".lstrip("/")
    for name, match in recordings(root, prefix + mixture, pattern):
        file = name.removeprefix(f"{prefix}{mixture}/")
        yield Mixed(name, match, {source: f"{prefix}{folder}/{file}" for source, folder in references.items()})


def rated(
    root: Path, corpus: str, homes: Sequence[str], subsets: Sequence[str], mixtures: Sequence[str], expected: str
) -> list[tuple[str, str, dict[str, str]]]:
    """The folders of mixtures in a corpus that comes at two rates, each cut to its shortest source or not:
    ``wav8k/min/tr/mix_both``.

    Args:
        root: The corpus.
        corpus: Its name, for messages.
        homes: Folders that ``wav8k`` and ``wav16k`` may lie in, relative to `root`; "" for `root` itself.
        subsets: The names below ``min`` and ``max``.
        mixtures: The names below those.
        expected: For messages.

    Returns:
        Of each folder that is there: the subset's folder, the name of the folder of mixtures in it, and the columns
        ``sample_rate``, ``mode`` and ``subset``.

    Raises:
        DataError: ``E_NOT_FOUND``, ``E_LAYOUT``.
    """
    folders = {
        f"{home}/wav{rate}k/{mode}/{subset}".lstrip("/"): {"sample_rate": f"{rate}000", "mode": mode, "subset": subset}
        for home, rate, mode, subset in itertools.product(homes, (8, 16), ("min", "max"), subsets)
    }
    places = [f"{folder}/{mixture}" for folder in folders for mixture in mixtures]
    split = (place.rpartition("/") for place in find_folders(root, corpus, places, expected))
    return [(folder, mixture, folders[folder]) for folder, _, mixture in split]


def named_speakers(speakers: Sequence[str]) -> dict[str, str]:
    """Labels of the sources' speakers, as columns.

    Example:
        >>> named_speakers(["050", "440"])
        {'s1_speaker': '050', 's2_speaker': '440'}
    """
    return {f"s{number}_speaker": speaker for number, speaker in enumerate(speakers, 1)}
