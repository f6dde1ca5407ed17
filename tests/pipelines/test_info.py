"""info: measured figures, and the refusal of what cannot be a voice."""

from __future__ import annotations

import dataclasses
import io as memory
import json

import numpy as np
import pytest
import soundfile

from voxid.errors import AudioError
from voxid.pipelines.info import info


def voice(seconds: float, rate: int = 16000) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    pitch = 2 * np.pi * np.cumsum(120 + 40 * np.sin(3 * time)) / rate
    return (0.3 * sum(np.sin(k * pitch) / k for k in range(1, 9)) * np.sin(8 * time) ** 2).astype(np.float32)


def test_figures_are_measured(tmp_path):
    wave = np.stack([voice(2.5, 22050), 0.5 * voice(2.5, 22050)])
    soundfile.write(tmp_path / "a.wav", wave.T, 22050, subtype="PCM_24")
    found = info(tmp_path / "a.wav")
    assert (found.path, found.format, found.subtype) == (str(tmp_path / "a.wav"), "wav", "pcm_24")
    assert (found.rate, found.channels) == (22050, 2)
    assert found.duration == found.declared_duration == pytest.approx(2.5, abs=1e-4)
    assert found.peak == pytest.approx(np.abs(wave).max(), abs=1e-6)
    assert found.rms_db == pytest.approx(20 * np.log10(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))), abs=0.01)
    assert found.clipping == 0
    assert [warning.partition(":")[0] for warning in found.warnings] == ["W_CHANNELS"]


def test_it_is_plain_data(tmp_path):
    found = info((voice(1.0), 16000))
    assert json.loads(json.dumps(dataclasses.asdict(found), allow_nan=False))["rate"] == 16000
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.rate = 8000
    silent = info((np.zeros(16000), 16000), speech=False)
    assert json.dumps(dataclasses.asdict(silent), allow_nan=False)
    assert silent.rms_db == -200


@pytest.mark.parametrize(
    ("wave", "code"),
    [
        (np.zeros(16000), "E_NO_SPEECH"),
        (np.random.default_rng(0).standard_normal(16000) * 0.1, "E_NO_SPEECH"),
        (np.sin(np.arange(16000.0)), "E_NO_SPEECH"),
        (voice(0.099), "E_TOO_SHORT"),
        (np.full(16000, np.nan), "E_NONFINITE"),
    ],
)
def test_what_cannot_be_a_voice(wave, code):
    with pytest.raises(AudioError) as refused:
        info((wave, 16000))
    assert refused.value.code == code
    if code != "E_NONFINITE":
        assert info((wave, 16000), speech=False).duration == len(wave) / 16000


@pytest.mark.parametrize(
    ("seconds", "gain", "code"), [(0.3, 1, "W_SHORT"), (1.0, 3e-4, "W_QUIET"), (1.0, 9, "W_CLIPPED"), (1.0, 9999, "W_SCALE")]
)
def test_remarks(seconds, gain, code):
    wave = gain * voice(seconds)
    wave = np.clip(wave, -1, 1) if code == "W_CLIPPED" else wave
    assert [warning.partition(":")[0] for warning in info((wave, 16000)).warnings] == [code]
    with pytest.raises(AudioError) as refused:
        info((wave, 16000), strict=True)
    assert refused.value.code == code.replace("W_", "E_")


def test_the_limit_on_length():
    with pytest.raises(AudioError) as refused:
        info((voice(3.0), 16000), max_duration=2.9)
    assert refused.value.code == "E_TOO_LONG"
    assert info((voice(3.0), 16000), max_duration=3.0).duration == 3.0


def test_a_wrong_checksum_is_seen(tmp_path):
    target = memory.BytesIO()
    soundfile.write(target, voice(1.0), 16000, format="FLAC")
    data = bytearray(target.getvalue())
    assert info(memory.BytesIO(bytes(data))).warnings == ()
    data[30] ^= 255
    assert info(memory.BytesIO(bytes(data))).warnings[0].startswith("W_CORRUPT")
