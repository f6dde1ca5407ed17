"""Samples straight from the recordings: a crop is read by seeking. For corpora that are too large to be decoded to one place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from voxid.audio import io
from voxid.errors import AudioError


class PCMFiles:
    """The recordings themselves behind the promise of `PCMCache`; slower, but it needs no disk.

    Args:
        paths: The recordings.
        durations: Their lengths, in seconds, as the manifest has them.
        sample_rate: Rate of the samples, in Hz.

    Attributes:
        rejected: Always empty: a recording that cannot be read is met when it is drawn, and is an error then.
    """

    def __init__(self, paths: Sequence[str | Path], durations: Sequence[float] | np.ndarray, *, sample_rate: int = 16000) -> None:
        self.paths, self.durations, self.sample_rate = list(paths), np.asarray(durations), sample_rate
        self.rejected: dict[str, str] = {}

    def num_samples(self, utterance: int) -> int:
        """Length of a recording, in samples, by the manifest."""
        return int(self.durations[utterance] * self.sample_rate)

    def read(self, utterance: int, start: int, stop: int) -> np.ndarray:
        """Samples start ... stop - 1 of a recording as float32 [T]; fewer when it is shorter than the manifest says.

        Raises:
            AudioError: It cannot be read, or holds nothing there.
        """
        offset, duration = start / self.sample_rate, (stop - start) / self.sample_rate
        path = self.paths[utterance]
        waveform = io.load(path, sample_rate=self.sample_rate, offset=offset, duration=duration).waveform[: stop - start]
        if not len(waveform):
            raise AudioError(
                f"{path}: nothing at {offset:.2f} s, so the manifest's duration is wrong; prepare it again", "E_EMPTY"
            )
        return waveform
