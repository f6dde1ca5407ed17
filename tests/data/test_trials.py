"""Trial lists: the real ones, every format there and back, and lines that are no trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxid.data.trials import Format, Trial, convert, read_trials, write_trials
from voxid.errors import DataError

# Any name that a list of blank-separated fields can hold; those that look like labels or numbers have a test of their own.
NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=" \t\n\r\x0b\x0c"), min_size=1, max_size=8).map(
    lambda s: f"/{s}"
)
FORMATS = get_args(Format)
TWO = [Trial("a", "b", True), Trial("c", "d", False)]


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "list.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_voxceleb1_o(shared: Path) -> None:
    folder = shared / "peers" / "trials"
    original, cleaned = read_trials(folder / "vox_original.txt"), read_trials(folder / "cleaned_test_list.txt")
    assert (len(original), sum(bool(t.label) for t in original)) == (37720, 18860)
    assert len(cleaned) == 37611  # as published; its last line has no line break, so wc -l says 37610
    for trial in original + cleaned:
        assert trial.label == (trial.enrol.split("/")[0] == trial.test.split("/")[0])


def test_lists_of_the_protocols_name_recordings_that_are_there(shared: Path) -> None:
    lists = sorted((shared / "data" / "protocols").glob("*.trials"))
    assert len(lists) >= 8
    for path in lists:
        trials = read_trials(path)
        plain = [line.split() for line in path.read_text().splitlines()]
        assert [[str(int(bool(t.label))), t.enrol, t.test] for t in trials] == plain
        corpus = next(name for name in ("cv_fr", "cv_multi", "speech_commands", "libri_mini") if path.name.startswith(name))
        assert all((shared / "data" / corpus / name).is_file() for name in {t.enrol for t in trials} | {t.test for t in trials})


@pytest.mark.parametrize("format", FORMATS)
def test_real_lists_there_and_back(shared: Path, tmp_path: Path, format: Format) -> None:
    path = shared / "peers" / "trials" / "vox_original.txt"
    trials = read_trials(path)
    assert convert(path, tmp_path / "other", format=format) == len(trials)
    assert read_trials(tmp_path / "other") == trials
    convert(tmp_path / "other", tmp_path / "again", format="voxceleb")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(FORMATS),
    st.lists(st.tuples(NAME, NAME, st.booleans(), st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=5),
    st.booleans(),
    st.booleans(),
)
def test_there_and_back(
    tmp_path_factory: pytest.TempPathFactory,
    format: Format,
    rows: list[tuple[str, str, bool, float]],
    labelled: bool,
    scored: bool,
) -> None:
    path = tmp_path_factory.mktemp("t") / "list"
    trials = [Trial(a, b, label if labelled else None, score if scored else None) for a, b, label, score in rows]
    write_trials(path, trials, format=format)
    kept = trials if format == "wespeaker" else [trial._replace(score=None) for trial in trials]
    assert read_trials(path) == kept
    assert read_trials(path, format=format) == kept


@pytest.mark.parametrize(
    ("line", "trial"),
    [
        ("1 a b", Trial("a", "b", True)),
        ("0\ta\t b ", Trial("a", "b", False)),
        ("a b target", Trial("a", "b", True)),
        ("a b nontarget", Trial("a", "b", False)),
        ("1 b target", Trial("1", "b", True)),
        ("a b 0", Trial("a", "b", False)),
        ("1 2 0", Trial("2", "0", True)),
        ("a b 0.25 target", Trial("a", "b", True, 0.25)),
        ("a b -1e-3 0", Trial("a", "b", False, -0.001)),
        ("a b 7.5 nontarget 0.1 0.2", Trial("a", "b", False, 7.5)),
        ("a b", Trial("a", "b")),
        ("a b 0.5", Trial("a", "b", None, 0.5)),
        ("1 a\u00a0b \u3000c", Trial("a\u00a0b", "\u3000c", True)),
    ],
)
def test_the_first_line_says_which_kind(tmp_path: Path, line: str, trial: Trial) -> None:
    assert read_trials(written(tmp_path, f"\ufeff{line}\r\n\r\n{line}")) == [trial, trial]


def test_names_that_look_like_labels(tmp_path: Path) -> None:
    for format in FORMATS:
        trials = [Trial("1", "target", True), Trial("0", "nontarget", False), Trial("1", "0", True)]
        write_trials(tmp_path / "list", trials, format=format)
        assert read_trials(tmp_path / "list", format=format) == trials


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1 a b\n1 a\n", 2),
        ("1 a b\n\n\n2 a b\n", 4),
        ("1 a b c d\n", 1),
        ("a\n", 1),
        ("a b c\n", 1),
        ("a b target\n1 a b\n", 2),
        ("a b\n1 a b\n", 2),
        ("a b 0.5 target\na b half target\n", 2),
        ("a b 0.5 target\na b nan target\n", 2),
        ("a b 0.5 target\na b 0.5 target 0.1 0.2\n", 2),
        (b"1 a b\n0 \xff b\n", 2),
        ("1 a b\n".encode("utf-16"), 1),
        ("path,speaker,duration\n", 1),
        ("1 a b\n" * 30000 + "0 a\n", 30001),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, text: str | bytes, line: int) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_trials(path)
    assert caught.value.code == "E_TRIALS"
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_a_format_that_was_asked_for_is_held(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1\|0 enrol test"):
        read_trials(written(tmp_path, "a b target\n"), format="voxceleb")
    with pytest.raises(DataError, match="did you mean 'kaldi'"):
        read_trials(tmp_path / "list.txt", format="kaldy")  # type: ignore[arg-type]


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no trial") as caught:
        read_trials(written(tmp_path, "\n \n"))
    assert caught.value.code == "E_TRIALS"
    for name in ("gone", "x" * 300, "."):
        with pytest.raises(DataError) as caught:
            read_trials(tmp_path / name)
        assert caught.value.code == "E_NOT_FILE"


@pytest.mark.parametrize(
    ("trials", "says"),
    [
        ([], "no trial"),
        ([Trial("a b", "c", True)], "blank"),
        ([Trial("a", "", True)], "empty"),
        ([Trial("a\n", "c", True)], "blank"),
        ([Trial("\udcff", "c", True)], "UTF-8"),
        ([Trial("\ufeffa", "c", True)], "cannot stand"),
        ([*TWO, Trial("a", "c")], "1 of 3 trials have no label"),
        ([TWO[0]._replace(score=0.5), TWO[1]], "1 of 2 trials have no score"),
        ([TWO[0]._replace(score=math.nan)], "NaN"),
    ],
)
def test_what_a_list_cannot_hold_leaves_the_old_file(tmp_path: Path, trials: Sequence[Trial], says: str) -> None:
    path = written(tmp_path, "old")
    for format in FORMATS:
        with pytest.raises(DataError, match=says):
            write_trials(path, trials, format=format)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_the_three_formats_as_text(tmp_path: Path) -> None:
    scored = [trial._replace(score=score) for trial, score in zip(TWO, (0.5, -1.0), strict=True)]
    expected = {
        "voxceleb": "1 a b\n0 c d\n",
        "kaldi": "a b target\nc d nontarget\n",
        "wespeaker": "a b 0.5 target\nc d -1.0 nontarget\n",
    }
    for format in FORMATS:
        write_trials(tmp_path / "list", scored, format=format)
        assert (tmp_path / "list").read_text() == expected[format]


def test_a_list_may_be_converted_in_place(tmp_path: Path) -> None:
    path = written(tmp_path, "1 a b\n0 c d\n")
    assert convert(path, path, format="kaldi") == 2
    assert path.read_text() == "a b target\nc d nontarget\n"
