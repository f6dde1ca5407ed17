"""Mixtures for training, made when they are asked for: voices, noises and rooms are drawn anew for every one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from voxid.audio.rooms import Rooms
from voxid.data.mixtures import LEVEL, MOST_DB, Rendered, add, at_level
from voxid.errors import ConfigError, DataError

CODE = "E_MIXTURES"
STREAM = 4  # first word of the seeds; `voxid.data.draws` has the others
PAUSE = 0.1  # a piece whose RMS is 20 dB below that of its recording is a pause, in which there is nothing to separate
ATTEMPTS = 8  # draws of a piece that is no pause
BLOCK = 4096  # samples that are looked at in one go


class Recording(Protocol):
    """Samples that are somewhere else and are read piece by piece, e.g. a row of `voxid.data.pcm_cache.PCMCache`."""

    def __len__(self) -> int:
        """How many samples."""
        ...

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples start ... stop - 1 as float32 [T]."""
        ...


class Mixer:
    """Mixtures of different speakers by number: the same seed and number give the same mixture, whoever asks and in which order.

    Every speaker is drawn equally often. The first voice is at -26 dBFS RMS, each other within `gain_db` of it, noise at the SNR
    below it. A recording shorter than a mixture is repeated. A mixture that peaks above 0.95 is turned down with its parts.

    Args:
        speech: Pairs of a recording and its speaker, all at `sample_rate`: waveforms [T_i], which are not copied where they are
            float32, or a `Recording` each, of which no more is read than is drawn (and once the whole, for its level).
        seconds: Length of a mixture.
        voices: S, how many speakers a mixture has; 1 for enhancement.
        gain_db: The others are at most so far above or below the first, in dB.
        noises: Recordings of either sort; empty = mixtures without noise.
        noise_prob: Share of mixtures with noise.
        noise_snr_db: Range of the level of the first voice above the noise, in dB.
        responses: Impulse responses [R_i] of rooms; empty = none.
        reverb_prob: Share of mixtures whose voices are in rooms, each with a response of its own. The sources are the voices as
            they are heard there, at the power and with the delay of the dry ones.
        sample_rate: In Hz.
        seed: Of the draws, 0 or more.

    Raises:
        ConfigError: An argument that makes no sense.
        DataError: ``E_MIXTURES``: fewer speakers than voices, or a waveform that is empty, silent or not finite.

    Example:
        >>> tones = [(np.sin(np.arange(8000) / n).astype(np.float32), f"speaker {n}") for n in (2, 3, 5)]
        >>> mixer = Mixer(tones, seconds=0.25, noises=[np.ones(100, np.float32)])
        >>> mixer(0).mixture.shape, mixer(0).sources.shape
        ((4000,), (2, 4000))
    """

    def __init__(
        self,
        speech: Sequence[tuple[np.ndarray | Recording, str]],
        *,
        seconds: float = 4.0,
        voices: int = 2,
        gain_db: float = 2.5,
        noises: Sequence[np.ndarray | Recording] = (),
        noise_prob: float = 1.0,
        noise_snr_db: Sequence[float] = (0.0, 20.0),
        responses: Sequence[np.ndarray] = (),
        reverb_prob: float = 1.0,
        sample_rate: int = 16000,
        seed: int = 0,
    ) -> None:
        _check(seconds, voices, gain_db, noise_snr_db, sample_rate, seed, {"noise_prob": noise_prob, "reverb_prob": reverb_prob})
        self.samples, self.voices, self.gain_db, self.seed = max(1, round(seconds * sample_rate)), voices, gain_db, seed
        self.noise_prob, self.noise_snr_db = (noise_prob if len(noises) else 0.0), tuple(noise_snr_db)
        self.reverb_prob = reverb_prob if len(responses) else 0.0
        self._speech = [_drawn(recording, f"speech {number}") for number, (recording, _) in enumerate(speech)]
        self._noises = [_drawn(recording, f"noise {number}") for number, recording in enumerate(noises)]
        self._rooms = Rooms([_Held(x, f"response {number}").samples for number, x in enumerate(responses)], sample_rate)
        self._of: dict[str, list[int]] = {}
        for number, (_, speaker) in enumerate(speech):
            self._of.setdefault(speaker, []).append(number)
        self._speakers = sorted(self._of)
        if len(self._speakers) < voices:
            raise DataError(f"a mixture has {voices} speakers, there are {len(self._speakers)}; take more, or fewer voices", CODE)

    def __call__(self, number: int) -> Rendered:
        """The mixture of this number, 0 or more."""
        draw = np.random.default_rng([STREAM, self.seed, number])
        pieces = [self._voice(int(speaker), draw) for speaker in draw.choice(len(self._speakers), self.voices, replace=False)]
        levels = [LEVEL, *(LEVEL + draw.uniform(-self.gain_db, self.gain_db, self.voices - 1))]
        if draw.random() < self.reverb_prob:
            pieces = self._in_rooms(pieces, draw)
        sources = [at_level(piece, float(level)) for piece, level in zip(pieces, levels, strict=True)]
        if draw.random() >= self.noise_prob:
            return add(sources)
        noise = self._noises[draw.integers(len(self._noises))].piece(self.samples, draw)
        low, high = self.noise_snr_db
        return add(sources, at_level(noise, LEVEL - draw.uniform(low, high)))

    def _voice(self, speaker: int, draw: np.random.Generator) -> np.ndarray:
        numbers = self._of[self._speakers[speaker]]
        return self._speech[numbers[draw.integers(len(numbers))]].piece(self.samples, draw)

    def _in_rooms(self, pieces: list[np.ndarray], draw: np.random.Generator) -> list[np.ndarray]:
        index = torch.from_numpy(draw.integers(len(self._rooms), size=len(pieces)))
        with torch.no_grad():
            return list(self._rooms.put(torch.from_numpy(np.stack(pieces)), index).numpy())


