"""Kaldi data folders, there and back, and what Kaldi itself would refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxid.data.kaldi import KaldiUtterance, is_kaldi, read_kaldi, write_kaldi
from voxid.data.manifest import Manifest, Utterance, read_manifest
from voxid.errors import DataError


def folder_of(folder: Path, scp: str = "u1 a.wav\nu2 b c.wav\n", speakers: str = "u2 ben\nu1 anna\n") -> Path:
    (folder / "wav.scp").write_text(scp)
    (folder / "utt2spk").write_text(speakers)
    return folder


def test_read(tmp_path: Path) -> None:
    assert not is_kaldi(tmp_path)
    assert is_kaldi(folder_of(tmp_path))
    assert read_kaldi(tmp_path) == [KaldiUtterance("u1", "a.wav", "anna"), KaldiUtterance("u2", "b c.wav", "ben")]


def test_commands_are_text(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, f"u1 touch {tmp_path}/ran |\r\n", "u1 anna\r\n")
    assert read_kaldi(folder)[0].source.endswith("|")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("scp", "speakers", "says"),
    [
        ("u1 a.wav\nu1 b.wav\n", "u1 anna\n", "wav.scp:2: the id 'u1' comes twice"),
        ("u1 a.wav\nu3 b.wav\n", "u1 anna\n", "wav.scp:2: 'u3' has no line in utt2spk"),
        ("u1\n", "u1 anna\n", "wav.scp:1: 'u1' is not"),
        ("u1 a.wav\n\nu2 b.wav\n", "u1 anna\nu2 ben\n", "wav.scp:2: '' is not"),
        ("u1 a.wav\n", "u1 anna\nu1 ben\n", "utt2spk:2: the id 'u1' comes twice"),
        ("", "u1 anna\n", "wav.scp:1"),
    ],
)
def test_what_does_not_hold_together(tmp_path: Path, scp: str, speakers: str, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read_kaldi(folder_of(tmp_path, scp, speakers))
    assert caught.value.code == "E_KALDI"


def test_pieces_of_recordings_are_refused(tmp_path: Path) -> None:
    (folder_of(tmp_path) / "segments").write_text("u1 r1 0.0 1.0\n")
    with pytest.raises(DataError, match="segments"):
        read_kaldi(tmp_path)


def test_a_real_corpus_there_and_back(shared: Path, tmp_path: Path) -> None:
    manifest = read_manifest(shared / "data" / "libri_mini" / "manifest.csv")
    write_kaldi(tmp_path / "new" / "kaldi", manifest)
    back = read_kaldi(tmp_path / "new" / "kaldi")
    assert {(line.source, line.speaker) for line in back} == set(zip(manifest.paths, manifest.speakers, strict=True))
    # What Kaldi's validate_data_dir.sh asks for: every file sorted by bytes, and sorting by utterance sorts by speaker too.
    for name in ("wav.scp", "utt2spk", "spk2utt", "utt2dur"):
        lines = (tmp_path / "new" / "kaldi" / name).read_bytes().splitlines()
        assert lines == sorted(lines, key=lambda line: line.split()[0])
    assert [line.speaker for line in back] == sorted(line.speaker for line in back)
    spoken = [line.split() for line in (tmp_path / "new" / "kaldi" / "spk2utt").read_text().splitlines()]
    assert [(who, utterance) for who, *utterances in spoken for utterance in utterances] == [
        (line.speaker, line.utterance) for line in back
    ]
    seconds = dict(line.split() for line in (tmp_path / "new" / "kaldi" / "utt2dur").read_text().splitlines())
    assert sum(map(float, seconds.values())) == pytest.approx(manifest.durations.sum())


def test_ids_of_the_manifest_are_kept(tmp_path: Path) -> None:
    rows = [
        Utterance(Path("/data/a b.wav"), "anna", 1.0, {"id": "anna-1"}),
        Utterance(Path("/data/c.wav"), "ben", 2.0, {"id": "ben-1"}),
    ]
    write_kaldi(tmp_path, Manifest.of(rows, "/data"))
    assert read_kaldi(tmp_path) == [
        KaldiUtterance("anna-1", "/data/a b.wav", "anna"),
        KaldiUtterance("ben-1", "/data/c.wav", "ben"),
    ]


@pytest.mark.parametrize(
    ("paths", "speaker", "says"),
    [
        (["/d/a-b/c.wav", "/d/a/b-c.wav"], "s", "two utterances go by the id 's-a-b-c.wav'"),
        (["/d/a.wav"], "anna b", "blank"),
        (["/d/a.wav"], "", "empty"),
        (["/d/a.wav "], "s", "blank"),
        (["/d/a.wav|"], "s", "would run it"),
        (["/d/a\nb.wav"], "s", "line break"),
        (["/d/\udcff.wav"], "s", "UTF-8"),
    ],
)
def test_what_kaldi_cannot_hold(tmp_path: Path, paths: list[str], speaker: str, says: str) -> None:
    manifest = Manifest.of([Utterance(Path(path), speaker, 1.0) for path in paths], "/d")
    with pytest.raises(DataError, match=says) as caught:
        write_kaldi(tmp_path, manifest)
    assert caught.value.code == "E_KALDI"
    assert not list(tmp_path.iterdir())
