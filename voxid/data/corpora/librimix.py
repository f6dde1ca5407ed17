"""LibriMix: two or three voices of LibriSpeech at once, with WHAM!'s noise or without; for separation and enhancement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voxid.data.corpora.layout import Row
from voxid.data.corpora.parallel import named_speakers, parallel, rated
from voxid.registry import register

NAME = r"\d+-\d+-\d+(_\d+-\d+-\d+)+"  # 103-1240-0003_1235-135887-0017: utterances of LibriSpeech
MIXES = ("mix_both", "mix_clean", "mix_single")
SUBSETS = ("train-100", "train-360", "dev", "test")
HOMES = ("", "Libri2Mix", "Libri3Mix")


@register("corpus", "librimix")
def librimix(root: Path) -> Iterator[Row]:
    """Rows of Libri2Mix or Libri3Mix: ``wav8k/min/train-100/mix_both/103-1240-0003_1235-135887-0017.wav`` with ``s1``, ``s2``
    (``s3``) and ``noise`` beside it; of both, in a folder that holds ``Libri2Mix`` and ``Libri3Mix``.

    The column ``mix`` is both (voices and noise), clean (voices) or single (the first voice and noise, to enhance): choose one by
    ``where``. ``voices`` is 2 or 3, ``subset`` train-100, train-360, dev or test, ``split`` its first word, ``sample_rate`` 8000
    or 16000, ``mode`` min (cut to the shortest voice) or max.

    Cosentino et al., "LibriMix: an open-source dataset for generalizable speech separation", arXiv 2020.
    """
    expected = "wav8k/min/train-100/mix_both/*.wav (or mix_clean, mix_single; other subsets; max; wav16k; Libri2Mix/ around it)"
    for place, mixture, columns in rated(root, "LibriMix", HOMES, SUBSETS, MIXES, expected):
        mix = mixture.removeprefix("mix_")
        told = {"mix": mix, "split": columns["subset"].partition("-")[0], **columns}
        sources = [f"s{number}" for number in (1, 2, 3) if (root / place / f"s{number}").is_dir()]
        taken = (sources[:1] if mix == "single" else sources) + ([] if mix == "clean" else ["noise"])
        for name, match, references in parallel(root, place, mixture, {source: source for source in taken}, NAME):
            speakers = [utterance.partition("-")[0] for utterance in match[0].split("_")] if match else []
            if not sources or len(speakers) != len(sources):
                yield Row(name, None, {})
                continue
            heard = named_speakers(speakers[: 1 if mix == "single" else None])
            yield Row(name, "", references | heard | {"voices": str(len(speakers))} | told)
