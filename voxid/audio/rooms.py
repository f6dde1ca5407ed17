"""Rooms as impulse responses: simulated ones, and a set of them that batches are put into."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from voxid import extras
from voxid.audio.effects import keep_power
from voxid.audio.filters import fft_size, multiply, spectra
from voxid.errors import ConfigError

BEFORE_PEAK = 0.02  # seconds of an impulse response that are kept before its direct path
SPECTRA = 1 << 28  # bytes of spectra that are kept at most
SOUND = 343.0  # m/s
EARLY = 0.08  # seconds of a simulated response that come from image sources; the rest is decaying noise
FROM_WALL = 0.3  # metres that mouth and microphone keep from the walls
ABSORPTION = (0.02, 0.95)  # of the walls, what a simulation can do with


class Rooms:
    """Impulse responses at hand for batches.

    Args:
        responses: [R_i] each; they are not copied.
        sample_rate: In Hz.
        seconds: What is kept behind the direct path; None keeps all.

    Example:
        >>> rooms = Rooms([np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.5])], 16000)
        >>> speech = torch.randn(2, 100)
        >>> bool(torch.allclose(rooms.put(speech, torch.tensor([0]))[0], speech[0], atol=1e-5))
        True
    """

    def __init__(self, responses: Sequence[np.ndarray], sample_rate: int, seconds: float | None = None) -> None:
        before = round(BEFORE_PEAK * sample_rate)
        behind = None if seconds is None else max(1, round(seconds * sample_rate))
        self.pieces: list[Tensor] = []
        self.peaks: list[int] = []
        for response in responses:
            peak = int(np.abs(response).argmax())
            start = max(0, peak - before)
            stop = None if behind is None else peak + behind
            self.pieces.append(torch.from_numpy(np.asarray(response[start:stop], np.float32)))
            self.peaks.append(peak - start)
        self.peak = max(self.peaks, default=0)
        self.taps = max((self.peak - own + len(x) for own, x in zip(self.peaks, self.pieces, strict=True)), default=0)
        self._spectra = torch.zeros(0, 0, dtype=torch.complex64)

    def __len__(self) -> int:
        return len(self.pieces)

    def put(self, speech: Tensor, index: Tensor) -> Tensor:
        """Speech [B, T], each row in the room of its index [B], or all in that of [1]; power and direct path stay."""
        samples = speech.shape[1]
        kept = self._kept(samples) if speech.device.type == "cpu" and speech.dtype == torch.float32 else None
        spectrum = self._fresh(speech, index) if kept is None else kept.index_select(0, index)
        return keep_power(multiply(speech, spectrum, self.taps, self.peak), speech)

    def _fresh(self, speech: Tensor, index: Tensor) -> Tensor:
        return spectra(self._responses(index.tolist()).to(speech), speech.shape[1])

    def _responses(self, numbers: Iterable[int]) -> Tensor:
        """Responses [n, taps] with their peaks at one place."""
        numbers = list(numbers)
        out = torch.zeros(len(numbers), self.taps)
        for row, number in zip(out, numbers, strict=True):
            piece, place = self.pieces[number], self.peak - self.peaks[number]
            row[place : place + len(piece)] = piece
        return out

    def _kept(self, samples: int) -> Tensor | None:
        """Spectra of all responses for crops of this length, where memory is spent on them."""
        bins = fft_size(samples, self.taps) // 2 + 1
        if 8 * bins * len(self) > SPECTRA:
            return None
        if self._spectra.shape != (len(self), bins):
            self._spectra = spectra(self._responses(range(len(self))), samples)
        return self._spectra


def simulate_rooms(
    count: int,
    *,
    seed: int = 0,
    sample_rate: int = 16000,
    width: Sequence[float] = (3.0, 10.0),
    height: Sequence[float] = (2.4, 4.0),
    rt60: Sequence[float] = (0.15, 0.8),
    distance: Sequence[float] = (0.3, 5.0),
) -> list[np.ndarray]:
    """Impulse responses of drawn rooms; the same seed gives the same ones. Needs the extra `rooms`; about 20 ms a room.

    Args:
        count: How many.
        seed: Of the draws.
        sample_rate: In Hz.
        width, height: Range of length and width, and of the height, in metres.
        rt60: Range of the reverberation time, in seconds. A room whose walls cannot have it gets the nearest one they can.
        distance: Range from the mouth to the microphone, in metres, as far as the room has it.

    Returns:
        float32 [R_i] each, with a peak of 1, as long as the reverberation time.

    Raises:
        ConfigError: ``E_EXTRA`` without pyroomacoustics; an argument that makes no sense.

    Reflections of the first 80 ms come from image sources (Allen and Berkley, "Image method for efficiently simulating
    small-room acoustics", JASA 1979) by pyroomacoustics (Scheibler et al., ICASSP 2018), what follows is noise that decays at
    the reverberation time: all images of a second of it would take seconds a room.
    """
    ranges = {"width": width, "height": height, "rt60": rt60, "distance": distance}
    for name, limits in ranges.items():
        if len(limits) != 2 or not 0 < limits[0] <= limits[1] < math.inf:
            raise ConfigError(f"simulated_rooms: {name} must be two numbers above 0, the lower one first, got {limits!r}")
    if min(width[0], height[0]) <= 4 * FROM_WALL or count < 0 or seed < 0:
        raise ConfigError(f"simulated_rooms: a room measures more than {4 * FROM_WALL} m; count and seed are 0 or more")
    extras.need("pyroomacoustics", extra="rooms")
    draw = np.random.default_rng(seed)
    return [_simulated(draw, sample_rate, **ranges) for _ in range(count)]


def _simulated(
    draw: np.random.Generator,
    sample_rate: int,
    width: Sequence[float],
    height: Sequence[float],
    rt60: Sequence[float],
    distance: Sequence[float],
) -> np.ndarray:
    size = np.array([_within(draw, width), _within(draw, width), _within(draw, height)])
    microphone = draw.uniform(FROM_WALL, size - FROM_WALL)
    mouth = _mouth(draw, size, microphone, _within(draw, distance))
    absorption = float(np.clip(_sabine(size, _within(draw, rt60)), *ABSORPTION))
    time = _sabine(size, absorption)  # Sabine's formula is its own inverse
    early = _early(size, mouth, microphone, absorption, sample_rate)
    length = max(len(early), round(time * sample_rate))
    response = np.zeros(length)
    response[: len(early)] = early
    # The noise goes on from the level at which the images end.
    joint = early[-(len(early) // 4) :]
    level, middle = np.sqrt((joint**2).mean()), len(early) - len(joint) / 2
    decay = np.exp(-math.log(1000) / time * (np.arange(len(early), length) - middle) / sample_rate)
    response[len(early) :] = level * decay * draw.normal(size=length - len(early))
    return (response / np.abs(response).max()).astype(np.float32)


def _within(draw: np.random.Generator, limits: Sequence[float]) -> float:
    low, high = limits
    return float(draw.uniform(low, high))


def _mouth(draw: np.random.Generator, size: np.ndarray, microphone: np.ndarray, distance: float) -> np.ndarray:
    """A place at the distance in a drawn direction; where that is outside, the nearest place within the room."""
    direction = draw.normal(size=3) * [1.0, 1.0, 0.3]  # people are more beside each other than above
    place = microphone + distance * direction / np.linalg.norm(direction)
    place = np.clip(place, FROM_WALL, size - FROM_WALL)
    if np.linalg.norm(place - microphone) < FROM_WALL / 3:  # in a corner: towards the middle of the room
        place = microphone + FROM_WALL / 3 * (size / 2 - microphone) / np.linalg.norm(size / 2 - microphone)
    return place


def _sabine(size: np.ndarray, value: float) -> float:
    """Reverberation time of a box from the absorption of its walls, or the other way round."""
    volume, surface = size.prod(), 2 * (size[0] * size[1] + size[1] * size[2] + size[0] * size[2])
    return float(24 * math.log(10) / SOUND * volume / (surface * value))


def _early(size: np.ndarray, mouth: np.ndarray, microphone: np.ndarray, absorption: float, sample_rate: int) -> np.ndarray:
    """The reflections up to the time from which the order of the images misses some."""
    acoustics = extras.need("pyroomacoustics", extra="rooms")
    order = math.ceil(EARLY * SOUND / size.min()) + 1
    box = acoustics.ShoeBox(size, fs=sample_rate, materials=acoustics.Material(absorption), max_order=order)
    box.add_source(mouth)
    box.add_microphone(microphone)
    box.compute_rir()
    arrival = np.linalg.norm(mouth - microphone) / SOUND
    whole = max((order - 1) * size.min() / SOUND, arrival + EARLY / 4)
    return np.asarray(box.rir[0][0])[: round(whole * sample_rate) + 40]  # the filter of a fractional delay is 81 taps long
