"""Manifests against pandas, against files that people break, and there and back."""

from __future__ import annotations

import csv
import json
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxid.data.manifest import Manifest, Utterance, read_manifest, write_manifest
from voxid.errors import DataError

CORPORA = ("cv_fr", "cv_multi", "libri_mini", "speech_commands", "fsdd")
FIELD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
NAME = FIELD.map(lambda text: text.replace("/", "_")).filter(lambda name: name not in (".", ".."))


def written(folder: Path, text: str | bytes, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path: Path, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        read_manifest(path, **options)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.fixture(scope="module")
def broken(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    with tarfile.open(shared / "badaudio" / "badaudio.tar.gz") as archive:
        archive.extractall(folder, members=[m for m in archive if "extra/man_" in m.name], filter="data")
    (folder / "kind").mkdir()
    (folder / "kind" / "target.wav").touch()  # the archive lacks the recording that its good manifest names
    return folder


def test_manifests_that_are_broken(broken: Path, shared: Path) -> None:
    with (shared / "badaudio" / "index.csv").open(encoding="utf-8") as stream:
        cases = [row for row in csv.DictReader(stream) if row["group"] == "manifest"]
    assert len(cases) == 6
    for case in cases:
        path = broken / case["file"]
        root = path.parent if "root is set" in case["note"] else None
        if case["expect"] == "accept":
            assert read_manifest(path, root=root, check_files=True).speakers == ["s1"]
            continue
        error = refusal(path, root=root, check_files=True)
        assert error.code == case["error_code"], case["file"]
        if "line 2" in case["note"]:
            assert f"{path}:2:" in str(error)


@pytest.mark.parametrize("corpus", CORPORA)
def test_real_manifests_as_pandas_reads_them(shared: Path, corpus: str) -> None:
    path = shared / "data" / corpus / "manifest.csv"
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    manifest = read_manifest(path)
    assert manifest.speakers == table["speaker"].tolist()
    assert manifest.relative() == table["path"].tolist()
    assert manifest.durations.tolist() == table["duration_s"].astype(float).tolist()
    assert all(column == table[name].tolist() for name, column in manifest.extra.items())
    assert set(manifest.extra) == set(table.columns) - {"path", "speaker", "duration_s"}
    test = read_manifest(path, where={"split": ["test", "dev"], "lang": table["lang"][0]})
    chosen = table[table["split"].isin(["test", "dev"]) & (table["lang"] == table["lang"][0])]
    assert test.relative() == chosen["path"].tolist()
    assert test.hours == pytest.approx(chosen["duration_s"].astype(float).sum() / 3600)


def test_real_files_are_there(shared: Path) -> None:
    manifest = read_manifest(shared / "data" / "libri_mini" / "manifest.csv", check_files=True)
    assert all(utterance.path.is_file() for utterance in manifest)


def test_noise_has_no_speaker(shared: Path) -> None:
    path = shared / "data" / "noise" / "manifest.csv"
    assert "no column 'speaker'" in str(refusal(path))
    manifest = read_manifest(path, speaker=None, where={"kind": "noise"})
    assert set(manifest.speakers) == {""}
    assert len(manifest) == (pd.read_csv(path)["kind"] == "noise").sum()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(NAME, min_size=1, max_size=3), FIELD, st.floats(1e-6, 1e6), FIELD | st.just("")),
        min_size=1,
        max_size=6,
        unique_by=lambda row: tuple(row[0]),
    )
)
def test_there_and_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[list[str], str, float, str]]) -> None:
    folder = tmp_path_factory.mktemp("m").resolve()
    utterances = [Utterance(folder.joinpath(*parts), who, seconds, {"text": text}) for parts, who, seconds, text in rows]
    write_manifest(folder / "m.csv", utterances)
    assert list(read_manifest(folder / "m.csv", root=folder)) == utterances
    table = pd.read_csv(folder / "m.csv", dtype=str, keep_default_na=False)
    assert table["speaker"].str.strip("\ufeff").tolist() == [who.strip("\ufeff") for _, who, _, _ in rows]


