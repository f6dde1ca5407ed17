"""Recordings and manifests of them go straight to a file of embeddings; in Python and in the shell."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from voxid.cli import main
from voxid.data.embeddings import read_embeddings
from voxid.errors import ConfigError, DataError
from voxid.models import checkpoint
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.pipelines.embed import embed
from voxid.pipelines.embed_to_file import embed_to_file

RATE = 16000


@pytest.fixture(scope="module")
def net() -> SpeakerEncoder:
    torch.manual_seed(0)
    return SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16, "output_dim": 32}, embedding_dim=8).eval()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Four recordings of two speakers, and a manifest of them in a folder of its own."""
    folder = Path(os.path.realpath(tmp_path)) / "corpus"
    (folder / "lists").mkdir(parents=True)
    random = np.random.default_rng(0)
    rows = []
    for number in range(4):
        soundfile.write(folder / f"{number}.wav", random.normal(0, 0.1, 6000 + 500 * number), RATE, subtype="FLOAT")
        rows.append(f"{number}.wav,{'anna' if number < 2 else 'ben'},0.4,{'train' if number % 2 else 'test'}\n")
    (folder / "m.csv").write_text("path,speaker,duration,split\n" + "".join(rows))
    (folder / "lists" / "m.csv").write_text("path,speaker,duration,split\n" + "".join(rows[2:]))
    return folder


def written(folder: Path) -> tuple[list[str], np.ndarray]:
    found = read_embeddings(folder / "e.safetensors")
    return list(found.names), found.embeddings


def test_rows_are_the_embeddings_of_the_recordings(net: SpeakerEncoder, corpus: Path, tmp_path: Path) -> None:
    files = [corpus / "2.wav", corpus / "0.wav"]
    done = embed_to_file(files, output=tmp_path / "e.safetensors", model=net, progress=False)
    assert (done.num_recordings, done.embedding_dim, done.failed) == (2, 8, {})
    names, rows = written(tmp_path)
    assert names == list(map(str, files))
    for row, file in zip(rows, files, strict=True):
        np.testing.assert_allclose(row, embed(file, model=net), atol=1e-5)


def test_files_come_before_the_rows_of_manifests(net: SpeakerEncoder, corpus: Path, tmp_path: Path) -> None:
    manifest = {"manifest": corpus / "m.csv", "where": {"split": "train"}}
    embed_to_file([corpus / "2.wav"], output=tmp_path / "e.safetensors", **manifest, model=net, progress=False)
    names, rows = written(tmp_path)
    assert names == [str(corpus / f"{number}.wav") for number in (2, 1, 3)]
    np.testing.assert_allclose(rows[1], embed(corpus / "1.wav", model=net), atol=1e-5)


def test_a_file_that_is_named_twice_is_taken_once(
    net: SpeakerEncoder, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(corpus)
    manifests = [corpus / "m.csv", corpus / "lists" / "m.csv"]
    options = {"manifest": manifests, "root": corpus, "model": net, "progress": False}
    done = embed_to_file(["3.wav", "./3.wav", str(corpus / "3.wav")], output=tmp_path / "e.safetensors", **options)
    assert done.num_recordings == 4
    assert written(tmp_path)[0] == ["3.wav", *(str(corpus / f"{number}.wav") for number in range(3))]


def test_the_same_sound_twice_is_two_recordings_unless_it_is_a_file(net: SpeakerEncoder, tmp_path: Path) -> None:
    pair = (np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32), RATE)
    assert embed_to_file([pair, pair], output=tmp_path / "e.safetensors", model=net, progress=False).num_recordings == 2
    assert written(tmp_path)[0] == ["recording 1", "recording 2"]


