"""From a folder of recordings, good and bad, to a manifest."""

from __future__ import annotations

import csv
import os
import signal
import sys
import tarfile
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from voxid.data import measure
from voxid.data.kaldi import write_kaldi
from voxid.data.manifest import read_manifest
from voxid.data.prepare import prepare, speaker_rule
from voxid.errors import ConfigError, DataError


def noise(path: Path, seconds: float = 0.5, rate: int = 16000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * rate)), rate)
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    noise(folder / "anna" / "s1" / "a b.wav", 0.5)
    noise(folder / "anna" / "s2" / "x.flac", 1.0, 8000)
    noise(folder / "ben" / "s1" / "y.wav", 2.0, 44100)
    return folder


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def rejected(output: Path) -> dict[str, str]:
    table = pd.read_csv(output.with_suffix("").with_suffix(".rejected.csv"))
    assert list(table.columns) == ["path", "code", "reason"]
    return dict(zip(table["path"], table["code"], strict=True))


def test_what_a_newcomer_does(corpus: Path) -> None:
    result = prepare(corpus, output=corpus.parent / "train.csv")
    table = pd.read_csv(corpus.parent / "train.csv")
    assert table.to_dict("list") == {
        "path": ["corpus/anna/s1/a b.wav", "corpus/anna/s2/x.flac", "corpus/ben/s1/y.wav"],
        "speaker": ["anna", "anna", "ben"],
        "duration": [0.5, 1.0, 2.0],
    }
    assert (result.utterances, result.speakers, result.rejected, result.rejected_list) == (3, 2, {}, None)
    assert result.hours == pytest.approx(3.5 / 3600, abs=1e-4)
    assert len(read_manifest(corpus.parent / "train.csv", check_files=True)) == 3
    assert names_in(corpus.parent) == ["corpus", "train.csv"]
    assert result.describe().endswith("train.csv: 3 utterances of 2 speakers, 0.00 h")


def test_paths_relative_to_a_root(corpus: Path) -> None:
    prepare(corpus, output=corpus.parent / "m.csv", root=corpus)
    assert pd.read_csv(corpus.parent / "m.csv")["path"][0] == "anna/s1/a b.wav"
    assert len(read_manifest(corpus.parent / "m.csv", root=corpus, check_files=True)) == 3


@pytest.mark.parametrize(
    ("options", "speakers"),
    [
        ({"speaker_part": 1}, ["s1", "s2", "s1"]),
        ({"speaker_part": -2}, ["s1", "s2", "s1"]),
        ({"speaker_part": -3}, ["anna", "anna", "ben"]),
        ({"speaker_part": -1}, ["a b", "x", "y"]),
        ({"speaker_regex": r"(?P<speaker>[ab])[^/]*/s"}, ["a", "a", "b"]),
    ],
)
def test_where_the_speaker_stands(corpus: Path, options: dict[str, object], speakers: list[str]) -> None:
    prepare(corpus, output=corpus.parent / "m.csv", **options)
    assert read_manifest(corpus.parent / "m.csv").speakers == speakers


def test_no_speaker_in_the_path(corpus: Path) -> None:
    noise(corpus / "loose.wav")
    output = corpus.parent / "m.csv"
    assert prepare(corpus, output=output).rejected == {"E_SPEAKER": 1}
    assert rejected(output) == {"loose.wav": "E_SPEAKER"}
    with pytest.raises(DataError, match="3 E_SPEAKER"):
        prepare(corpus / "anna", output=output, speaker_regex="(?P<speaker>zoe)") if noise(corpus / "anna" / "z.wav") else None


