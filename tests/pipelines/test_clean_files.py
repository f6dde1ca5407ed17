"""Folders through enhance and separate: the same tree, what is done stays, nothing is half-written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voxid.errors import AudioError, ConfigError, DataError
from voxid.pipelines.clean_files import enhance_files, separate_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """calls/a.wav, calls/day/b.flac, calls/day/c.wav and a text."""
    (tmp_path / "calls" / "day").mkdir(parents=True)
    for number, name in enumerate(("a.wav", "day/b.flac", "day/c.wav")):
        soundfile.write(tmp_path / "calls" / name, np.random.default_rng(number).normal(0, 0.1, 8000), 16000)
    (tmp_path / "calls" / "notes.txt").write_text("nothing to hear")
    return tmp_path / "calls"


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_tree_stays(folder, echo, bands, tmp_path) -> None:
    done = enhance_files([folder], output=tmp_path / "out", model=echo())
    assert tree(tmp_path / "out") == ["a.wav", "day/b.wav", "day/c.wav"]
    assert (done.num_recordings, done.num_before, done.seconds, done.failed) == (3, 0, 1.5, {})
    np.testing.assert_allclose(
        soundfile.read(tmp_path / "out/day/b.wav")[0], soundfile.read(folder / "day/b.flac")[0], atol=2**-15
    )
    split = separate_files([folder / "a.wav", folder / "day"], output=tmp_path / "two", model=bands(), suffix=".flac")
    assert tree(tmp_path / "two") == ["a_1.flac", "a_2.flac", "b_1.flac", "b_2.flac", "c_1.flac", "c_2.flac"]
    assert len(split.written) == 6
    assert "W_BAND" not in split.describe()
    narrow = enhance_files([folder], output=tmp_path / "narrow", model=echo(sample_rate=8000))
    assert narrow.describe().count("W_BAND") == 1
    assert "(3 recordings)" in narrow.describe()
    assert all(name in split.describe() for name in split.written)


def test_what_is_done_stays_and_the_rest_goes_on(folder, echo, tmp_path) -> None:
    out, model = tmp_path / "out", echo()
    enhance_files([folder], output=out, model=model)
    (out / "day/b.wav").unlink()
    kept = (out / "a.wav").stat().st_mtime_ns
    os.utime(folder / "day/c.wav", ns=(2**62, 2**62))  # a newer recording under the old name
    again = enhance_files([folder], output=out, model=model)
    assert (again.num_recordings, again.num_before) == (2, 1)
    assert [Path(name).name for name in again.written] == ["b.wav", "c.wav"]
    assert (out / "a.wav").stat().st_mtime_ns == kept
    assert len(model.lengths) == 5
    assert enhance_files([folder], output=out, model=model, overwrite=True).num_recordings == 3


def test_an_interruption_leaves_whole_files_and_can_be_resumed(folder, echo, tmp_path) -> None:
    class Interrupted(echo):
        def forward(self, waveform):
            if len(self.lengths) == 1:
                raise KeyboardInterrupt
            return super().forward(waveform)

    with pytest.raises(KeyboardInterrupt):
        enhance_files([folder], output=tmp_path / "out", model=Interrupted())
    assert tree(tmp_path / "out") == ["a.wav"]
    assert enhance_files([folder], output=tmp_path / "out", model=echo()).num_before == 1
    assert tree(tmp_path / "out") == ["a.wav", "day/b.wav", "day/c.wav"]


def test_a_broken_recording_stops_or_is_named(folder, echo, tmp_path) -> None:
    (folder / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioError, match=r"broken\.wav"):
        enhance_files([folder], output=tmp_path / "out", model=echo())
    done = enhance_files([folder], output=tmp_path / "out", model=echo(), on_error="skip")
    assert list(done.failed) == [str(folder / "broken.wav")]
    assert (done.num_recordings, done.num_before) == (2, 1)
    assert "left out" in done.describe()
    assert "broken.wav" not in tree(tmp_path / "out")


def test_a_place_that_cannot_be_written_stops_even_a_lenient_run(folder, echo, tmp_path) -> None:
    (tmp_path / "out").write_text("a file where a folder should be")
    with pytest.raises(DataError, match="another place"):
        enhance_files([folder], output=tmp_path / "out", model=echo(), on_error="skip")


def test_earlier_outputs_are_no_sources(folder, echo) -> None:
    for _ in range(2):
        enhance_files([folder], output=folder / "clean", model=echo(), overwrite=True)
    assert tree(folder / "clean") == ["a.wav", "day/b.wav", "day/c.wav"]
    with pytest.raises(ConfigError, match="folder of the recordings"):
        enhance_files([folder], output=folder, model=echo())


def test_mistakes_are_found_before_any_work(folder, echo, bands, tmp_path) -> None:
    soundfile.write(folder / "day/b.wav", np.zeros(100), 16000)
    for arguments, says in (
        ({"recordings": [folder]}, "both become"),
        ({"recordings": []}, "no recording"),
        ({"recordings": [folder / "a.wav"], "wet": 3.0}, "wet"),
        ({"recordings": [folder / "a.wav"], "on_error": "ignore"}, "on_error"),
    ):
        with pytest.raises(ConfigError, match=says):
            enhance_files(output=tmp_path / "out", model=echo(), **arguments)
    with pytest.raises(AudioError, match="accepted"):
        separate_files([folder / "a.wav"], output=tmp_path / "out", model=bands(), suffix=".m4a")
    assert not (tmp_path / "out").exists()
