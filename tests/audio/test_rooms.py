"""Simulated rooms: reverberation time and distance as they come out; and rooms at hand for batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voxid.audio import rooms as rooms_module
from voxid.audio.effects import reverberate
from voxid.audio.rooms import Rooms, simulate_rooms
from voxid.errors import ConfigError


def decay_time(response: np.ndarray, rate: int) -> float:
    """Reverberation time from the slope of Schroeder's integral between -5 and -25 dB."""
    energy = np.cumsum(response[::-1].astype(np.float64) ** 2)[::-1]
    level = 10 * np.log10(energy / energy[0] + 1e-12)
    inside = (level < -5) & (level > -25)
    return -60 / np.polyfit(np.arange(len(level))[inside] / rate, level[inside], 1)[0]


@pytest.mark.parametrize("rt60", [0.25, 0.5, 0.8])
def test_a_room_has_the_reverberation_time_asked_for(rt60: float) -> None:
    pytest.importorskip("pyroomacoustics")
    made = simulate_rooms(6, rt60=(rt60, rt60), width=(4.0, 7.0), distance=(1.0, 2.0))
    assert np.median([decay_time(response, 16000) for response in made]) == pytest.approx(rt60, rel=0.2)


def test_rooms_are_drawn_by_their_seed() -> None:
    pytest.importorskip("pyroomacoustics")
    first, again, other = simulate_rooms(3), simulate_rooms(3), simulate_rooms(3, seed=1)
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, same)
    assert not any(np.array_equal(one, two) for one, two in zip(first, other, strict=True))
    np.testing.assert_array_equal(simulate_rooms(2)[1], first[1])  # the first n of any number are the same
    for response in first:
        assert response.dtype == np.float32
        assert np.abs(response).max() == 1
        assert np.isfinite(response).all()


def test_near_is_dry_and_far_is_wet() -> None:
    pytest.importorskip("pyroomacoustics")

    def direct_share(distance: float) -> float:
        made = simulate_rooms(8, rt60=(0.5, 0.5), width=(6, 8), distance=(distance, distance))
        return float(np.median([_direct(response) for response in made]))

    assert direct_share(0.3) > 2 * direct_share(3.0)


def _direct(response: np.ndarray) -> float:
    peak = int(np.abs(response).argmax())
    return float((response[: peak + 40] ** 2).sum() / (response**2).sum())


def test_rooms_at_another_rate_last_as_long() -> None:
    pytest.importorskip("pyroomacoustics")
    slow, quick = (simulate_rooms(2, sample_rate=rate, rt60=(0.4, 0.4)) for rate in (8000, 16000))
    for one, two in zip(slow, quick, strict=True):
        assert len(one) / 8000 == pytest.approx(len(two) / 16000, rel=0.02)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rt60": (0.8, 0.2)}, "rt60"),
        ({"width": (0.0, 3.0)}, "width"),
        ({"width": (1.0, 3.0)}, "1.2 m"),
        ({"distance": (1.0,)}, "distance"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_values_are_named(options: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        simulate_rooms(1, **options)


@pytest.fixture
def responses() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    made = [draw.normal(size=size) * np.exp(-np.arange(size) / 100) for size in (900, 500, 40, 1)]
    for response, peak in zip(made, (25, 400, 0, 0), strict=True):
        response[peak] = 9.0
    return [response.astype(np.float32) for response in made]


def test_a_batch_is_put_into_its_rooms(responses: list[np.ndarray]) -> None:
    rooms = Rooms(responses, 16000)
    speech, index = torch.randn(4, 3000), torch.tensor([3, 1, 0, 2])
    got = rooms.put(speech, index)
    for row, number in enumerate(index.tolist()):
        response = torch.from_numpy(responses[number])
        if number == 1:  # what is long before the direct path is left out
            response = response[400 - 320 :]
        torch.testing.assert_close(got[row], reverberate(speech[row : row + 1], response[None])[0], atol=1e-4, rtol=1e-4)
    same = rooms.put(speech, torch.tensor([2]))
    torch.testing.assert_close(same[1], rooms.put(speech[1:2], torch.tensor([2]))[0])


def test_spectra_that_are_kept_change_nothing(responses: list[np.ndarray], monkeypatch) -> None:
    rooms, index = Rooms(responses, 16000), torch.tensor([0, 1])
    for samples in (2000, 2000, 3000):  # made, used again, made for another length
        speech = torch.randn(2, samples)
        with_spectra = rooms.put(speech, index)
        with monkeypatch.context() as patch:
            patch.setattr(rooms_module, "SPECTRA", 0)
            torch.testing.assert_close(rooms.put(speech, index), with_spectra)


def test_long_responses_are_cut(responses: list[np.ndarray]) -> None:
    rooms = Rooms(responses, 16000, seconds=0.01)
    assert (rooms.peak, rooms.taps) == (320, 320 + 160)
    speech = torch.randn(1, 2000)
    cut = torch.from_numpy(responses[0][: 25 + 160])[None]
    torch.testing.assert_close(rooms.put(speech, torch.tensor([0])), reverberate(speech, cut), atol=1e-4, rtol=1e-4)
    assert len(Rooms([], 16000)) == 0
