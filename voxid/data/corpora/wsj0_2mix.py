"""WSJ0-2mix and WSJ0-3mix: read news, two or three voices at once, for separation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voxid.data.corpora.layout import Row
from voxid.data.corpora.parallel import SPLITS, named_speakers, parallel, rated
from voxid.registry import register

# 050a0502_1.9707_440c020w_-1.9707: an utterance of WSJ0, its level in dB, and the same of the next one.
NAME = r"[0-9a-z]{8}_[-+.\de]+(_[0-9a-z]{8}_[-+.\de]+)+"


@register("corpus", "wsj0_2mix")
def wsj0_2mix(root: Path) -> Iterator[Row]:
    """Rows of WSJ0-2mix: ``wav8k/min/tr/{mix,s1,s2}/050a0502_1.9707_440c020w_-1.9707.wav``, the folder ``2speakers`` around it or
    not; 16 kHz and ``max`` too, as far as they are there.

    ``split`` is train, dev or test for tr, cv and tt; ``sample_rate`` is 8000 or 16000, ``mode`` min (cut to the shorter voice)
    or max. The names tell the speakers.

    Hershey et al., "Deep clustering: discriminative embeddings for segmentation and separation", ICASSP 2016.
    """
    yield from _rows(root, 2)


@register("corpus", "wsj0_3mix")
def wsj0_3mix(root: Path) -> Iterator[Row]:
    """Rows of WSJ0-3mix: as `wsj0_2mix`, with ``3speakers`` and a third source."""
    yield from _rows(root, 3)


def speakers_of(name: str) -> list[str]:
    """The speakers that a name tells: the first three characters of an utterance of WSJ0.

    Example:
        >>> speakers_of("050a0502_1.9707_440c020w_-1.9707")
        ['050', '440']
    """
    return [utterance[:3] for utterance in name.split("_")[::2]]


def _rows(root: Path, voices: int) -> Iterator[Row]:
    corpus, home = f"WSJ0-{voices}mix", f"{voices}speakers"
    sources = {f"s{number}": f"s{number}" for number in range(1, voices + 1)}
    expected = f"wav8k/min/tr/mix/*.wav (or cv, tt; max; wav16k; {home}/ around it) and s1 ... s{voices} beside mix"
    for place, mixture, columns in rated(root, corpus, ("", home), tuple(SPLITS), ("mix",), expected):
        for name, match, references in parallel(root, place, mixture, sources, NAME):
            if match is None or len(speakers_of(match[0])) != voices:
                yield Row(name, None, {})
                continue
            told = {"split": SPLITS[columns["subset"]], "sample_rate": columns["sample_rate"], "mode": columns["mode"]}
            yield Row(name, "", references | named_speakers(speakers_of(match[0])) | told)