def test_what_cannot_be_used_stops_or_is_left_out_and_named(net: SpeakerEncoder, corpus: Path, tmp_path: Path) -> None:
    files = [corpus / "0.wav", corpus / "gone.wav", corpus / "1.wav"]
    options = {"output": tmp_path / "e.safetensors", "model": net, "progress": False}
    with pytest.raises(DataError, match=r"1 of 3 recordings cannot be used: .*gone\.wav"):
        embed_to_file(files, **options)
    with pytest.raises(DataError, match=r"none of 1 recordings can be used, the first: .*gone\.wav"):
        embed_to_file(files[1:2], on_error="skip", **options)
    assert not (tmp_path / "e.safetensors").exists()
    done = embed_to_file(files, on_error="skip", **options)
    assert (done.num_recordings, list(done.failed)) == (2, [str(corpus / "gone.wav")])
    first, second = done.describe().splitlines()
    assert first.endswith("e.safetensors: 2 embeddings of 8 numbers by an unnamed model")
    assert second.startswith(f"left out: {corpus / 'gone.wav'}: ")
    assert second.count("gone.wav") == 1


def test_pieces_of_recordings_are_refused(net: SpeakerEncoder, corpus: Path, tmp_path: Path) -> None:
    (corpus / "m.csv").write_text("path,speaker,duration,start\n0.wav,anna,0.1,0\n0.wav,anna,0.1,0.1\n")
    with pytest.raises(DataError, match="pieces of recordings") as caught:
        embed_to_file(output=tmp_path / "e.safetensors", manifest=corpus / "m.csv", model=net, progress=False)
    assert caught.value.code == "E_MANIFEST"


@pytest.mark.parametrize(
    ("options", "kind", "code"),
    [
        ({"paths": ["missing.wav"], "output": "e.npy"}, DataError, "E_FORMAT"),
        ({"paths": ["missing.wav"], "output": "none/e.safetensors"}, DataError, "E_WRITE"),
        ({"paths": []}, ConfigError, "E_CONFIG"),
        ({"paths": ["a.wav"], "root": "."}, ConfigError, "E_CONFIG"),
        ({"paths": ["a.wav"], "where": {"split": "test"}}, ConfigError, "E_CONFIG"),
        ({"manifest": "none.csv"}, DataError, "E_NOT_FILE"),
        ({"paths": ["a.wav"], "on_error": "ignore"}, ConfigError, "E_CONFIG"),
    ],
    ids=str,
)
def test_mistakes_are_typed_errors(net: SpeakerEncoder, tmp_path: Path, options: dict, kind: type, code: str) -> None:
    place = tmp_path / options.pop("output", "e.safetensors")
    with pytest.raises(kind) as caught:
        embed_to_file(output=place, model=net, progress=False, **options)
    assert caught.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_the_shell_takes_manifests(
    net: SpeakerEncoder, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint.save(net, corpus / "m.safetensors", card={"name": "tiny"})
    monkeypatch.chdir(corpus)
    line = "embed 0.wav --manifest m.csv lists/m.csv --root . --where split=train split=test -o e.safetensors"
    assert main([*line.split(), "--model", "m.safetensors", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_recordings"] == 4
    line = "embed --manifest m.csv --where split=test -o e.safetensors --model m.safetensors"
    assert main(line.split()) == 0
    assert capsys.readouterr().out == "e.safetensors: 2 embeddings of 8 numbers by tiny\n"
    assert written(corpus)[0] == [str(corpus / "0.wav"), str(corpus / "2.wav")]
    (corpus / "1.wav").unlink()
    line = "embed --manifest m.csv -o e.safetensors --model m.safetensors --on-error skip"
    assert main(line.split()) == 0
    assert "left out: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("embed -o e.safetensors", "E_CONFIG: no recording to embed"),
        ("embed --manifest none.csv -o e.safetensors", "E_NOT_FILE: none.csv"),
        ("embed --manifest m.csv --where split -o e.safetensors", "--where takes column=value"),
        ("embed --manifest m.csv --where split=dev -o e.safetensors", "there is split: test, train"),
        ("embed --manifest m.csv --on-error stop -o e.safetensors", "E_USAGE"),
    ],
)
def test_mistakes_in_the_shell_are_one_line(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, word: str
) -> None:
    monkeypatch.chdir(corpus)
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert word in err
