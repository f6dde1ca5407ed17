"""Crops from the decoded cache."""

from __future__ import annotations

import logging
import pickle

import numpy as np
import pytest
import soundfile

from voxid.audio import io
from voxid.data.dataset import SpeakerDataset
from voxid.data.pcm_cache import PCMCache
from voxid.data.pcm_files import PCMFiles
from voxid.data.sampler import Crop
from voxid.errors import AudioError, DataError


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


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_crops_by_seeking_are_those_of_the_cache(tmp_path, suffix: str) -> None:
    draw = np.random.default_rng(0)
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, draw.uniform(-0.5, 0.5, 40000), 16000)
    cache, files = PCMCache([path], tmp_path / "cache"), PCMFiles([path], [2.5])
    assert files.num_samples(0) == cache.num_samples(0) == 40000
    for start, stop in ((0, 400), (12345, 20000), (39000, 40000)):
        np.testing.assert_allclose(files.read(0, start, stop), cache.read(0, start, stop), atol=1e-4)
    assert len(PCMFiles([path], [3.0]).read(0, 39000, 47000)) == 1000  # the manifest says too much
    with pytest.raises(AudioError):
        PCMFiles([path], [9.0]).read(0, 120000, 130000)


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


@pytest.mark.parametrize("harm", ["no samples", "short samples", "no index", "broken index", "index of another", "negative"])
def test_a_damaged_cache_is_made_anew(tmp_path, harm: str) -> None:
    wave = np.random.default_rng(0).uniform(-0.9, 0.9, 1000)
    soundfile.write(tmp_path / "a.wav", wave, 16000)
    PCMCache([tmp_path / "a.wav"], tmp_path / "cache")
    (index,), (samples,) = (list((tmp_path / "cache").glob(f"*.{suffix}")) for suffix in ("json", "pcm"))
    whole = index.read_text()
    {
        "no samples": samples.unlink,
        "short samples": lambda: samples.write_bytes(samples.read_bytes()[:-2]),
        "no index": index.unlink,
        "broken index": lambda: index.write_text(whole[:-3]),
        "index of another": lambda: index.write_text("[3]"),
        "negative": lambda: index.write_text(whole.replace("1000", "2000, -1000")),
    }[harm]()
    cache = PCMCache([tmp_path / "a.wav"], tmp_path / "cache")
    np.testing.assert_allclose(cache.read(0, 0, 1000), wave, atol=1e-4)
    assert index.read_text() == whole


@pytest.mark.parametrize(("code", "kept"), [("E_EXTRA", False), ("E_PERMISSION", False), ("E_IO", False), ("E_HEADER", True)])
def test_a_reason_that_may_pass_is_not_kept(tmp_path, monkeypatch, code: str, kept: bool) -> None:
    paths = [tmp_path / f"{number}.wav" for number in range(40)]
    for path in paths:
        soundfile.write(path, np.full(400, 0.1), 16000)
    load = io.load

    def refusing(path, **options):
        if path == paths[7]:
            raise AudioError("not now", code)
        return load(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(io, "load", refusing)
        now = PCMCache(paths, tmp_path / "cache")
    assert (now.rejected, now.num_samples(7)) == ({str(paths[7]): code}, 0)
    later = PCMCache(paths, tmp_path / "cache")
    assert later.num_samples(7) == (0 if kept else 400)
    np.testing.assert_array_equal(now.read(8, 0, 400), later.read(8, 0, 400))


def test_a_pickled_cache_holds_no_samples(tmp_path) -> None:
    wave = np.random.default_rng(0).uniform(-0.9, 0.9, 100_000)
    soundfile.write(tmp_path / "a.wav", wave, 16000)
    cache = PCMCache([tmp_path / "a.wav"], tmp_path / "cache")
    cache.read(0, 0, 10)
    pickled = pickle.dumps(cache)
    assert len(pickled) < 2000
    np.testing.assert_array_equal(pickle.loads(pickled).read(0, 500, 900), cache.read(0, 500, 900))
    next((tmp_path / "cache").glob("*.pcm")).write_bytes(b"")
    with pytest.raises(DataError, match="decoded samples are gone"):
        pickle.loads(pickled).read(0, 500, 900)


def test_warnings_are_told_by_code_and_integers_are_scaled(tmp_path, caplog) -> None:
    wave = np.random.default_rng(0).uniform(-1, 1, 1000)
    wave[3] = 1.0
    for name, gain in (("loud", 4.0), ("whole", 20000.0), ("whole_too", 30000.0)):
        soundfile.write(tmp_path / f"{name}.wav", gain * wave, 16000, subtype="FLOAT")
    paths = [tmp_path / f"{name}.wav" for name in ("loud", "whole", "whole_too")]
    with caplog.at_level(logging.WARNING, "voxid"):
        cache = PCMCache(paths, tmp_path / "cache")
    assert [record.getMessage().split(", e.g.")[0] for record in caplog.records] == ["W_SCALE: 2 recordings"]
    assert "whole.wav: samples up to 20000" in caplog.text
    np.testing.assert_allclose(cache.read(0, 0, 1000), np.clip(4 * wave, -1, 1), atol=1e-4)
    for number in (1, 2):
        np.testing.assert_allclose(cache.read(number, 0, 1000), wave, atol=1e-4)
