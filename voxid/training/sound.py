"""The augmentation section of a recipe: noise and rooms for the batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxid import registry
from voxid.audio import io
from voxid.audio.augment import Augmenter
from voxid.training.rows import Paths, joined, listed, read_each


def augmenter(
    noise: Paths | None = None,
    responses: Paths | None = None,
    where: Mapping[str, Any] | None = None,
    noise_prob: float = 0.4,
    babble_prob: float = 0.15,
    reverb_prob: float = 0.4,
    noise_snr_db: Sequence[float] = (0.0, 20.0),
    babble_snr_db: Sequence[float] = (10.0, 20.0),
    *,
    sample_rate: int = 16000,
) -> Augmenter:
    """Noise and rooms of a recipe: two manifests, the rows to take, and the arguments of `audio.augment.Augmenter`.

    Raises:
        ConfigError: A share or a range that makes no sense.
        DataError, AudioError: A manifest or a recording that cannot be read.
    """
    shares = {"noise_prob": noise_prob, "babble_prob": babble_prob, "reverb_prob": reverb_prob}
    options: dict[str, Any] = shares | {"noise_snr_db": noise_snr_db, "babble_snr_db": babble_snr_db}
    registry.check(Augmenter, options, "augment")
    Augmenter(**options)  # a wrong value is told before hours of noise are decoded
    return Augmenter(_waveforms(noise, where, sample_rate), _waveforms(responses, where, sample_rate), **options)


def _waveforms(manifest: Paths | None, where: Mapping[str, Any] | None, sample_rate: int) -> list[np.ndarray]:
    if not listed(manifest):
        return []
    paths = joined(read_each(manifest or [], None, where, speaker=None), False).paths
    return [io.load(path, sample_rate=sample_rate).waveform for path in paths]
