"""Several manifests as one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from voxid.data.manifests import read_manifests
from voxid.errors import ConfigError, DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, speaker in (("one", "anna"), ("two", "ben")):
        (tmp_path / name).mkdir()
        rows = "".join(f"{number}.wav,{speaker},1,{split}\n" for number, split in enumerate(["train", "test"]))
        (tmp_path / name / "m.csv").write_text(f"path,speaker,duration,split\n{rows}")
    return Path(os.path.realpath(tmp_path))


def test_rows_stand_in_the_order_of_the_manifests(folder: Path) -> None:
    found = read_manifests([folder / "two" / "m.csv", str(folder / "one" / "m.csv")])
    assert found.paths == [str(folder / name / f"{number}.wav") for name in ("two", "one") for number in range(2)]
    assert found.speakers == ["ben", "ben", "anna", "anna"]


def test_one_path_is_one_manifest(folder: Path) -> None:
    assert read_manifests(str(folder / "one" / "m.csv"), where={"split": "test"}).paths == [str(folder / "one" / "1.wav")]


@pytest.mark.parametrize(("root", "expected"), [("/x", ["/x/0.wav", "/x/0.wav"]), (["/x", "/y"], ["/x/0.wav", "/y/0.wav"])])
def test_one_root_for_all_or_one_each(folder: Path, root: str | list[str], expected: list[str]) -> None:
    manifests = [folder / "one" / "m.csv", folder / "two" / "m.csv"]
    assert read_manifests(manifests, root=root, where={"split": "train"}).paths == expected


def test_refusals(folder: Path) -> None:
    one = folder / "one" / "m.csv"
    with pytest.raises(ConfigError, match="1 manifests and 2 roots"):
        read_manifests(one, root=["/x", "/y"])
    with pytest.raises(ConfigError, match="0 manifests"):
        read_manifests([])
    with pytest.raises(DataError, match="split: test, train") as caught:
        read_manifests([one, folder / "two" / "m.csv"], where={"split": "dev"})
    assert caught.value.code == "E_MANIFEST"
