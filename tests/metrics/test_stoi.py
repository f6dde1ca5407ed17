"""STOI and ESTOI: against pystoi, and what is defined where they are not."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from voxid.errors import DataError
from voxid.metrics import stoi as module
from voxid.metrics.stoi import SHORTEST, estoi, stoi

MEASURES = (stoi, estoi)


def speech(seconds: float, rate: int = 10_000, seed: int = 0) -> NDArray:
    """Noise in syllables, with pauses."""
    draw = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    syllables = np.clip(np.sin(2 * np.pi * 3 * time) + 0.3 * np.sin(2 * np.pi * 0.7 * time), 0, None)
    return 0.2 * syllables * draw.standard_normal(len(time))


def with_noise(target: NDArray, level: float) -> NDArray:
    return target + level * np.random.default_rng(1).standard_normal(target.shape)


@pytest.mark.parametrize("rate", [8000, 10_000, 11_025, 16_000, 48_000])
@pytest.mark.parametrize("level", [0.01, 0.2])
def test_they_are_those_of_pystoi(rate: int, level: float) -> None:
    reference = pytest.importorskip("pystoi").stoi
    target = speech(1.5, rate)
    estimate = with_noise(target, level)
    assert stoi(estimate, target, rate).item() == pytest.approx(reference(target, estimate, rate), abs=1e-9)
    assert estoi(estimate, target, rate).item() == pytest.approx(reference(target, estimate, rate, extended=True), abs=1e-6)


@pytest.mark.parametrize("measure", MEASURES)
def test_less_noise_is_more_and_level_does_not_matter(measure: module.Compare) -> None:
    target = speech(1.5)
    values = [measure(with_noise(target, level), target, 10_000).item() for level in (0.5, 0.1, 0.02, 0.0)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(1.0)
    estimate = with_noise(target, 0.1)
    for scale in (1e-12, 1e12):
        assert measure(scale * estimate, target / scale, 10_000).item() == pytest.approx(values[1], abs=1e-9)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_batch_is_its_items_each_to_its_own_end(measure: module.Compare) -> None:
    target = np.stack([[speech(1.5, seed=2 * b + s) for s in range(2)] for b in range(2)])
    estimate, ends = with_noise(target, 0.1), torch.tensor([10_000, 15_000])
    found = measure(torch.from_numpy(estimate), torch.from_numpy(target), 10_000, ends)
    assert (found.shape, found.dtype) == ((2, 2), torch.float64)
    for b, end in enumerate(ends.tolist()):
        for s in range(2):
            assert found[b, s].item() == measure(estimate[b, s, :end], target[b, s, :end], 10_000).item()


@pytest.mark.parametrize("measure", MEASURES)
def test_segments_go_through_in_blocks(measure: module.Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    target = speech(2.0)
    estimate = with_noise(target, 0.1)
    whole = measure(estimate, target, 10_000).item()
    monkeypatch.setattr(module, "_BLOCK", 7)
    assert measure(estimate, target, 10_000).item() == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
def test_what_has_no_intelligibility_is_nan_and_a_silent_estimate_has_none(measure: module.Compare) -> None:
    target = speech(1.0)
    short = np.where(np.arange(10_000) < 2000, target, 0.0)  # sounds for less than a segment
    broken = np.where(np.arange(10_000) == 50, np.nan, target)
    for bad in (np.zeros(10_000), short, broken):
        assert math.isnan(measure(target, bad, 10_000).item())
    assert math.isnan(measure(broken, target, 10_000).item())
    assert measure(np.zeros(10_000), target, 10_000).item() == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("measure", MEASURES)
def test_the_shortest_waveform_is_one_segment(measure: module.Compare) -> None:
    target = np.random.default_rng(0).standard_normal(SHORTEST)
    assert math.isfinite(measure(with_noise(target, 0.5), target, 10_000).item())
    with pytest.raises(DataError, match=r"0\.41 s of sound or more") as caught:
        measure(target[1:], target[1:], 10_000)
    assert caught.value.code == "E_SHORT"


@pytest.mark.parametrize("rate", [0, -1, 16_000.5, True])
def test_a_rate_is_a_whole_number(rate: float) -> None:
    with pytest.raises(DataError, match="whole Hz") as caught:
        stoi(np.ones(9000), np.ones(9000), rate)
    assert caught.value.code == "E_RATE"
