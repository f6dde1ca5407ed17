"""Trial lists as columns: the same trials as row by row, whatever the blocks, and lines where they may go wrong."""

from __future__ import annotations

import gc
import math
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxid.data import trial_table
from voxid.data.trial_formats import Format
from voxid.data.trial_table import TrialTable, places_of, read_trial_table, write_trial_table
from voxid.data.trials import Trial, read_trials, rows_of, table_of
from voxid.errors import DataError

FORMATS = get_args(Format)
# What separates fields, what ends lines, what is neither, and labels.
PIECES = [b" ", b"\t", b"\n", b"\r\n", b"\n\n", b"\x0b", b"\0", b"1", b"0", b"a", b"bc", b"\xc3\xa9", b"\xff", b"target", b"0.5"]


def plain(path: Path) -> list[list[bytes]]:
    """Fields line by line, as simply as can be."""
    text = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    return [fields for line in text.split(b"\n") if (fields := line.split())]


def columns(table: TrialTable) -> list[list[str]]:
    return [[table.names[place] for place in side] for side in (table.enrol, table.test)]


@pytest.mark.parametrize("size", [1, 7, 64, 1 << 16])
def test_blocks_do_not_change_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    path = tmp_path / "list"
    lines = [f"{row % 2} enrol{row % 7}.wav test{row % 11}.wav" + ("\r\n\n" if row % 5 == 0 else "\n") for row in range(200)]
    path.write_text("\ufeff\n" + "".join(lines).rstrip(), encoding="utf-8", newline="")
    monkeypatch.setattr(trial_table, "BYTES", size)
    table = read_trial_table(path)
    assert columns(table) == [[f"enrol{row % 7}.wav" for row in range(200)], [f"test{row % 11}.wav" for row in range(200)]]
    assert table.labels is not None
    assert table.labels.tolist() == [row % 2 == 1 for row in range(200)]
    assert len(table.names) == len(set(table.names)) == 18


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(PIECES), max_size=12), st.sampled_from([2, 3, 1 << 16]))
def test_odd_bytes_are_read_as_line_by_line_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: list[bytes], size: int
) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"x y 1\n" + b"".join(pieces))
    monkeypatch.setattr(trial_table, "BYTES", size)
    rows = plain(path)
    names_decode = all(_decodes(name) for row in rows for name in row[:2])
    if names_decode and all(len(row) == 3 and row[2] in (b"0", b"1") for row in rows):
        table = read_trial_table(path)
        assert columns(table) == [[row[side].decode() for row in rows] for side in (0, 1)]
    else:
        with pytest.raises(DataError, match=f"^{path}:[0-9]+: .* is no trial; the first line says: ") as caught:
            read_trial_table(path)
        assert caught.value.code == "E_TRIALS"


def _decodes(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_a_name_that_is_the_mark_of_a_line_end(tmp_path: Path) -> None:
    """Fields are split by a mark at every end of a line: a list that holds this very mark is split line by line."""
    path = tmp_path / "list"
    path.write_bytes(b"1 a \0\n0 \0 b\n")
    assert columns(read_trial_table(path)) == [["a", "\0"], ["\0", "b"]]
    # Lines of 3, 2 and 4 fields, whose marks stand where those of three good lines would.
    path.write_bytes(b"1 a b\n1 a\n\0 0 a b\n")
    with pytest.raises(DataError, match="list:2: '1 a' is no trial"):
        read_trial_table(path)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\ufeff1 a b\n1 a\n", 2),
        ("\n\n\nx\n", 4),
        ("a b\nc\nd e f\n", 2),  # as many fields in all as three good lines have
        ("\n\n1 a b\n\n2 a b", 5),
        ("1 a b\n" * 30000 + "1 a\xff b c", 30001),
    ],
)
def test_the_line_of_an_error_is_counted_with_empty_ones_and_marks(tmp_path: Path, text: str, line: int) -> None:
    path = tmp_path / "list"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_trial_table(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_a_line_without_an_end_is_read_in_one_go(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(b"a" * 10_000_000)
    with pytest.raises(DataError, match="is no trial; expected one of"):
        read_trial_table(path)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("scored", [False, True])
def test_rows_and_columns_are_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: Format, labelled: bool, scored: bool
) -> None:
    random = np.random.default_rng(0)
    trials = [
        Trial(
            f"é{random.integers(20)}",
            f"t{random.integers(20)}",
            bool(random.integers(2)) if labelled else None,
            float(random.normal()) if scored else None,
        )
        for _ in range(100)
    ]
    table = table_of(trials)
    assert rows_of(table) == trials
    assert all(type(trial) is Trial for trial in rows_of(table))
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    write_trial_table(whole, table, format=format)
    monkeypatch.setattr(trial_table, "ROWS", 7)
    write_trial_table(pieces, table, format=format)
    assert whole.read_bytes() == pieces.read_bytes()
    kept = trials if format == "wespeaker" else [trial._replace(score=None) for trial in trials]
    assert rows_of(read_trial_table(whole)) == read_trials(whole) == kept


def test_some_trials_of_a_table() -> None:
    table = table_of([Trial("a", "b", True, 0.5), Trial("c", "a", False, 1.5), Trial("b", "b", True, 2.5)])
    assert len(table) == 3
    chosen = table.select(np.array([True, False, True]))
    assert rows_of(chosen) == [Trial("a", "b", True, 0.5), Trial("b", "b", True, 2.5)]
    assert chosen.names == table.names
    assert rows_of(table_of([Trial("a", "b")]).select(slice(1))) == [Trial("a", "b")]


def test_a_name_that_no_trial_has_may_be_anything(tmp_path: Path) -> None:
    table = table_of([Trial("a", "b", True), Trial("not this one", "a", True)])
    write_trial_table(tmp_path / "list", table.select(slice(1)))
    assert (tmp_path / "list").read_text() == "1 a b\n"
    with pytest.raises(DataError, match="'not this one' cannot stand in a trial list"):
        write_trial_table(tmp_path / "list", table)


def test_what_cannot_be_written(tmp_path: Path) -> None:
    empty = TrialTable([], np.empty(0, np.intp), np.empty(0, np.intp))
    infinite = TrialTable(["a"], np.zeros(1, np.intp), np.zeros(1, np.intp), scores=np.array([math.inf]))
    for table, says in ((empty, "no trial to write"), (infinite, "NaN or infinite")):
        with pytest.raises(DataError, match=says) as caught:
            write_trial_table(tmp_path / "list", table)
        assert caught.value.code == "E_TRIALS"
    assert not list(tmp_path.iterdir())


def test_places_of_names() -> None:
    known: dict[str, int] = {}
    assert places_of(["b", "a", "b", "c"], known).tolist() == [0, 1, 0, 2]
    assert places_of(["c", "d"], known).tolist() == [2, 3]
    assert known == {"b": 0, "a": 1, "c": 2, "d": 3}


def test_the_collector_runs_again_after_rows_were_made() -> None:
    assert gc.isenabled()
    rows_of(table_of([Trial("a", "b")]))
    assert gc.isenabled()
    gc.disable()
    try:
        rows_of(table_of([Trial("a", "b")]))
        assert not gc.isenabled()
    finally:
        gc.enable()