@pytest.mark.parametrize(("regex", "says"), [("(", "no regular expression"), ("([a-z]+)", "no group 'speaker'")])
def test_rules_that_are_none(corpus: Path, regex: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        prepare(corpus, output=corpus.parent / "m.csv", speaker_regex=regex)


def test_a_group_that_did_not_match_is_no_speaker() -> None:
    assert speaker_rule(regex="x|(?P<speaker>y)")("x") is None


def test_broken_recordings_are_listed_and_left_out(corpus: Path) -> None:
    (corpus / "ben" / "empty.wav").touch()
    (corpus / "ben" / "page.mp3").write_text("<html>gone</html>")
    (corpus / "ben" / "link.wav").symlink_to("nowhere")
    (corpus / "ben" / "notes.txt").write_text("not a recording, and not called one")
    output = corpus.parent / "train.csv"
    result = prepare(corpus, output=output)
    assert result.rejected == {"E_EMPTY": 1, "E_NOT_AUDIO": 1, "E_NOT_FOUND": 1}
    assert rejected(output) == {"ben/empty.wav": "E_EMPTY", "ben/link.wav": "E_NOT_FOUND", "ben/page.mp3": "E_NOT_AUDIO"}
    assert result.utterances == 3
    for name in rejected(output):
        (corpus / name).unlink()
    assert prepare(corpus, output=output).rejected_list is None
    assert not (corpus.parent / "train.rejected.csv").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not UTF-8 are of Linux")
def test_a_name_that_is_not_utf8(corpus: Path) -> None:
    noise(corpus / "ben" / "ok.wav").rename(corpus / "ben" / "b\udcff.wav")
    output = corpus.parent / "m.csv"
    assert prepare(corpus, output=output).rejected == {"E_NAME": 1}
    assert rejected(output) == {"ben/b\\udcff.wav": "E_NAME"}


def test_limits_of_duration(corpus: Path) -> None:
    output = corpus.parent / "m.csv"
    result = prepare(corpus, output=output, min_duration=0.6, max_duration=1.5)
    assert result.rejected == {"E_TOO_LONG": 1, "E_TOO_SHORT": 1}
    assert read_manifest(output).durations.tolist() == [1.0]
    with pytest.raises(ConfigError, match="min_duration"):
        prepare(corpus, output=output, min_duration=2, max_duration=1)


def test_the_length_is_measured_and_not_believed(corpus: Path) -> None:
    path = corpus / "ben" / "s1" / "y.wav"
    path.write_bytes(path.read_bytes()[: 44 + 2 * 44100])  # the header still promises two seconds
    output = corpus.parent / "m.csv"
    prepare(corpus, output=output)
    assert read_manifest(output).durations.tolist() == [0.5, 1.0, 1.0]
    assert list(prepare(corpus, output=output, strict=True).rejected) == ["E_TRUNCATED"]


def test_one_sample_is_longer_than_nothing(corpus: Path) -> None:
    noise(corpus / "ben" / "one.wav", 1 / 44100, 44100)
    prepare(corpus, output=corpus.parent / "m.csv")
    assert min(read_manifest(corpus.parent / "m.csv").durations) == pytest.approx(1 / 44100, abs=1e-6)


def test_a_name_that_is_too_long_leaves_nothing(corpus: Path) -> None:
    with pytest.raises(DataError) as caught:
        prepare(corpus, output=corpus.parent / ("x" * 300))
    assert caught.value.code == "E_WRITE"
    assert names_in(corpus.parent) == ["corpus"]


def test_the_same_for_any_number_of_workers(corpus: Path) -> None:
    for number in range(40):
        noise(corpus / f"s{number % 7}" / f"{number}.wav", 0.01 + number / 100)
        (corpus / f"s{number % 7}" / f"{number}.mp3").write_text("broken")
    files = []
    for workers in (1, 2, 7):
        result = prepare(corpus, output=corpus.parent / "m.csv", workers=workers, progress=False)
        files.append([(corpus.parent / name).read_bytes() for name in ("m.csv", "m.rejected.csv")])
        assert (result.utterances, result.rejected) == (43, {"E_NOT_AUDIO": 40})
    assert files[0] == files[1] == files[2]
    with pytest.raises(ConfigError, match="workers"):
        prepare(corpus, output=corpus.parent / "m.csv", workers=0)


def test_nothing_to_prepare(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    cases = {
        "empty": ("E_EMPTY", "no recording"),
        "gone": ("E_NOT_FOUND", "no such folder"),
        "file": ("E_NOT_FOUND", "is a file"),
    }
    cases["x" * 300] = cases["gone"]
    for name, (code, says) in cases.items():
        with pytest.raises(DataError, match=says) as caught:
            prepare(tmp_path / name, output=tmp_path / "m.csv")
        assert caught.value.code == code
    assert names_in(tmp_path) == ["empty", "file"]


def test_nothing_that_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / "a.wav").touch()
    (tmp_path / "m.csv").write_text("old")
    with pytest.raises(DataError, match=r"1 E_EMPTY, see .*m.rejected.csv; the first: anna/a.wav") as caught:
        prepare(tmp_path, output=tmp_path / "m.csv")
    assert caught.value.code == "E_EMPTY"
    assert (tmp_path / "m.csv").read_text() == "old"


@pytest.mark.parametrize("output", ["folder", "gone/m.csv", "file/m.csv", "x" * 300 + "/m.csv"])
def test_a_place_that_cannot_be_written_is_said_first(corpus: Path, monkeypatch: pytest.MonkeyPatch, output: str) -> None:
    (corpus.parent / "folder").mkdir()
    (corpus.parent / "file").touch()
    monkeypatch.setattr(measure.io, "stream", lambda *_, **__: pytest.fail("decoded before it looked"))
    with pytest.raises(DataError) as caught:
        prepare(corpus, output=corpus.parent / output)
    assert caught.value.code == "E_WRITE"


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="no /dev/null here")
def test_a_device_is_not_replaced(corpus: Path) -> None:
    with pytest.raises(DataError, match="regular file"):
        prepare(corpus, output="/dev/null")
    assert Path("/dev/null").is_char_device()