def test_paths_are_relative_to_the_folder_of_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    write_manifest(tmp_path / "lists" / "m.csv", [Utterance(tmp_path / "audio" / "a.wav", "anna", 1.5)])
    assert (tmp_path / "lists" / "m.csv").read_text() == "path,speaker,duration\n../audio/a.wav,anna,1.5\n"
    assert read_manifest(tmp_path / "lists" / "m.csv")[0].path == tmp_path.resolve() / "audio" / "a.wav"


def test_a_link_to_the_folder_does_not_mislead(tmp_path: Path) -> None:
    (tmp_path / "deep" / "lists").mkdir(parents=True)
    (tmp_path / "deep" / "a.wav").touch()
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "lists")
    write_manifest(tmp_path / "link" / "m.csv", [Utterance(tmp_path / "deep" / "a.wav", "anna", 1.5)])
    assert read_manifest(tmp_path / "link" / "m.csv", check_files=True).relative() == ["../a.wav"]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('path,speaker,duration,text\na.wav,s,1,"two\nlines"\nb.wav,s\n', 4, "4 fields"),
        ('path,speaker,duration,text\na.wav,s,1,"two\nlines"\n"b.wav,s,1\n', 4, "not a row of CSV"),
        ("path,speaker,duration\na.wav,s,1\n\nb.wav,s,nan\n", 4, "'nan'"),
        ("path,speaker,duration\na.wav,s,one\n", 2, "'one'"),
        ("path,speaker,duration_s\na.wav,s,0\n", 2, "duration_s is '0'"),
        ("path,speaker,duration\na.wav,s,1\nb.wav,,1\n", 3, "speaker is empty"),
        ("path,speaker,duration\n,s,1\n", 2, "path is empty"),
        ("path,speaker,duration\na.wav,s,1\nb.wav,s,1\na.wav,t,1\n", 4, "path of line 2"),
        ("id,path,speaker,duration\nx,a.wav,s,1\nx,b.wav,s,1\n", 3, "id of line 2"),
        ("path,speeker,duration\na.wav,s,1\n", 1, "did you mean 'speeker'"),
        ("path,speaker\na.wav,s\n", 1, "no column 'duration'"),
        ("path,speaker,duration,path\na.wav,s,1,b\n", 1, "named twice"),
        (b"path,speaker,duration\na.wav,s,1\n\xe9.wav,s,1\n", 3, "UTF-8"),
        ("path,speaker,duration\na.wav,s,1\n".encode("utf-16"), 1, "UTF-8"),
        ("path,speaker,duration\na.wav,s,1\n".encode("utf-16-le"), 1, "UTF-8"),
        ('{"path": "a.wav", "speaker": "s", "duration": 1}\n\n[1]\n', 3, "not a JSON object"),
        ('{"path": "a.wav", "speaker": "s", "duration": null}\n', 1, "''"),
        ('{"path": "a.wav", "speaker": "s", "duration": 1}\n{"a": ' + "[" * 100000 + "\n", 2, "JSON"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str | bytes, line: int, says: str) -> None:
    path = written(tmp_path, text)
    error = refusal(path)
    assert error.code == "E_MANIFEST"
    assert str(error).startswith(f"{path}:{line}: ")
    assert says in str(error)


@pytest.mark.parametrize("text", ["", "\n\n", "path,speaker,duration\n"])
def test_empty(tmp_path: Path, text: str) -> None:
    assert refusal(written(tmp_path, text)).code == "E_MANIFEST"


def test_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "gone.csv").code == "E_NOT_FILE"
    assert refusal(tmp_path).code == "E_NOT_FILE"
    assert refusal(tmp_path / ("x" * 300)).code == "E_NOT_FILE"


def test_not_to_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "path,speaker,duration\na.wav,s,1\n")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may read anything
    assert "no permission" in str(refusal(path))


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.wav", "a/../../x.wav", "..", "./../x.wav", "a//../../x.wav"])
def test_a_path_must_not_leave_a_root_that_was_given(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, f"path,speaker,duration\nok.wav,s,1\n{name},s,1\n")
    error = refusal(path, root=tmp_path)
    assert f"{path}:3: " in str(error)
    assert "leaves" in str(error)
    read_manifest(path)  # without a root the manifest is believed


