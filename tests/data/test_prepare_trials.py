"""Trial lists out of manifests, and out of other trial lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxid.data.manifest import read_manifest
from voxid.data.prepare_trials import prepare_trials
from voxid.data.trials import Trial, read_trials, write_trials
from voxid.errors import DataError


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rows = [
        f"{who}/{n}.wav,{who},1.5,{'f' if who < 'c' else 'm'},s{n % 2},{split}" for n in range(4) for who, split in SPLITS.items()
    ]
    path = tmp_path / "m.csv"
    path.write_text("path,speaker,duration,gender,session,split\n" + "\n".join(rows) + "\n")
    return path


SPLITS = {"anna": "test", "beth": "test", "carl": "test", "dirk": "test", "emil": "train"}


def test_a_list_from_a_manifest(manifest: Path, tmp_path: Path) -> None:
    result = prepare_trials(manifest, output=tmp_path / "list", targets=8, nontargets=12, where={"split": "test"}, train=manifest)
    trials = read_trials(tmp_path / "list", format="voxceleb")
    assert (result.targets, result.nontargets, result.unlabelled, len(trials)) == (8, 12, 0, 20)
    assert all(trial.label == (trial.enrol[:4] == trial.test[:4]) for trial in trials)
    assert "emil" not in {name[:4] for trial in trials for name in trial[:2]}
    assert result.root == str(tmp_path.resolve())
    assert (
        result.describe()
        == f"{tmp_path / 'list'}: 8 target, 12 non-target trials (voxceleb); their paths are relative to {result.root}"
    )


def test_the_options_reach_the_draw(manifest: Path, tmp_path: Path) -> None:
    options = {"same": ["gender"], "different": ["session"], "where": {"split": "test"}, "format": "kaldi"}
    for seed in (1, 2):
        prepare_trials(manifest, output=tmp_path / f"list{seed}", targets=16, nontargets=20, seed=seed, **options)
    first, second = (read_trials(tmp_path / f"list{seed}", format="kaldi") for seed in (1, 2))
    assert first != second
    parity = {True: {1}, False: {0, 1}}
    assert all((int(t.enrol[5]) + int(t.test[5])) % 2 in parity[bool(t.label)] for t in first)
    assert all(t.label or ("anna" in t.enrol or "beth" in t.enrol) == ("anna" in t.test or "beth" in t.test) for t in first)


def test_one_number_stands_for_both(manifest: Path, tmp_path: Path) -> None:
    for options in ({"targets": 7}, {"nontargets": 7}):
        result = prepare_trials(manifest, output=tmp_path / "list", **options)
        assert (result.targets, result.nontargets) == (7, 7)
    result = prepare_trials(manifest, output=tmp_path / "list", targets=7, nontargets=0)
    assert (result.targets, result.nontargets) == (7, 0)


def test_a_speaker_of_the_training_is_an_error(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1 speaker is both .* emil") as caught:
        prepare_trials(manifest, output=tmp_path / "list", targets=5, train=manifest)
    assert caught.value.code == "E_OVERLAP"
    plain = tmp_path / "train.csv"
    plain.write_text("path,speaker,duration\nx.wav,anna,1\n")
    with pytest.raises(DataError, match="anna"):
        prepare_trials(manifest, output=tmp_path / "list", targets=5, train=plain)
    assert not (tmp_path / "list").exists()


def test_conversion(tmp_path: Path) -> None:
    scored = [Trial("a", "b", True, 0.5), Trial("c", "d", False, -1.0)]
    write_trials(tmp_path / "scores", scored, format="wespeaker")
    result = prepare_trials(tmp_path / "scores", output=tmp_path / "list", format="voxceleb")
    assert (tmp_path / "list").read_text() == "1 a b\n0 c d\n"
    assert (result.targets, result.nontargets, result.root) == (1, 1, None)
    (tmp_path / "blind").write_text("a b\nc d\n")
    assert prepare_trials(tmp_path / "blind", output=tmp_path / "list").unlabelled == 2
    assert (tmp_path / "list").read_text() == "a b\nc d\n"


@pytest.mark.parametrize(
    "option", [{"targets": 5}, {"same": ["gender"]}, {"where": {"split": "test"}}, {"train": "m.csv"}, {"root": "/"}]
)
def test_options_that_a_conversion_would_ignore(tmp_path: Path, option: dict[str, object]) -> None:
    (tmp_path / "list").write_text("1 a b\n")
    with pytest.raises(DataError, match=f"leave out {next(iter(option))}"):
        prepare_trials(tmp_path / "list", output=tmp_path / "other", **option)


def test_what_a_manifest_needs_is_said(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="say how many"):
        prepare_trials(manifest, output=tmp_path / "list")
    with pytest.raises(DataError, match="no such file"):
        prepare_trials(tmp_path / "gone", output=tmp_path / "list", targets=5)
    with pytest.raises(DataError, match="make it first"):
        prepare_trials(manifest, output=tmp_path / "gone" / "list", targets=5)


def test_manifests_go_by_their_content(manifest: Path, tmp_path: Path) -> None:
    unnamed = tmp_path / "manifest"
    unnamed.write_bytes(b"\xef\xbb\xbf" + manifest.read_bytes())
    assert prepare_trials(unnamed, output=tmp_path / "list", targets=5).targets == 5
    (tmp_path / "commas").write_text("1 a,b,path b,c\n")
    assert prepare_trials(tmp_path / "commas", output=tmp_path / "list", format="kaldi").targets == 1


def test_a_real_corpus(shared: Path, tmp_path: Path) -> None:
    path = shared / "data" / "cv_fr" / "manifest.csv"
    where = {"split": "test"}
    result = prepare_trials(
        path, output=tmp_path / "list", targets=500, nontargets=5000, where=where, train=path, different=["text"]
    )
    names = set(read_manifest(path, where=where).relative())
    trials = read_trials(tmp_path / "list")
    assert {name for trial in trials for name in trial[:2]} <= names
    assert sum(bool(trial.label) for trial in trials) == result.targets == 500