def test_ctrl_c_leaves_what_was_there(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(200):
        noise(corpus / "carl" / f"{number}.wav", 0.01)
    output = corpus.parent / "m.csv"
    output.write_text("old")
    measured: list[Path] = []
    duration = measure._duration

    def interrupted(path: Path, strict: bool, stop: threading.Event) -> float | measure.Reject:
        measured.append(path)
        if len(measured) == 20:
            os.kill(os.getpid(), signal.SIGINT)
        return duration(path, strict, stop)

    monkeypatch.setattr(measure, "_duration", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(corpus, output=output, workers=2)
    assert output.read_text() == "old"
    assert names_in(corpus.parent) == ["corpus", "m.csv"]
    assert threading.active_count() < 10
    assert len(measured) < 203


def test_a_kaldi_folder(corpus: Path, tmp_path: Path) -> None:
    prepare(corpus, output=tmp_path / "m.csv")
    manifest = read_manifest(tmp_path / "m.csv")
    write_kaldi(tmp_path / "kaldi", manifest)
    with (tmp_path / "kaldi" / "wav.scp").open("a") as scp, (tmp_path / "kaldi" / "utt2spk").open("a") as speakers:
        scp.write(f"u1 touch {tmp_path}/ran |\nu2 beside.wav\n")
        speakers.write("u1 zoe\nu2 zoe\n")
    noise(tmp_path / "kaldi" / "beside.wav", 0.25)
    result = prepare(tmp_path / "kaldi", output=tmp_path / "k.csv")
    back = read_manifest(tmp_path / "k.csv", check_files=True)
    assert back.paths == [*manifest.paths, str((tmp_path / "kaldi" / "beside.wav").resolve())]
    assert back.speakers == [*manifest.speakers, "zoe"]
    assert back.durations.tolist() == [*manifest.durations.tolist(), 0.25]
    assert back.column("id")[-1] == "u2"
    assert result.rejected == {"E_COMMAND": 1}
    for rule in ({"speaker_part": -2}, {"speaker_regex": "(?P<speaker>.)"}):
        with pytest.raises(ConfigError, match="utt2spk"):
            prepare(tmp_path / "kaldi", output=tmp_path / "k.csv", **rule)
    assert not (tmp_path / "ran").exists()


def test_a_real_corpus(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "fsdd"
    prepare(folder, output=tmp_path / "m.csv", root=folder)
    mine, theirs = (pd.read_csv(path).sort_values("path") for path in (tmp_path / "m.csv", folder / "manifest.csv"))
    assert mine["path"].tolist() == theirs["path"].tolist()
    assert [f"fsdd_{speaker}" for speaker in mine["speaker"]] == theirs["speaker"].tolist()
    assert np.abs(mine["duration"].to_numpy() - theirs["duration_s"].to_numpy()).max() < 0.01


def test_a_folder_of_broken_recordings(shared: Path, tmp_path: Path) -> None:
    """What must be refused is listed, what must be accepted is in the manifest, and nothing else happens."""
    with tarfile.open(shared / "badaudio" / "badaudio.tar.gz") as archive:
        rooms = ("fake/", "kind/symlink_dangling", "kind/fifo", "kind/symlink_loop", "names/", "wav/", "format/")
        members = [member for member in archive if member.name.lstrip("./").startswith(rooms)]
        for member in members:
            archive.extract(member, tmp_path / "bad", filter="fully_trusted")
    result = prepare(tmp_path / "bad", output=tmp_path / "m.csv")
    kept = set(read_manifest(tmp_path / "m.csv").relative())
    left_out = rejected(tmp_path / "m.csv")
    with (shared / "badaudio" / "index.csv").open(encoding="utf-8") as stream:
        cases = [row for row in csv.DictReader(stream) if row["file"].startswith(rooms)]
    assert len(cases) > 80
    for case in cases:
        name = case["file"].replace("\\n", "\n").replace("\\t", "\t")
        if case["expect"] == "reject" and case["error_code"] not in ("E_TOO_SHORT", "E_NO_SPEECH"):  # those are for enrolment
            assert name in left_out, name
        elif case["expect"] == "accept" and "\\udc" not in name and "/." not in name:
            assert f"bad/{name}" in kept, name
    assert result.rejected["E_NAME"] == 1
