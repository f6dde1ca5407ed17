"""separate: each source one file from end to end, whatever the net makes of order, level and sign."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

import voxid
from voxid.errors import AudioError, ConfigError, DataError, ModelError
from voxid.models.enhancement.phasen import Phasen


def two_tones(seconds: float, rate: int = 16000) -> np.ndarray:
    """A low and a high tone [2, T], each with a slow swell of its own."""
    time = np.arange(round(seconds * rate)) / rate
    low = 0.2 * np.sin(2 * np.pi * 300 * time) * (1.2 + np.sin(2 * np.pi * 0.3 * time))
    high = 0.1 * np.sin(2 * np.pi * 2500 * time) * (1.2 + np.cos(2 * np.pi * 0.2 * time))
    return np.stack([low, high]).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
def test_the_order_stays_though_the_net_changes_it(bands, rate: int) -> None:
    sources = two_tones(31.3, rate)
    done = voxid.separate((sources.sum(axis=0), rate), model=bands(8000), window=5.0, overlap=0.4)
    found = (
        done.waveforms
        if np.abs(done.waveforms[0] @ sources[0]) > np.abs(done.waveforms[1] @ sources[0])
        else done.waveforms[::-1]
    )
    assert done.waveforms.shape == sources.shape
    assert done.waveform is done.waveforms
    np.testing.assert_allclose(found[:, rate // 10 : -rate // 10], sources[:, rate // 10 : -rate // 10], atol=0.01)
    assert (done.by_correlation, done.by_voice, done.kept) == (6, 0, 0)
    assert "6 by the overlap" in done.describe()


def test_without_tracking_the_order_is_lost(bands) -> None:
    """The complaint: permutation lost after chunking. This shows that the test above looks for it."""
    sources = two_tones(31.3)
    found = voxid.separate((sources.sum(axis=0), 16000), model=bands(), window=5.0, overlap=0.4, tracking=False).waveforms
    error = min(np.abs(found - sources).mean(), np.abs(found[::-1] - sources).mean())
    assert error > 0.02


def test_what_fits_into_a_window_asks_for_no_order(bands) -> None:
    sources = two_tones(4.0)
    done = voxid.separate((sources.sum(axis=0), 16000), model=bands(swaps=False))
    np.testing.assert_allclose(done.waveforms[:, 1600:-1600], sources[:, 1600:-1600], atol=0.01)
    assert (done.by_correlation, done.by_voice, done.kept) == (0, 0, 0)


@pytest.mark.parametrize("gains", [(0.05, 0.05), (0.5, -0.2), (30.0, 20.0)])
def test_levels_and_signs_of_the_net_do_not_matter(bands, gains: tuple[float, float]) -> None:
    """The complaint: output too quiet. A net trained by SI-SDR has no level of its own."""
    sources = two_tones(12.0)
    mixture = sources.sum(axis=0)
    found = voxid.separate((mixture, 16000), model=bands(swaps=False, gains=gains)).waveforms
    np.testing.assert_allclose(np.std(found, axis=1), np.std(sources, axis=1), rtol=0.15)
    assert (np.sum(found * sources, axis=1) > 0).all()
    raw = voxid.separate((mixture, 16000), model=bands(swaps=False, gains=gains), rescale=False).waveforms
    error = raw - sources * np.array(gains)[:, None]
    assert np.abs(error[:, 1600:-1600]).max() < 0.01 * max(np.abs(gains))


@pytest.mark.parametrize("length", [1, 2, 5, 441, 44101])
@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_any_length_and_rate(bands, length: int, rate: int) -> None:
    done = voxid.separate((np.random.default_rng(0).normal(0, 0.1, length), rate), model=bands())
    assert done.waveforms.shape == (2, length)
    assert (done.rate, done.seconds, done.num_sources) == (rate, length / rate, 2)


def test_silence_has_silent_sources(bands) -> None:
    wave = np.zeros(25 * 16000, np.float32)
    assert not voxid.separate((wave, 16000), model=bands()).waveforms.any()
    wave[: 4 * 16000] = two_tones(4.0).sum(axis=0)
    found = voxid.separate((wave, 16000), model=bands()).waveforms
    assert np.isfinite(found).all()
    assert np.abs(found[:, 12 * 16000 :]).max() < 1e-3


def test_one_channel_goes_and_the_others_are_named(bands) -> None:
    sources = two_tones(3.0)
    done = voxid.separate((sources, 16000), model=bands(swaps=False))
    np.testing.assert_allclose(done.waveforms[0, 1600:-1600], sources[0, 1600:-1600], atol=0.01)
    assert any(warning.startswith("W_CHANNELS") for warning in done.warnings)
    mixed = voxid.separate((sources, 16000), model=bands(swaps=False), channel="mix")
    np.testing.assert_allclose(mixed.waveforms[:, 1600:-1600], sources[:, 1600:-1600] / 2, atol=0.01)
    assert mixed.warnings == ()
    with pytest.raises(ConfigError, match="one channel"):
        voxid.separate((sources, 16000), model=bands(), channel="all")


def test_files_of_a_folder_or_a_pattern(bands, tmp_path) -> None:
    sources = two_tones(12.0, 22050)
    soundfile.write(tmp_path / "talk.flac", sources.sum(axis=0), 22050)
    folder = voxid.separate(tmp_path / "talk.flac", output=tmp_path / "out", model=bands())
    assert folder.outputs == (str(tmp_path / "out" / "talk_1.wav"), str(tmp_path / "out" / "talk_2.wav"))
    assert folder.waveforms is None
    pattern = voxid.separate((sources.sum(axis=0), 22050), output=tmp_path / "a.wav", model=bands(), subtype="FLOAT")
    assert pattern.outputs == (str(tmp_path / "a_1.wav"), str(tmp_path / "a_2.wav"))
    for name in (*folder.outputs, *pattern.outputs):
        assert (soundfile.info(name).frames, soundfile.info(name).samplerate) == (len(sources[0]), 22050)
    with pytest.raises(ConfigError, match="no name"):
        voxid.separate((sources[0], 22050), output=tmp_path, model=bands())
    with pytest.raises(AudioError, match="accepted"):
        voxid.separate((sources[0], 22050), output=tmp_path / "a.m4a", model=bands())


def test_an_error_leaves_no_file_of_any_source(bands, tmp_path) -> None:
    soundfile.write(tmp_path / "bad.wav", np.array([0.5, np.inf] * 300_000), 16000, subtype="FLOAT")
    with pytest.raises(AudioError):
        voxid.separate(tmp_path / "bad.wav", output=tmp_path / "out.wav", model=bands())
    assert [path.name for path in tmp_path.iterdir()] == ["bad.wav"]


def test_another_number_of_sources_and_other_models_are_refused(bands) -> None:
    wave = (np.ones(100), 16000)
    assert voxid.separate(wave, model=bands(), num_sources=2).num_sources == 2
    with pytest.raises(ConfigError, match="2 sources, not 3"):
        voxid.separate(wave, model=bands(), num_sources=3)
    with pytest.raises(ModelError, match="expected a separation model"):
        voxid.separate(wave, model=Phasen("small", channels=4, phase_channels=2, blocks=1, recurrent=8, dense=8))


def test_a_recording_is_never_overwritten(bands, tmp_path) -> None:
    soundfile.write(tmp_path / "m_1.wav", two_tones(1.0)[0], 16000)
    (tmp_path / "x_2.wav").symlink_to(tmp_path / "m_1.wav")
    before = (tmp_path / "m_1.wav").read_bytes()
    for output in ("m.wav", "x.wav"):
        with pytest.raises(ConfigError, match="overwrite the recording"):
            voxid.separate(tmp_path / "m_1.wav", output=tmp_path / output, model=bands())
    assert (tmp_path / "m_1.wav").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m_1.wav", "x_2.wav"]


def test_folders_with_a_dot_and_folders_that_cannot_be(bands, tmp_path) -> None:
    soundfile.write(tmp_path / "talk.wav", two_tones(1.0)[0], 16000)
    done = voxid.separate(tmp_path / "talk.wav", output=tmp_path / "voices.v2", model=bands())
    assert done.outputs[0] == str(tmp_path / "voices.v2" / "talk_1.wav")
    assert soundfile.info(done.outputs[1]).frames == 16000
    with pytest.raises(DataError, match="no folder can be made"):
        voxid.separate(tmp_path / "talk.wav", output=tmp_path / "talk.wav" / "out", model=bands())
    with pytest.raises(AudioError, match="no codec PCM_99"):
        voxid.separate(tmp_path / "talk.wav", output=tmp_path / "out", model=bands(), subtype="PCM_99")
    line = voxid.separate(tmp_path / "talk.wav", output=tmp_path / "a\nb", model=bands())
    assert len(line.describe().splitlines()) == 1 + len(line.warnings)
