"""A net behind arrays of any rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxid.audio.io import resample
from voxid.errors import ModelError
from voxid.models import checkpoint
from voxid.models.separation.sudormrf import SuDoRMRF
from voxid.pipelines.waveform_net import WaveformNet, resampled, resampled_back


@settings(max_examples=80, deadline=None)
@given(length=st.integers(1, 3000), rate=st.sampled_from([4000, 8000, 11025, 16000, 44099, 44100, 48000, 192000]))
def test_there_and_back_has_the_length(length: int, rate: int) -> None:
    there = resampled(np.ones(length, np.float32), rate, 16000)
    assert len(there) >= 1
    back = resampled_back(np.stack([there, there]), 16000, rate, length)
    assert back.shape == (2, length)
    assert back.dtype == np.float32


def test_whole_samples_are_resampled_as_they_are(voice) -> None:
    wave = voice(1.0, 48000)
    np.testing.assert_array_equal(resampled(wave, 48000, 16000), resample(wave, 48000, 16000))
    assert resampled(wave, 48000, 48000) is wave


def test_rows_of_enhancers_and_separators(echo, bands, voice) -> None:
    for model, kind, rows in ((echo(), "enhancement", 1), (bands(), "separation", 2)):
        net = WaveformNet(model, kind)
        with net.evaluating():
            assert net(voice(0.5)).shape == (rows, 8000)
    read_only = voice(0.5)
    read_only.flags.writeable = False
    np.testing.assert_array_equal(WaveformNet(echo(), "enhancement")(read_only)[0], read_only)


def test_its_name_comes_from_the_card(bands, tmp_path) -> None:
    checkpoint.save(SuDoRMRF("0.25x", channels=8, hidden=8, num_basis=32), tmp_path / "m.safetensors", card={"name": "mine"})
    net = WaveformNet(tmp_path / "m.safetensors", "separation")
    assert net.name == f"mine ({checkpoint.fingerprint(tmp_path / 'm.safetensors')[:12]})"
    assert WaveformNet(bands(), "separation").name == "an unnamed model"
    with pytest.raises(ModelError, match="expected an enhancement model"):
        WaveformNet(tmp_path / "m.safetensors", "enhancement")


def test_the_mode_comes_back_even_after_an_error(echo) -> None:
    net = WaveformNet(echo().train(), "enhancement")
    with net.evaluating():
        assert not net.net.training
    assert net.net.training
    with pytest.raises(ModelError, match="NaN") as refused, net.evaluating():
        net(np.array([np.nan], np.float32))
    assert refused.value.code == "E_NOT_FINITE"
    assert net.net.training
