"""Drawn mixtures: their levels, their speakers, and that a number always gives the same one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from voxid.data.mixer import Mixer
from voxid.data.mixtures import Rendered
from voxid.errors import ConfigError, DataError

RATE = 16000
Pair = tuple[np.ndarray, str]


def db(waveform: np.ndarray) -> float:
    """RMS in dBFS."""
    return float(10 * np.log10(np.mean(waveform.astype(np.float64) ** 2)))


def tone(frequency: float, seconds: float = 2.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)


def frequency_of(waveform: np.ndarray) -> int:
    """Hz of its strongest line."""
    return round(float(np.abs(np.fft.rfft(waveform)).argmax()) * RATE / len(waveform))


# Anna has four recordings, ben and carl one each; who is heard is told by the frequency.
SPEECH: list[Pair] = [(tone(200), "anna")] * 4 + [(tone(400), "ben"), (0.01 * tone(600, 0.3), "carl")]
NOISE = np.random.default_rng(1).normal(0, 0.1, 5000).astype(np.float32)


def test_levels_and_sums() -> None:
    mixer = Mixer(SPEECH, seconds=0.5, noises=[NOISE], noise_snr_db=(3.0, 9.0), gain_db=2.0)
    gains, ratios = [], []
    for number in range(60):
        rendered = mixer(number)
        first, second = (db(source) for source in rendered.sources)
        assert first == pytest.approx(-26, abs=0.01)
        gains.append(second - first)
        ratios.append(first - db(rendered.noise))
        np.testing.assert_allclose(rendered.mixture, rendered.sources.sum(0) + rendered.noise, atol=1e-6)
    assert -2.01 < min(gains) < -1.5
    assert 1.5 < max(gains) < 2.01
    assert 2.99 < min(ratios) < 4
    assert 8 < max(ratios) < 9.01


def test_speakers_differ_and_come_equally_often() -> None:
    mixer = Mixer(SPEECH, seconds=0.5)
    heard = [[frequency_of(source) for source in mixer(number).sources] for number in range(300)]
    assert all(len(set(pair)) == 2 for pair in heard)
    counts = np.unique(np.array(heard), return_counts=True)
    assert counts[0].tolist() == [200, 400, 600]
    assert counts[1].min() > 160  # 200 each, standard deviation 8


def test_one_voice_and_three() -> None:
    assert Mixer(SPEECH, seconds=0.5, voices=1)(0).sources.shape == (1, 8000)
    assert sorted(map(frequency_of, Mixer(SPEECH, seconds=0.5, voices=3)(0).sources)) == [200, 400, 600]


def test_shares_of_noise() -> None:
    mixer = Mixer(SPEECH, seconds=0.1, noises=[NOISE], noise_prob=0.25)
    assert 25 < sum(mixer(number).noise.any() for number in range(200)) < 75
    assert not any(Mixer(SPEECH, seconds=0.1, noises=[NOISE], noise_prob=0.0)(number).noise.any() for number in range(20))


def test_noise_shorter_than_the_mixture_is_looped() -> None:
    noise = Mixer(SPEECH, seconds=0.5, noises=[NOISE])(3).noise
    np.testing.assert_array_equal(noise[:3000], noise[5000:])


def test_pauses_are_not_drawn() -> None:
    rare = np.zeros(20 * RATE, np.float32)
    rare[100_000:100_400] = tone(300, 0.025)
    mixer = Mixer([(rare, "anna"), (tone(400), "ben")], seconds=0.2)
    assert all(np.abs(mixer(number).sources).max(axis=1).min() > 0 for number in range(20))


def test_rooms_keep_level_and_direct_path() -> None:
    hiss = np.random.default_rng(2).uniform(-1, 1, RATE).astype(np.float32)
    response = np.zeros(400, np.float32)
    response[[50, 250]] = 1.0, 0.5  # an echo 200 samples behind a direct path at 50
    dry = Mixer([(hiss, "anna")], voices=1, seconds=0.5)
    wet = Mixer([(hiss, "anna")], voices=1, seconds=0.5, responses=[response])
    for number in range(4):
        before, after = dry(number).sources[0], wet(number).sources[0]
        assert db(after) == pytest.approx(db(before), abs=0.01)
        expected = np.convolve(before.astype(np.float64), response)[50 : 50 + len(before)]
        np.testing.assert_allclose(after, expected * np.sqrt(np.sum(before**2) / np.sum(expected**2)), atol=1e-5)


def test_seed_and_number_decide() -> None:
    arguments: dict[str, Any] = {"seconds": 0.3, "noises": [NOISE], "responses": [NOISE[:300]], "reverb_prob": 0.5}
    mixer = Mixer(SPEECH, seed=1, **arguments)
    forwards = [mixer(number) for number in range(6)]
    again = Mixer(SPEECH, seed=1, **arguments)
    backwards = [again(number) for number in reversed(range(6))][::-1]
    for first, second in zip(forwards, backwards, strict=True):
        np.testing.assert_array_equal(first.mixture, second.mixture)
        np.testing.assert_array_equal(first.sources, second.sources)
    everything = np.stack([x.mixture for x in forwards] + [Mixer(SPEECH, seed=2, **arguments)(0).mixture])
    assert len(np.unique(everything, axis=0)) == 7


class Mixtures(Dataset[torch.Tensor]):
    def __init__(self, mixer: Mixer) -> None:
        self.mixer = mixer

    def __len__(self) -> int:
        return 6

    def __getitem__(self, number: int) -> torch.Tensor:
        rendered: Rendered = self.mixer(number)
        return torch.from_numpy(rendered.mixture)


def test_workers_change_nothing() -> None:
    mixtures = Mixtures(Mixer(SPEECH, seconds=0.2, noises=[NOISE]))
    alone, shared = (torch.cat(list(DataLoader(mixtures, batch_size=2, num_workers=workers))) for workers in (0, 2))
    assert torch.equal(alone, shared)


class Elsewhere:
    """A recording that is read piece by piece, and counts what it gave."""

    def __init__(self, waveform: np.ndarray) -> None:
        self.waveform, self.given = waveform, 0

    def __len__(self) -> int:
        return len(self.waveform)

    def read(self, start: int, stop: int) -> np.ndarray:
        piece = self.waveform[start:stop]
        self.given += len(piece)
        return piece


def test_recordings_that_are_elsewhere_give_the_same_mixtures_and_are_read_when_they_are_drawn() -> None:
    arguments: dict[str, Any] = {"seconds": 0.5, "noise_prob": 0.5, "seed": 3}
    stored = [(Elsewhere(waveform), speaker) for waveform, speaker in SPEECH]
    noise = Elsewhere(np.tile(NOISE, 9))
    mixer = Mixer(stored, noises=[noise], **arguments)
    assert max(recording.given for recording in (noise, *(recording for recording, _ in stored))) <= 4096
    held = Mixer(SPEECH, noises=[noise.waveform], **arguments)
    for number in range(20):
        np.testing.assert_array_equal(mixer(number).mixture, held(number).mixture)
        np.testing.assert_array_equal(mixer(number).sources, held(number).sources)


def test_a_recording_elsewhere_that_is_silent_is_refused() -> None:
    late = np.zeros(20_000, np.float32)
    for waveform, message in ((late, "speech 6: silent"), (late[:0], "speech 6: no samples")):
        with pytest.raises(DataError, match=message):
            Mixer([*SPEECH, (Elsewhere(waveform), "dora")])
    late[-1] = 0.1
    assert len(Mixer([*SPEECH, (Elsewhere(late), "dora")], seconds=0.1, voices=4)(0).sources) == 4


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"speech": SPEECH[:4]}, DataError, "a mixture has 2 speakers, there are 1"),
        ({"speech": [*SPEECH, (np.zeros(9), "dora")]}, DataError, "speech 6: silent"),
        ({"speech": [*SPEECH, (np.full(9, np.nan), "dora")]}, DataError, "speech 6: NaN"),
        ({"speech": [*SPEECH, (np.ones((2, 9)), "dora")]}, DataError, r"speech 6: expected a waveform \[T\], got \[2, 9\]"),
        ({"noises": [NOISE, np.zeros(0)]}, DataError, "noise 1: expected a waveform"),
        ({"responses": [np.zeros(5)]}, DataError, "response 0: silent"),
        ({"seconds": 0}, ConfigError, "seconds above 0"),
        ({"voices": 0}, ConfigError, "voices of 1 or more"),
        ({"seed": -1}, ConfigError, "a seed of 0 or more"),
        ({"gain_db": -1.0}, ConfigError, "gain_db is 0"),
        ({"noise_prob": 1.5}, ConfigError, "noise_prob is a share"),
        ({"reverb_prob": float("nan")}, ConfigError, "reverb_prob is a share"),
        ({"noise_snr_db": (9.0, 3.0)}, ConfigError, "the lower one first"),
    ],
)
def test_mistakes(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Mixer(**({"speech": SPEECH} | arguments))