class _Drawn:
    """A recording that pieces are drawn from."""

    __slots__ = ("_level", "recording")

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._level: tuple[float, int] | None = None

    @property
    def level(self) -> tuple[float, int]:
        """RMS of the whole, and where its loudest sample is."""
        if self._level is None:
            whole = self.recording.read(0, len(self.recording))
            self._level = _rms(whole), int(np.abs(whole).argmax())
        return self._level

    def piece(self, samples: int, draw: np.random.Generator) -> np.ndarray:
        """A piece [samples] that begins anywhere, and is no pause."""
        spare = len(self.recording) - samples
        if spare <= 0:
            whole = self.recording.read(0, len(self.recording))
            return np.resize(np.roll(whole, -int(draw.integers(len(whole)))), samples)
        rms, loudest = self.level
        for _ in range(ATTEMPTS):
            start = int(draw.integers(spare + 1))
            piece = self.recording.read(start, start + samples)
            if _rms(piece) > PAUSE * rms:
                return piece
        start = min(max(0, loudest - samples // 2), spare)
        return self.recording.read(start, start + samples)


class _Held:
    """A waveform [T] in memory."""

    __slots__ = ("samples",)

    def __init__(self, waveform: np.ndarray, name: str) -> None:
        self.samples = np.asarray(waveform, np.float32)
        if self.samples.ndim != 1 or not self.samples.size:
            raise DataError(f"{name}: expected a waveform [T], got {list(self.samples.shape)}", CODE)
        rms = _rms(self.samples)
        if not 0 < rms < np.inf:
            raise DataError(f"{name}: {'silent' if rms == 0 else 'NaN or infinite samples'}; leave it out", CODE)

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, start: int, stop: int) -> np.ndarray:
        return self.samples[start:stop]


def _drawn(recording: np.ndarray | Recording, name: str) -> _Drawn:
    if isinstance(recording, np.ndarray):
        return _Drawn(_Held(recording, name))
    if not len(recording) or not sounds(recording):
        raise DataError(f"{name}: {'silent' if len(recording) else 'no samples'}; leave it out", CODE)
    return _Drawn(recording)


def sounds(recording: Recording) -> bool:
    """Whether a recording is more than zeros; its first block mostly tells.

    Example:
        >>> sounds(_Held(np.array([0.0, 0.1], np.float32), "a"))
        True
    """
    return any(recording.read(start, start + BLOCK).any() for start in range(0, len(recording), BLOCK))


def _rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _check(
    seconds: float,
    voices: int,
    gain_db: float,
    noise_snr_db: Sequence[float],
    sample_rate: int,
    seed: int,
    shares: dict[str, float],
) -> None:
    if not 0 < seconds < np.inf or sample_rate < 1 or voices < 1 or seed < 0:
        got = f"seconds={seconds}, sample_rate={sample_rate}, voices={voices}, seed={seed}"
        raise ConfigError(f"seconds above 0, sample_rate and voices of 1 or more and a seed of 0 or more are needed, got {got}")
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ConfigError(f"{name} is a share from 0 to 1, got {share}")
    if not 0 <= gain_db <= MOST_DB:
        raise ConfigError(f"gain_db is 0 ... {MOST_DB:g} dB, got {gain_db}")
    if len(noise_snr_db) != 2 or not -MOST_DB <= noise_snr_db[0] <= noise_snr_db[1] <= MOST_DB:
        raise ConfigError(f"noise_snr_db is two numbers of dB within +-{MOST_DB:g}, the lower one first, got {noise_snr_db}")
