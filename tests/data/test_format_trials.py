"""The trial lists of corpora, as lists over their unpacked folders."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from voxid.data.format_trials import format_trials
from voxid.data.trials import read_trials
from voxid.errors import ConfigError, DataError

VOX = ["id10270/5r0dWxy17C8/00001.wav", "id10270/5sJomL_D0_g/00002.wav", "id10300/ize_eiCFEg0/00003.wav"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "corpus").mkdir()
    return tmp_path / "corpus"


def put(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def voxceleb(root: Path) -> Path:
    source = root.parent / "veri_test2.txt"
    source.write_text(f"1 {VOX[0]} {VOX[1]}\n0 {VOX[0]} {VOX[2]}\n")
    return source


@pytest.mark.parametrize(
    ("places", "suffix"), [(("", "", ""), ".wav"), (("wav/",) * 3, ".wav"), (("test/wav/", "dev/wav/", "test/wav/"), ".flac")]
)
def test_names_of_voxceleb1_are_found(root: Path, places: tuple[str, str, str], suffix: str) -> None:
    there = [place + name.replace(".wav", suffix) for place, name in zip(places, VOX, strict=True)]
    put(root, *there)
    result = format_trials(voxceleb(root), root=root, output=root.parent / "o.trials")
    lines = (root.parent / "o.trials").read_text().splitlines()
    assert lines == [f"1 {there[0]} {there[1]}", f"0 {there[0]} {there[2]}"]
    assert (result.targets, result.nontargets, result.missing, result.missing_list) == (1, 1, 0, None)
    assert (
        result.describe()
        == f"{root.parent / 'o.trials'}: 1 target, 1 non-target trials (voxceleb); their paths are relative to {root}"
    )


def test_an_enrolment_of_cnceleb_is_its_concatenation(root: Path) -> None:
    put(root, "eval/enroll/id00800-enroll.flac", "eval/test/id00800-singing-01-002.flac", "eval/test/id00801-vlog-01-001.flac")
    put(root, "data/id00800/interview-01-013.flac")
    source = root / "eval/lists/trials.lst"
    source.parent.mkdir()
    source.write_text("id00800-enroll test/id00800-singing-01-002.wav 1\nid00800-enroll test/id00801-vlog-01-001.flac 0\n")
    format_trials(source, root=root, output=root.parent / "o.trials", format="kaldi")
    assert (root.parent / "o.trials").read_text().splitlines() == [
        "eval/enroll/id00800-enroll.flac eval/test/id00800-singing-01-002.flac target",
        "eval/enroll/id00800-enroll.flac eval/test/id00801-vlog-01-001.flac nontarget",
    ]


def test_missing_recordings_are_reported(root: Path) -> None:
    put(root, VOX[0], VOX[2])
    output = root.parent / "o.trials"
    with pytest.raises(DataError, match=rf"1 of 3 recordings of the list are not in .*; the first: {VOX[1]}") as caught:
        format_trials(voxceleb(root), root=root, output=output)
    assert caught.value.code == "E_NOT_FILE"
    assert not output.exists()
    result = format_trials(voxceleb(root), root=root, output=output, on_missing="skip")
    assert (result.targets, result.nontargets, result.missing) == (0, 1, 1)
    assert Path(result.missing_list or "").read_text() == f"path\n{VOX[1]}\n"
    assert "1 recordings are not there" in result.describe()
    put(root, VOX[1])
    format_trials(voxceleb(root), root=root, output=output)
    assert not Path(result.missing_list or "").exists()


def test_nothing_of_a_list_is_there(root: Path) -> None:
    put(root, "wav/else.wav")
    with pytest.raises(DataError, match="none of its 2 trials"):
        format_trials(voxceleb(root), root=root, output=root.parent / "o", on_missing="skip")
    with pytest.raises(DataError, match="no such folder"):
        format_trials(voxceleb(root), root=root / "gone", output=root.parent / "o")
    with pytest.raises(ConfigError, match="did you mean 'skip'"):
        format_trials(voxceleb(root), root=root, output=root.parent / "o", on_missing="skp")


def test_the_cleaned_list_of_voxceleb1(shared: Path, root: Path) -> None:
    """All of it, over a tree of empty files of the same names."""
    source = shared / "peers" / "trials" / "cleaned_test_list.txt"
    before = [line.split() for line in source.read_text().splitlines()]
    put(root, *{f"wav/{name}" for line in before for name in line[1:]})
    result = format_trials(source, root=root, output=root.parent / "o.trials")
    after = read_trials(root.parent / "o.trials", format="voxceleb")
    assert [[str(int(bool(t.label))), t.enrol.removeprefix("wav/"), t.test.removeprefix("wav/")] for t in after] == before
    assert Counter(line[0] for line in before) == {"1": result.targets, "0": result.nontargets}
    assert all(trial.enrol.startswith("wav/") for trial in after)
