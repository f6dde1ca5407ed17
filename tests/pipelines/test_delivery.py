"""Where the samples come from and go to."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from voxid.audio import io
from voxid.errors import AudioError
from voxid.pipelines.delivery import band_remark, deliver, heard


def test_rows_are_shared_out_among_the_files(tmp_path) -> None:
    rows = np.random.default_rng(0).normal(0, 0.1, (4, 1000)).astype(np.float32)
    blocks = [rows[:, :300], rows[:, 300:]]
    together, clipped = deliver(blocks, [], 4, 16000, None)
    np.testing.assert_array_equal(together, rows)
    assert deliver(blocks, [tmp_path / "a.wav", tmp_path / "b.wav"], 2, 16000, "FLOAT") == (None, clipped)
    for name, part in (("a.wav", rows[:2]), ("b.wav", rows[2:])):
        np.testing.assert_array_equal(soundfile.read(tmp_path / name, dtype="float32")[0].T, part)


def test_all_files_or_none(tmp_path) -> None:
    def rows():
        yield np.zeros((2, 100), np.float32)
        yield np.array([[0.0], [np.nan]], np.float32)

    with pytest.raises(AudioError):
        deliver(rows(), [tmp_path / "a.wav", tmp_path / "b.wav"], 1, 16000, None)
    assert list(tmp_path.iterdir()) == []


def test_blocks_have_rows(capsys) -> None:
    for channel, channels in (("all", 2), ("first", 1)):
        with io.stream((np.zeros((2, 500)), 16000), sample_rate=None, channel=channel, block_seconds=0.01) as reader:
            blocks = list(heard(reader, progress=False, verb="enhance"))
        assert [block.shape for block in blocks] == [(channels, 160)] * 3 + [(channels, 20)]
    assert capsys.readouterr() == ("", "")


def test_a_narrow_model_is_named_only_where_it_cuts() -> None:
    assert band_remark(16000, 16000, "") == band_remark(8000, 16000, "") == ()
    assert band_remark(44100, 16000, "")[0].startswith("W_BAND: the model hears tones up to 8 kHz")
