"""The homework's folder, in miniature, whole and broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from voxid.data.feature_files import FeatureFiles
from voxid.data.manifest import read_manifest
from voxid.data.prepare_hw4 import prepare_hw4
from voxid.errors import DataError


def homework(folder: Path, **changed) -> Path:
    """Two speakers with two utterances each, and one without a label, in the homework's shape."""
    folder.mkdir(exist_ok=True)
    speakers: dict[str, list] = {}
    for number in range(4):
        name, frames = f"uttr-{number:032x}.pt", 100 + number
        torch.save(torch.full((frames, 40), float(number)), folder / name)
        speakers.setdefault(f"id0{number % 2}", []).append({"feature_path": name, "mel_len": frames})
    torch.save(torch.zeros(50, 40), folder / "uttr-test.pt")
    files = {
        "metadata.json": {"n_mels": 40, "speakers": speakers},
        "mapping.json": {"speaker2id": {"id00": 0, "id01": 1}, "id2speaker": {"0": "id00", "1": "id01"}},
        "testdata.json": {"n_mels": 40, "utterances": [{"feature_path": "uttr-test.pt", "mel_len": 50}]},
    }
    for name, content in (files | changed).items():
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_manifests_of_the_homework(tmp_path: Path) -> None:
    result = prepare_hw4(homework(tmp_path / "hw4"), output=tmp_path / "train.csv")
    rows = read_manifest(tmp_path / "train.csv")
    assert sorted(zip(rows.speakers, rows.column("class"), rows.column("frames"), strict=True)) == [
        ("id00", "0", "100"),
        ("id00", "0", "102"),
        ("id01", "1", "101"),
        ("id01", "1", "103"),
    ]
    assert rows.durations.tolist() == pytest.approx([1.0, 1.02, 1.01, 1.03])
    files = FeatureFiles(rows.paths, result.num_bins)
    assert [files.num_samples(number) for number in range(4)] == [100, 102, 101, 103]
    assert float(files.read(1, 5, 6)[0, 0]) == 2.0
    test = read_manifest(result.test, speaker=None)
    assert [Path(path).name for path in test.paths] == ["uttr-test.pt"]
    assert result.describe().startswith(f"{tmp_path}/train.csv: 4 utterances of 2 speakers, 40 bins")


def test_without_test_data_there_is_no_second_manifest(tmp_path: Path) -> None:
    folder = homework(tmp_path / "hw4")
    (folder / "testdata.json").unlink()
    assert prepare_hw4(folder, output=tmp_path / "train.csv").test is None
    assert not (tmp_path / "train.test.csv").exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"metadata.json": "{"},
        {"metadata.json": {"n_mels": 40}},
        {"metadata.json": {"n_mels": "40", "speakers": {}}},
        {"metadata.json": {"n_mels": 40, "speakers": {}}},
        {"metadata.json": {"n_mels": 40, "speakers": {"id00": [{"feature_path": "nope.pt", "mel_len": 5}]}}},
        {"metadata.json": {"n_mels": 40, "speakers": {"id00": ["uttr"]}}},
        {"metadata.json": {"n_mels": 40, "speakers": {"id77": []}}},
        {"mapping.json": []},
    ],
)
def test_a_folder_of_another_kind_is_one_line(tmp_path: Path, changed: dict) -> None:
    with pytest.raises(DataError) as caught:
        prepare_hw4(homework(tmp_path / "hw4", **changed), output=tmp_path / "train.csv")
    assert caught.value.code == "E_LAYOUT"
    assert not (tmp_path / "train.csv").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="metadata") as caught:
        prepare_hw4(tmp_path, output=tmp_path / "train.csv")
    assert caught.value.code == "E_NOT_FILE"
