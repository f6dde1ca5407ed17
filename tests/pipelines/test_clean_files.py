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
    soundfile.write(folder / "b.flac", np.zeros(100), 16000)
    for arguments, says in (
        ({"recordings": [folder / "b.flac", folder / "day"]}, "both become"),
        ({"recordings": []}, "no recording"),
        ({"recordings": [folder / "a.wav"], "wet": 3.0}, "wet"),
        ({"recordings": [folder / "a.wav"], "on_error": "ignore"}, "on_error"),
    ):
        with pytest.raises(ConfigError, match=says):
            enhance_files(output=tmp_path / "out", model=echo(), **arguments)
    with pytest.raises(AudioError, match="accepted"):
        separate_files([folder / "a.wav"], output=tmp_path / "out", model=bands(), suffix=".m4a")
    with pytest.raises(AudioError, match="no codec PCM_99"):
        enhance_files([folder], output=tmp_path / "out", model=echo(), subtype="PCM_99", on_error="skip")
    assert not (tmp_path / "out").exists()


def test_no_output_overwrites_any_recording(folder, echo, bands) -> None:
    soundfile.write(folder / "a_1.wav", np.ones(100) / 2, 16000)
    (folder / "out").mkdir()
    (folder / "out" / "c.wav").symlink_to(folder / "a.wav")
    before = {name: (folder / name).read_bytes() for name in ("a.wav", "a_1.wav", "day/c.wav")}
    for recordings, output in ((["a.wav"], "."), (["day"], "day/../day/."), (["a.wav", "day/c.wav"], "out")):
        with pytest.raises(ConfigError, match=r"overwrite the recording|folder of the recordings"):
            enhance_files([folder / name for name in recordings], output=folder / output, model=echo(), overwrite=True)
    with pytest.raises(ConfigError, match=r"a_1\.wav: this output would overwrite the recording .*a_1\.wav"):
        separate_files([folder / "a.wav", folder / "a_1.wav"], output=folder, model=bands())
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert not (folder / "a_2.wav").exists()


def test_a_folder_inside_the_output_folder_is_heard(folder, echo, bands) -> None:
    assert enhance_files([folder], output=folder.parent, model=echo()).num_recordings == 3
    assert (folder.parent / "day/b.wav").exists()
    assert separate_files([folder / "day"], output=folder, model=bands()).num_recordings == 2


def test_when_no_recording_can_be_used_it_is_an_error(folder, echo, tmp_path) -> None:
    for name in ("x.wav", "y.wav"):
        (tmp_path / name).write_bytes(b"RIFF")
    broken = [tmp_path / "x.wav", tmp_path / "y.wav"]
    with pytest.raises(DataError, match=r"none of 2 recordings .*x\.wav"):
        enhance_files(broken, output=tmp_path / "out", model=echo(), on_error="skip")
    for _ in range(2):  # one that is done now, and one that was done before
        done = enhance_files([*broken, folder / "a.wav"], output=tmp_path / "out", model=echo(), on_error="skip")
        assert len(done.failed) == 2
    assert done.num_before == 1


def test_a_name_that_is_too_long_is_left_out_alone(folder, bands, tmp_path) -> None:
    (folder / "day/c.wav").rename(folder / f"{'c' * 251}.wav")
    done = separate_files([folder], output=tmp_path / "out", model=bands(), on_error="skip")
    assert (done.num_recordings, len(done.failed)) == (2, 1)
    with pytest.raises(AudioError, match="cannot be written"):
        separate_files([folder], output=tmp_path / "out", model=bands())


@pytest.mark.parametrize("code", ["E_DISK_FULL", "E_WRITE"])
def test_a_place_that_is_full_or_closed_stops_even_a_lenient_run(folder, echo, tmp_path, monkeypatch, code: str) -> None:
    def refused(*_arguments, **_options):
        raise AudioError("not written", code)

    monkeypatch.setattr("voxid.pipelines.clean_files.enhance", refused)
    monkeypatch.setattr("voxid.pipelines.clean_files.os.access", lambda *_arguments: code == "E_DISK_FULL")
    with pytest.raises(AudioError, match="not written") as stopped:
        enhance_files([folder], output=tmp_path / "out", model=echo(), on_error="skip")
    assert stopped.value.code == code


def test_equal_stems_keep_their_suffixes(folder, echo, bands, tmp_path) -> None:
    soundfile.write(folder / "day/b.wav", np.zeros(100), 16000)
    enhance_files([folder], output=tmp_path / "out", model=echo())
    assert tree(tmp_path / "out") == ["a.wav", "day/b.flac.wav", "day/b.wav.wav", "day/c.wav"]
    assert soundfile.info(tmp_path / "out/day/b.wav.wav").frames == 100
    separate_files([folder / "day"], output=tmp_path / "two", model=bands())
    assert tree(tmp_path / "two")[:4] == ["b.flac_1.wav", "b.flac_2.wav", "b.wav_1.wav", "b.wav_2.wav"]


def test_a_recording_that_is_named_twice_is_done_once(folder, echo, tmp_path) -> None:
    (tmp_path / "link").symlink_to(folder)
    twice = [folder / "a.wav", tmp_path / "link" / "a.wav", folder, folder / "day" / ".." / "a.wav"]
    model = echo()
    assert enhance_files(twice, output=tmp_path / "out", model=model).num_recordings == 3
    assert len(model.lengths) == 3


def test_a_name_with_a_line_end_is_told_on_one_line(folder, echo, tmp_path) -> None:
    (folder / "a.wav").rename(folder / "a\nb.wav")
    (folder / "c\nd.wav").write_bytes(b"RIFF")
    done = enhance_files([folder], output=tmp_path / "out", model=echo(), on_error="skip")
    assert len(done.describe().splitlines()) == 1 + 3 + 1
