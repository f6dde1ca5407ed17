"""VoiceBank-DEMAND: read sentences in noise, for enhancement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voxid.data.corpora.layout import Row, find_folders, lines
from voxid.data.corpora.parallel import named_speakers, parallel
from voxid.registry import register

PARTS = ("trainset_28spk", "trainset_56spk", "trainset", "testset")
# Nobody published a development set. These two of the 28 speakers, a man and a woman, are what SpeechBrain validates on.
DEV = ("p226", "p287")


@register("corpus", "voicebank")
def voicebank(root: Path) -> Iterator[Row]:
    """Rows of VoiceBank-DEMAND: ``noisy_trainset_28spk_wav/p226_001.wav`` and ``clean_trainset_28spk_wav/p226_001.wav``, the same
    for ``trainset_56spk`` and ``testset``.

    ``subset`` is 28spk, 56spk or test; ``split`` is test, dev for p226 and p287 of the 28 speakers, and train. Kind of noise and
    SNR come from ``log_trainset_28spk.txt`` and the like, where they lie in `root` or in ``logfiles``.

    Valentini-Botinhao et al., "Investigating RNN-based speech enhancement methods for noise-robust text-to-speech", SSW 2016.
    """
    expected = "noisy_trainset_28spk_wav/pNNN_NNN.wav and clean_trainset_28spk_wav/ (or trainset_56spk, testset)"
    for place in find_folders(root, "VoiceBank-DEMAND", tuple(f"noisy_{part}_wav" for part in PARTS), expected):
        part = place.removeprefix("noisy_").removesuffix("_wav")
        subset = {"testset": "test", "trainset": "28spk"}.get(part, part.rpartition("_")[2])
        logs = _logs(root / "logfiles" / f"log_{part}.txt") | _logs(root / f"log_{part}.txt")
        for name, match, references in parallel(root, "", place, {"s1": f"clean_{part}_wav"}, r"(?P<speaker>p\d+)_\d+"):
            if match is None:
                yield Row(name, None, {})
                continue
            speaker = match["speaker"]
            split = "test" if subset == "test" else "dev" if subset == "28spk" and speaker in DEV else "train"
            noise, snr = logs.get(match[0], ("", ""))
            told = {"split": split, "subset": subset, "noise_type": noise, "snr_db": snr}
            yield Row(name, "", references | named_speakers([speaker]) | told)


def _logs(path: Path) -> dict[str, tuple[str, str]]:
    """``p232_001 bus 17.5``: the recording, the kind of noise and the SNR in dB."""
    rows = (line.split() for line in lines(path))
    return {row[0]: (row[1], row[2]) for row in rows if len(row) > 2}