@pytest.mark.parametrize("name", ["a..wav", "..wav", "b/c..d/.x", "./a.wav", "a/../b.wav", "a//b.wav"])
def test_dots_that_leave_nothing(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, f"path,speaker,duration\n{name},s,1\n")
    assert read_manifest(path, root=tmp_path)[0].path == (tmp_path / name).resolve()


def test_missing_recordings_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    path = written(tmp_path, "path,speaker,duration\na.wav,s,1\nb.wav,s,1\nc.wav,s,1\n")
    error = refusal(path, check_files=True)
    assert error.code == "E_NOT_FILE"
    assert f"{path}:3: 2 of 3" in str(error)


def test_where(tmp_path: Path) -> None:
    path = written(tmp_path, "path,speaker,duration,split,rate\na.wav,s,1,train,8\nb.wav,t,1,test,16\nc.wav,t,1,dev,16\n")
    assert read_manifest(path, where={"rate": 16}).relative() == ["b.wav", "c.wav"]
    assert read_manifest(path, where={"split": ("train", "dev"), "speaker": "t"}).relative() == ["c.wav"]
    assert "there is split: dev, test, train" in str(refusal(path, where={"split": "trian"}))
    assert "did you mean 'split'" in str(refusal(path, where={"splitt": "train"}))


def test_the_same_recording_may_be_in_another_split(tmp_path: Path) -> None:
    path = written(tmp_path, "path,speaker,duration,split\na.wav,s,1,train\na.wav,s,1,test\n")
    assert len(read_manifest(path, where={"split": "test"})) == 1
    assert "path of line 2" in str(refusal(path))


def test_pieces_of_one_recording(tmp_path: Path) -> None:
    path = written(tmp_path, "path,start,speaker,duration\na.wav,0,s,1\na.wav,2,s,1\n")
    assert read_manifest(path).column("start") == ["0", "2"]


def test_json_lines_and_csv_say_the_same(tmp_path: Path) -> None:
    rows = [{"path": "a.wav", "speaker": "s", "duration": 1.25, "age": 30}, {"path": "b.wav", "speaker": "t", "duration": 2}]
    jsonl = written(tmp_path, "\n".join(json.dumps(row) for row in rows), "m.jsonl")
    table = written(tmp_path, "path,speaker,duration,age\na.wav,s,1.25,30\nb.wav,t,2,\n")
    assert list(read_manifest(jsonl)) == list(read_manifest(table))


def test_a_manifest_is_a_sequence(tmp_path: Path) -> None:
    rows = [Utterance(tmp_path / f"{number}.wav", "ab"[number % 2], number + 1.0, {"n": str(number)}) for number in range(5)]
    manifest = Manifest.of(rows, tmp_path)
    assert list(manifest) == rows
    assert list(manifest[1:4:2]) == rows[1:4:2]
    assert manifest[-1] == rows[-1]
    names, index = manifest.labels()
    assert [names[number] for number in index] == manifest.speakers
    assert manifest.relative() == [f"{number}.wav" for number in range(5)]
    assert manifest.hours == pytest.approx(15 / 3600)
    with pytest.raises(DataError, match="did you mean 'speaker'"):
        manifest.column("speakers")


def test_two_corpora_as_one(shared: Path) -> None:
    first, second = (read_manifest(shared / "data" / name / "manifest.csv") for name in ("libri_mini", "fsdd"))
    both = first + second
    assert list(both) == [*first, *second]
    assert both.root == (shared / "data").resolve()
    assert both.relative()[0] == f"libri_mini/{first.relative()[0]}"
    assert np.isclose(both.hours, first.hours + second.hours)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = written(tmp_path, "old")
    with pytest.raises(DataError, match="not UTF-8") as caught:
        write_manifest(path, [Utterance(tmp_path / "a.wav", "s", 1.0), Utterance(tmp_path / "\udcff.wav", "s", 1.0)])
    assert caught.value.code == "E_NAME"
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["m.csv"]
