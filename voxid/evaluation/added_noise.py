"""Noise that depends on nothing but a seed and the name of a recording: a list sounds the same to every model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxid.audio import io
from voxid.data.manifest import read_manifest
from voxid.data.mixtures import MOST_DB, add, at_level
from voxid.errors import AudioError, ConfigError, DataError

TRIES = 20  # pieces that are drawn before the recordings are called silent


class AddedNoise:
    """Adds noise of a manifest to recordings.

    Args:
        manifest: Recordings of noise (.csv, .jsonl); it may name other sounds, such as voices.
        snr: Power of the recording over that of the noise, in dB, each over the whole recording.
        root: The folder that its paths are relative to; the manifest's own by default.
        where: Take rows with these values.
        seed: Of the draws.

    Raises:
        DataError: A manifest that cannot be read.
        ConfigError: A value out of its range.
    """

    def __init__(
        self,
        manifest: str | Path,
        snr: float,
        *,
        root: str | Path | None = None,
        where: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        if not abs(snr) <= MOST_DB:
            raise ConfigError(f"snr is a ratio within +-{MOST_DB:g} dB, got {snr}")
        self.manifest, self.snr, self.seed = str(manifest), float(snr), seed
        self._known = read_manifest(manifest, root=root, where=where, speaker=None)

    def __call__(self, waveform: NDArray, name: str, sample_rate: int) -> NDArray[np.float32]:
        """A recording [T] with noise [T] that `name` and the seed alone decide; silence is left as it is.

        Raises:
            DataError: Noise that cannot be read, or is silent wherever it was tried.
        """
        power = float(np.mean(np.square(waveform, dtype=np.float64)))
        if not power:
            return waveform
        noise = self._drawn(len(waveform), name, sample_rate)
        return add([np.asarray(waveform)], at_level(noise, 10.0 * math.log10(power) - self.snr)).mixture

    def _drawn(self, samples: int, name: str, rate: int) -> NDArray:
        digest = hashlib.sha256(f"{self.seed}:{name}".encode(errors="surrogateescape")).digest()
        random = np.random.default_rng(int.from_bytes(digest[:8]))
        for _ in range(TRIES):
            place, share = int(random.integers(len(self._known))), float(random.random())
            noise = self._piece(place, share, samples, rate)
            if noise.any():
                return noise
        raise DataError(f"{self.manifest}: {TRIES} pieces drawn from it are silent, so they have no level", "E_NOISE")

    def _piece(self, place: int, share: float, samples: int, rate: int) -> NDArray:
        """A piece that begins somewhere; where the recording ends, it begins again."""
        path, seconds = self._known.paths[place], float(self._known.durations[place])
        start = share * max(0.0, seconds - samples / rate)
        try:
            found = io.load(path, sample_rate=rate, offset=start, duration=samples / rate).waveform
        except AudioError as error:
            raise DataError(f"{self.manifest}: {error}", error.code) from error
        return np.resize(found, samples)
