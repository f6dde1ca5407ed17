"""Crops of utterances as training examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from voxid.audio.augment import change_speed
from voxid.data.sampler import Crop


class PCM(Protocol):
    """Where the samples come from: a decoded cache, or the files themselves."""

    def num_samples(self, utterance: int) -> int:
        """Length of an utterance, in samples."""
        ...

    def read(self, utterance: int, start: int, stop: int) -> np.ndarray:
        """Samples start ... stop - 1 as float32 [T] in [-1, 1]."""
        ...


def as_batch(pieces: Sequence[np.ndarray]) -> Tensor:
    """Waveforms [T] as [B, T]; features [N, F], frames first as files hold them, as [B, F, N].

    Example:
        >>> as_batch([np.zeros((7, 3), np.float32)]).shape
        torch.Size([1, 3, 7])
    """
    batch = torch.from_numpy(np.stack(pieces))
    return batch.transpose(1, 2) if batch.ndim == 3 else batch


class SpeakerDataset(Dataset[tuple[Tensor, Tensor]]):
    """Answers a batch of crops with its waveforms [B, T] (features [B, F, N] where the samples are frames) and classes [B].

    Each speed beyond the first makes a class of its own of every speaker: class = speed x speakers + speaker.

    Args:
        pcm: The samples.
        labels: Speaker index of each utterance.
        num_speakers: K.
        speeds: Factors of speed; 1.0 first.
    """

    def __init__(self, pcm: PCM, labels: Sequence[int], num_speakers: int, speeds: Sequence[float] = (1.0,)) -> None:
        self.pcm = pcm
        self.labels = list(labels)
        self.num_speakers = num_speakers
        self.speeds = tuple(speeds)

    @property
    def num_classes(self) -> int:
        """Speakers x speeds."""
        return self.num_speakers * len(self.speeds)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, crops: Sequence[Crop]) -> tuple[Tensor, Tensor]:
        """Waveforms [B, T] or features [B, F, N], and classes [B] of a batch."""
        classes = [crop.speed * self.num_speakers + self.labels[crop.utterance] for crop in crops]
        return as_batch([self._cut(crop) for crop in crops]), torch.tensor(classes)

    def _cut(self, crop: Crop) -> np.ndarray:
        speed = self.speeds[crop.speed]
        # A few samples more than needed: resampling rounds the length.
        wanted = crop.samples if speed == 1.0 else int(np.ceil(crop.samples * speed)) + 8
        available = self.pcm.num_samples(crop.utterance)
        start = int(crop.position * (max(available - wanted, 0) + 1))
        piece = change_speed(self.pcm.read(crop.utterance, start, min(start + wanted, available)), speed)
        if len(piece) < crop.samples:  # a short utterance is repeated: silence would teach the net the padding
            piece = np.concatenate([piece] * -(-crop.samples // len(piece)))
        return piece[: crop.samples]
