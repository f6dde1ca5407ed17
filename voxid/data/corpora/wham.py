"""WHAM! and WHAMR!: WSJ0-2mix in the noise of bars and streets, and in rooms too; for separation and enhancement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from voxid.data.corpora.layout import Row
from voxid.data.corpora.parallel import SPLITS, named_speakers, parallel, rated
from voxid.data.corpora.wsj0_2mix import NAME, speakers_of
from voxid.registry import register

BOTH, CLEAN, SINGLE = ("s1", "s2", "noise"), ("s1", "s2"), ("s1", "noise")
MIXES = {"mix_both": BOTH, "mix_clean": CLEAN, "mix_single": SINGLE}
ROOMS = ("anechoic", "reverb")


@register("corpus", "wham")
def wham(root: Path) -> Iterator[Row]:
    """Rows of WHAM!: ``wav8k/min/tr/mix_both/050a0502_1.9707_440c020w_-1.9707.wav`` with ``s1``, ``s2`` and ``noise`` beside it;
    16 kHz and ``max`` too, as far as they are there.

    The column ``mix`` is both (two voices and noise), clean (two voices) or single (the first voice and noise, to enhance):
    choose one of them by ``where``. ``split`` is train, dev or test, ``sample_rate`` 8000 or 16000, ``mode`` min or max.

    Wichern et al., "WHAM!: extending speech separation to noisy environments", Interspeech 2019.
    """
    yield from _rows(root, "WHAM!", MIXES, "wav8k/min/tr/mix_both/*.wav (or mix_clean, mix_single; cv, tt; max; wav16k)")


@register("corpus", "whamr")
def whamr(root: Path) -> Iterator[Row]:
    """Rows of WHAMR!: as `wham`, each mixture as ``mix_both_anechoic`` and as ``mix_both_reverb``.

    The column ``room`` tells them apart. The sources of both are the anechoic ones, as in the paper's task: what the room adds is
    to be taken away.

    Maciejewski et al., "WHAMR!: noisy and reverberant single-channel speech separation", ICASSP 2020.
    """
    mixes = {f"{mix}_{room}": names for mix, names in MIXES.items() for room in ROOMS}
    expected = "wav8k/min/tr/mix_both_reverb/*.wav (or mix_clean, mix_single; anechoic; cv, tt; max; wav16k)"
    yield from _rows(root, "WHAMR!", mixes, expected)


def _rows(root: Path, corpus: str, mixes: Mapping[str, tuple[str, ...]], expected: str) -> Iterator[Row]:
    for place, mixture, columns in rated(root, corpus, ("",), tuple(SPLITS), tuple(mixes), expected):
        _, mix, *room = mixture.split("_")
        folders = {name: f"{name}_anechoic" if room and name != "noise" else name for name in mixes[mixture]}
        told = {"mix": mix} | ({"room": room[0]} if room else {})
        told |= {"split": SPLITS[columns["subset"]], "sample_rate": columns["sample_rate"], "mode": columns["mode"]}
        for name, match, references in parallel(root, place, mixture, folders, NAME):
            if match is None:
                yield Row(name, None, {})
                continue
            speakers = [who for who, source in zip(speakers_of(match[0]), CLEAN, strict=False) if source in references]
            yield Row(name, "", references | named_speakers(speakers) | told)
