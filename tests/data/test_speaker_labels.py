"""Who speaks in recordings that go by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxid.data.speaker_labels import speaker_labels
from voxid.errors import DataError


@pytest.fixture
def corpora(tmp_path, monkeypatch) -> Path:
    """Two corpora with the same names of recordings below them."""
    monkeypatch.chdir(tmp_path)
    for corpus, speaker in (("one", "anna"), ("two", "ben")):
        (tmp_path / corpus).mkdir()
        Path(corpus, "m.csv").write_text(f"path,speaker,session\ns/1.wav,{speaker},p\ns/2.wav,{speaker}2,q\n")
    Path("one/m.jsonl").write_text('{"path": "s/1.wav", "speaker": "anna"}\n')
    Path("utt2spk").write_text("u1 anna\nu2 ben\n")
    return tmp_path


@pytest.mark.parametrize(
    ("names", "files", "expected"),
    [
        (["s/2.wav", "s/1.wav"], "one/m.csv", ["anna2", "anna"]),
        (["one/s/2.wav"], "one/m.csv", ["anna2"]),
        (["elsewhere/s/2.wav"], "one/m.csv", ["anna2"]),
        (["2.wav"], "one/m.csv", ["anna2"]),
        (["s/1.wav"], "one/m.jsonl", ["anna"]),
        (["u2", "u1"], "utt2spk", ["ben", "anna"]),
        (["two/s/1.wav", "one/s/1.wav", "u1"], ["one/m.csv", "two/m.csv", "utt2spk"], ["ben", "anna", "anna"]),
    ],
)
def test_labels(corpora, names: list[str], files, expected: list[str]) -> None:
    assert speaker_labels(names, files) == expected
    if not isinstance(files, list):
        assert speaker_labels(names, corpora / files) == expected


def test_another_column(corpora) -> None:
    assert speaker_labels(["s/2.wav"], "one/m.csv", column="session") == ["q"]
    with pytest.raises(DataError, match="no column 'session'"):
        speaker_labels(["u1"], "utt2spk", column="session")


@pytest.mark.parametrize(
    ("content", "name", "code", "words"),
    [
        ("path,speker\na,b\n", "m.csv", "E_MANIFEST", ["did you mean 'speker'"]),
        ("path,speaker\na,x\na,y\n", "m.csv", "E_SPEAKERS", ["'a'", "'x'", "'y'"]),
        ("path,speaker\na,\n", "m.csv", "E_MANIFEST", ["speaker"]),
        ("path,speaker\nb,x\n", "m.csv", "E_NAMES", ["'a'", "'b'"]),
        ("a\n", "utt2spk", "E_KALDI", ["utt2spk:1"]),
        (None, "utt2spk", "E_NOT_FILE", ["utt2spk"]),
    ],
)
def test_errors(tmp_path, content, name: str, code: str, words: list[str]) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as caught:
        speaker_labels(["a"], tmp_path / name)
    assert caught.value.code == code
    assert all(word in str(caught.value) for word in words)


def test_the_same_name_in_two_corpora_is_not_guessed(corpora) -> None:
    with pytest.raises(DataError, match="may be"):
        speaker_labels(["s/1.wav"], ["one/m.csv", "two/m.csv"])
