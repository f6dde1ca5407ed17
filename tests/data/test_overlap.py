"""Speakers who are in the training and in the test data."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxid.data.manifest import Utterance, read_manifest
from voxid.data.overlap import check_overlap
from voxid.errors import DataError


def people(*names: str) -> list[Utterance]:
    return [Utterance(Path(f"{name}.wav"), name, 1.0) for name in names]


def test_speakers_in_both_are_named() -> None:
    with pytest.raises(DataError, match=r"2 speakers are both .*: anna, ben") as caught:
        check_overlap(people("anna", "carl", "ben"), people("ben", "dora", "anna"))
    assert caught.value.code == "E_OVERLAP"
    with pytest.raises(DataError, match=r"8 speakers are .*: a, b, c, d, e \.\.\."):
        check_overlap(people(*"abcdefgh"), people(*"hgfedcba"))


def test_none_in_both() -> None:
    assert check_overlap(people("anna"), people("ben")) is None
    assert check_overlap([], people("ben")) is None


@pytest.mark.parametrize("corpus", ["cv_fr", "cv_multi", "speech_commands", "libri_mini"])
def test_real_splits(shared: Path, corpus: str) -> None:
    path = shared / "data" / corpus / "manifest.csv"
    train, dev, test = (read_manifest(path, where={"split": split}) for split in ("train", "dev", "test"))
    for first, second in ((train, dev), (train, test), (dev, test)):
        assert check_overlap(first, second) is None
    with pytest.raises(DataError, match=rf"{len(set(test.speakers))} speakers"):
        check_overlap(train + test, test)


def test_a_closed_set_is_noticed(shared: Path) -> None:
    path = shared / "data" / "fsdd" / "manifest.csv"
    with pytest.raises(DataError, match="6 speakers"):
        check_overlap(read_manifest(path, where={"split": "train"}), read_manifest(path, where={"split": "test"}))
