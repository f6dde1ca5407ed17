"""Crops from the decoded cache."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from voxid.data.dataset import SpeakerDataset
from voxid.data.pcm_cache import PCMCache
from voxid.data.sampler import Crop
from voxid.errors import DataError


class Ramp:
    """Utterance u holds the samples 0, 1, 2 ... of length 100 (u + 1), divided by 1000."""

    def num_samples(self, utterance: int) -> int:
        return 100 * (utterance + 1)

    def read(self, utterance: int, start: int, stop: int) -> np.ndarray:
        return np.arange(start, stop, dtype=np.float32) / 1000


def test_a_crop_is_a_stretch_of_its_utterance() -> None:
    dataset = SpeakerDataset(Ramp(), [0, 1], 2)
    waveform, label = dataset[[Crop(1, 0, 50, 0.0), Crop(1, 0, 50, 0.999999), Crop(0, 0, 50, 0.5)]]
    assert label.tolist() == [1, 1, 0]
    np.testing.assert_allclose(waveform[0] * 1000, np.arange(50), atol=1e-3)
    np.testing.assert_allclose(waveform[1] * 1000, np.arange(150, 200), atol=1e-3)
    np.testing.assert_allclose(waveform[2] * 1000, np.arange(25, 75), atol=1e-3)


def test_a_short_utterance_is_repeated() -> None:
    waveform, _ = SpeakerDataset(Ramp(), [0], 1)[[Crop(0, 0, 250, 0.7)]]
    np.testing.assert_allclose(waveform[0] * 1000, np.arange(250) % 100, atol=1e-3)


def test_each_speed_is_a_class_of_its_own() -> None:
    dataset = SpeakerDataset(Ramp(), [0, 1], 2, (1.0, 0.9, 1.1))
    waveform, label = dataset[[Crop(1, speed, 120, 0.3) for speed in range(3)]]
    assert label.tolist() == [1, 3, 5]
    assert dataset.num_classes == 6
    assert waveform.shape == (3, 120)
    slopes = np.diff(waveform.numpy()[:, 30:90], axis=1).mean(axis=1) * 1000
    np.testing.assert_allclose(slopes, [1.0, 0.9, 1.1], atol=0.02)


def test_the_cache_holds_what_the_files_hold(tmp_path) -> None:
    draw = np.random.default_rng(0)
    waves = [draw.uniform(-0.9, 0.9, size) for size in (1000, 16000)]
    paths = [tmp_path / "a.wav", tmp_path / "b.flac"]
    for path, wave in zip(paths, waves, strict=True):
        soundfile.write(path, wave, 16000)
    cache = PCMCache(paths, tmp_path / "cache")
    for number, path in enumerate(paths):
        assert cache.num_samples(number) == len(waves[number])
        np.testing.assert_array_equal(cache.read(number, 10, 90), soundfile.read(path, dtype="float32")[0][10:90])
    files = sorted((tmp_path / "cache").iterdir())
    times = [path.stat().st_mtime_ns for path in files]
    PCMCache(paths, tmp_path / "cache")
    assert [path.stat().st_mtime_ns for path in sorted((tmp_path / "cache").iterdir())] == times  # not decoded again
    soundfile.write(paths[0], waves[0][:500], 16000)
    assert PCMCache(paths, tmp_path / "cache").num_samples(0) == 500  # a file that changed is


def test_a_few_broken_files_are_skipped_and_many_are_an_error(tmp_path) -> None:
    paths = [tmp_path / f"{number}.wav" for number in range(40)]
    for path in paths:
        soundfile.write(path, np.full(400, 0.1), 16000)
    paths[7].write_bytes(b"")
    cache = PCMCache(paths, tmp_path / "cache")
    assert list(cache.rejected) == [str(paths[7])]
    assert cache.num_samples(7) == 0
    np.testing.assert_allclose(cache.read(8, 0, 400), 0.1, atol=1e-4)
    for path in paths[:3]:
        path.write_bytes(b"")
    with pytest.raises(DataError, match="4 of 40") as caught:
        PCMCache(paths, tmp_path / "cache")
    assert caught.value.code == "E_CORPUS"
