"""Segments, and the files RTTM, UEM and LAB: what is read is what was written, and nothing odd is read in silence."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxid.audio.segments import (
    Segment,
    crop,
    merge,
    overlap,
    read_lab,
    read_rttm,
    read_uem,
    union,
    write_lab,
    write_rttm,
    write_uem,
)
from voxid.errors import DataError

LINE = "SPEAKER call 1 0.5 1.5 <NA> <NA> anna <NA> <NA>\n"
CALL = {"call": [Segment(0.5, 2.0, "anna")]}
READERS = (read_rttm, read_uem, read_lab)

# Whole numbers of ticks, so that a loop over ticks can check what is done with times.
TICKS = st.tuples(st.integers(0, 30), st.integers(1, 10), st.sampled_from("abc"))
SEGMENTS = st.lists(TICKS, max_size=10).map(lambda rows: [Segment(start, start + length, who) for start, length, who in rows])
REGIONS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=6)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write(text: str | bytes) -> Path:
        path = tmp_path / "file.txt"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def ticks(segments: list[Segment]) -> set[tuple[int, str]]:
    return {(tick, segment.speaker) for segment in segments for tick in range(int(segment.start), int(segment.end))}


# --- Segments


@pytest.mark.parametrize(("start", "end"), [(1, 1), (2, 1), (-1, 1), (math.nan, 1), (0, math.nan), (0, math.inf), (0, 1e8)])
def test_times_that_make_no_segment_are_refused(start: float, end: float) -> None:
    for make in (Segment, lambda start, end: union([(start, end)])):
        with pytest.raises(DataError, match="0 <= start < end") as caught:
            make(start, end)
        assert caught.value.code == "E_SEGMENTS"


def test_a_segment_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Segment(0, 1).start = 2  # type: ignore[misc]
    assert Segment(0, 1) == Segment(0, 1, "speech")


@given(segments=SEGMENTS, gap=st.integers(0, 3))
def test_merged_segments_hold_the_same_ticks_and_lie_apart(segments: list[Segment], gap: int) -> None:
    joined = merge(segments, gap=gap)
    filled = set(ticks(segments))
    for who in "abc":
        mine = sorted(tick for tick, name in filled if name == who)
        for left, right in pairwise(mine):
            if right - left - 1 <= gap:
                filled |= {(tick, who) for tick in range(left, right)}
    assert ticks(joined) == filled
    assert sum(segment.duration for segment in joined) == len(filled)
    assert [(segment.start, segment.end) for segment in joined] == sorted((segment.start, segment.end) for segment in joined)
    for who in "abc":
        mine = [segment for segment in joined if segment.speaker == who]
        assert all(right.start - left.end > gap for left, right in pairwise(mine))


@given(segments=SEGMENTS)
def test_overlap_is_where_two_speakers_are(segments: list[Segment]) -> None:
    times = [tick for tick, _ in ticks(segments)]
    found = [tick for start, end in overlap(segments) for tick in range(int(start), int(end))]
    assert found == sorted({tick for tick in times if times.count(tick) > 1})
    assert union(overlap(segments)) == overlap(segments)


@given(segments=SEGMENTS, regions=REGIONS)
def test_cropped_segments_lie_inside(segments: list[Segment], regions: list[tuple[int, int]]) -> None:
    pairs = [(start, start + length) for start, length in regions]
    inside = {tick for start, end in pairs for tick in range(start, end)}
    found = crop(segments, pairs)
    assert ticks(found) == {(tick, who) for tick, who in ticks(segments) if tick in inside}
    assert sum(segment.duration for segment in found) == sum(
        sum(int(segment.start) <= tick < segment.end for tick in inside) for segment in segments
    )
    assert [segment.start for segment in found] == sorted(segment.start for segment in found)


def test_what_is_no_region_or_gap_is_refused() -> None:
    for odd in [(1,), (1, 2, 3), 5, Segment(0, 1), ("a", 1)]:
        with pytest.raises(DataError, match="expected a region"):
            crop([Segment(0, 1)], [odd])  # type: ignore[list-item]
    for gap in (-1.0, math.nan):
        with pytest.raises(DataError, match="gap"):
            merge([], gap=gap)


# --- Files are read as they are


def test_rttm_is_read_in_its_order_and_other_lines_are_skipped(file: Callable[[str], Path]) -> None:
    text = (
        ";; a comment\n# another\n\nSPKR-INFO call 1 <NA> <NA> <NA> unknown anna <NA> <NA>\n"
        "SPEAKER b 1 3 1 <NA> <NA> ben <NA>\n"
        "LEXEME call 1 0.5 0.2 yes lex anna 0.9\n"
        "speaker\tcall\t1\t2.25\t0.5\t<NA>\t<NA>\tanna\t0.98\t<NA>\n" + LINE
    )
    assert read_rttm(file(text)) == {"b": [Segment(3, 4, "ben")], "call": [Segment(2.25, 2.75, "anna"), Segment(0.5, 2, "anna")]}


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_a_byte_order_mark_do_not_matter(file: Callable[[bytes], Path], end: str, mark: bytes) -> None:
    assert read_rttm(file(mark + (LINE.strip() + end).encode())) == CALL
    assert read_uem(file(mark + f"call 1 0 9{end}".encode())) == {"call": [(0, 9)]}
    assert read_lab(file(mark + f"0.5 2 anna{end}".encode())) == CALL["call"]


def test_an_empty_file_holds_nobody(file: Callable[[str], Path]) -> None:
    assert (read_rttm(file("")), read_uem(file("\n")), read_lab(file(";; nobody\n"))) == ({}, {}, [])


def test_ends_are_decimals_again(file: Callable[[str], Path]) -> None:
    # 0.1 + 0.2 is a little more than 0.3 in binary: the first segment would overlap the second.
    line = "SPEAKER a 1 {} {} <NA> <NA> x <NA> <NA>\n"
    first, second = read_rttm(file(line.format("0.1", "0.2") + line.format("0.3", "0.5")))["a"]
    assert first.end == second.start


def test_two_channels_of_a_recording_are_told_apart(file: Callable[[str], Path]) -> None:
    text = LINE + LINE.replace(" 1 0.5", " 2 0.5").replace("anna", "ben")
    with pytest.raises(DataError, match="channels '1' and '2'"):
        read_rttm(file(text))
    assert read_rttm(file(text), channel="2") == {"call": [Segment(0.5, 2.0, "ben")]}
    assert read_uem(file("call 1 0 9\ncall A 1 2\n"), channel="A") == {"call": [(1, 2)]}
    with pytest.raises(DataError, match="no line of channel '3'; there are: '1', '2'"):
        read_rttm(file(text), channel="3")
    assert len(read_rttm(file(LINE + LINE.replace("call 1", "talk 2")))) == 2


def test_the_files_of_other_projects_are_read(shared: Path) -> None:
    peers = shared / "peers"
    if not (peers / "rttm").is_dir():
        pytest.skip("needs the folder ../shared/peers with outputs of other systems")
    counts = {path: sum(map(len, read_rttm(path).values())) for path in peers.rglob("*.rttm")}
    assert counts == {path: len(path.read_text().splitlines()) for path in counts}
    assert len(counts) >= 6
    assert read_lab(peers / "vbx/reference/vad/ES2005a.lab")[0] == Segment(0, 25.15, "sp")


# --- What is odd is refused, with file and line


@pytest.mark.parametrize(
    ("read", "line", "words"),
    [
        (read_rttm, "SPEAKER call 1 0.5 0 <NA> <NA> anna <NA> <NA>", "0 <= start < end"),
        (read_rttm, "SPEAKER call 1 0.5 -1 <NA> <NA> anna <NA> <NA>", "'-1' is no time"),
        (read_rttm, "SPEAKER call 1 -0.5 1 <NA> <NA> anna <NA> <NA>", "'-0.5' is no time"),
        (read_rttm, "SPEAKER call 1 nan 1 <NA> <NA> anna <NA> <NA>", "'nan' is no time"),
        (read_rttm, "SPEAKER call 1 0 inf <NA> <NA> anna <NA> <NA>", "'inf' is no time"),
        (read_rttm, "SPEAKER call 1 0 1_0 <NA> <NA> anna <NA> <NA>", "'1_0' is no time"),
        (read_rttm, "SPEAKER call 1 0 1e300 <NA> <NA> anna <NA> <NA>", "from 0 to 10000000"),
        (read_rttm, "SPEAKER call 1 0,5 1 <NA> <NA> anna <NA> <NA>", "'0,5' is no time"),
        (read_rttm, "SPEAKER call 1 0.5 1 <NA> <NA> anna", "8 fields"),
        (read_rttm, "SPEAKER call 1 0.5 1 <NA> <NA> anna maria <NA> <NA>", "11 fields"),
        (read_rttm, "SPEKER call 1 0.5 1 <NA> <NA> anna <NA> <NA>", "did you mean 'SPEAKER'"),
        (read_rttm, "call 1 0 9", "unknown type of line"),
        (read_uem, "call 1 9 0", "9.0 to 0.0"),
        (read_uem, "call 0 9", "3 fields"),
        (read_lab, "0 1", "2 fields"),
        (read_lab, "1 0 sp", "1.0 to 0.0"),
        (read_lab, "0 251500000 sp", "from 0 to 10000000"),  # HTK counts 100 ns
    ],
)
def test_a_line_that_is_odd_is_named(file: Callable[[str], Path], read: Any, line: str, words: str) -> None:
    good = {read_rttm: LINE, read_uem: "call 1 0 9\n", read_lab: "0.5 2 anna\n"}[read]
    path = file(f"{good}\n{line}\n{good}")
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.code == "E_SEGMENTS"


@pytest.mark.parametrize("text", [LINE.replace("anna", "änna").encode("latin-1"), ("\ufeff" + LINE).encode("utf-16-le")])
def test_what_is_not_utf8_is_refused(file: Callable[[bytes], Path], text: bytes) -> None:
    with pytest.raises(DataError, match=":1: not UTF-8"):
        read_rttm(file(text))


@pytest.mark.parametrize("read", READERS)
def test_what_is_no_file_is_refused(read: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "pipe", tmp_path / ("x" * 300), "a\0b"):
        with pytest.raises(DataError) as caught:
            read(path)
        assert caught.value.code == "E_NOT_FILE"


DAMAGE = (b"", b" ", b"\n", b"-", b"e9", b"\xff", b"\0", b"\r", b"nan", b";")


def damaged(draw: random.Random, line: bytes) -> bytes:
    text = bytearray(line * 3)
    for _ in range(draw.randrange(1, 6)):
        place = draw.randrange(len(text))
        text[place : place + draw.randrange(3)] = draw.choice(
            [b"", b" ", b"\n", b"-", b"e9", b"\xff", b"\0", b"\r", b"nan", b";"]
        )
    return bytes(text)


LINES = (LINE.encode(), b"call 1 0.5 9\n", b"0.5 2 anna\n")
DAMAGED = st.builds(damaged, st.randoms(use_true_random=False), st.sampled_from(LINES))


def refusal(read: Any, path: Path) -> str | None:
    try:
        read(path)
    except DataError as error:
        return str(error)
    return None


@given(text=st.one_of(st.binary(max_size=200), DAMAGED))
@settings(max_examples=500, deadline=None)
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(text)
    for read in READERS:
        said = refusal(read, path)
        assert said is None or (said.startswith(str(path)) and "\n" not in said)


# --- What is written is read again

NAMES = st.text(min_size=1, max_size=5).filter(
    lambda text: "\ufeff" not in text and text.isprintable() and text.encode().split() == [text.encode()]
)
# Microseconds, the finest that is written.
SPANS = st.tuples(st.integers(0, 10**11), st.integers(1, 10**10)).map(lambda pair: (pair[0] / 1e6, sum(pair) / 1e6))
SPOKEN = st.lists(st.builds(lambda span, who: Segment(*span, who), SPANS, NAMES), min_size=1, max_size=4)


@given(recordings=st.dictionaries(NAMES, SPOKEN, max_size=3))
@settings(deadline=None)
def test_segments_come_back(tmp_path_factory: pytest.TempPathFactory, recordings: dict[str, list[Segment]]) -> None:
    path = tmp_path_factory.getbasetemp() / "written"
    write_rttm(path, recordings, channel="A")
    assert read_rttm(path) == recordings
    assert read_rttm(path, channel="A") == recordings
    for segments in recordings.values():
        write_lab(path, segments)
        assert read_lab(path) == segments
    regions = {name: [(one.start, one.end) for one in rows] for name, rows in recordings.items() if name[0] not in ";#"}
    write_uem(path, regions)
    assert read_uem(path) == regions


def test_what_is_written_looks_like_its_format(tmp_path: Path) -> None:
    write_rttm(tmp_path / "a", CALL)
    assert (tmp_path / "a").read_text() == "SPEAKER call 1 0.500000 1.500000 <NA> <NA> anna <NA> <NA>\n"
    write_uem(tmp_path / "a", {"call": [(0, 12.25)]})
    assert (tmp_path / "a").read_text() == "call 1 0.000000 12.250000\n"
    write_lab(tmp_path / "a", [Segment(0, 1 / 3)])
    assert (tmp_path / "a").read_text() == "0.000000 0.333333 speech\n"


def test_segments_that_touch_still_do_when_they_were_written(tmp_path: Path) -> None:
    edges = [n / 44_100 for n in range(0, 44_100, 441)]
    write_rttm(tmp_path / "a", {"a": [Segment(*pair, "x") for pair in pairwise(edges)]})
    found = read_rttm(tmp_path / "a")["a"]
    assert all(left.end == right.start for left, right in pairwise(found))


@pytest.mark.parametrize("name", ["", "a b", "a\n", "\ufeffa", "\udc80", "a\tb"])
def test_names_that_would_not_come_back_are_refused_and_the_old_file_stays(tmp_path: Path, name: str) -> None:
    path = tmp_path / "kept"
    path.write_text("old")
    good, odd = [Segment(0, 1, "anna")], [Segment(0, 1, name)]
    writes: list[Callable[[], None]] = [
        lambda: write_rttm(path, {"call": good, name: good}),
        lambda: write_rttm(path, {"call": good + odd}),
        lambda: write_rttm(path, {"call": good}, channel=name),
        lambda: write_uem(path, {"call": [(0, 1)], name: [(0, 1)]}),
        lambda: write_lab(path, good + odd),
    ]
    for write in writes:
        with pytest.raises(DataError, match="cannot stand in the file") as caught:
            write()
        assert "\n" not in str(caught.value)
        assert path.read_text() == "old"
        assert [one.name for one in tmp_path.iterdir()] == ["kept"]


def test_what_would_be_lost_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="less than a microsecond"):
        write_rttm(tmp_path / "a", {"call": [Segment(1.0, 1.0000001)]})
    with pytest.raises(DataError, match="begins like a comment"):
        write_uem(tmp_path / "a", {"#1": [(0, 1)]})
    with pytest.raises(DataError) as caught:
        write_lab(tmp_path / "missing" / "a", [Segment(0, 1)])
    assert caught.value.code == "E_WRITE"
    assert list(tmp_path.iterdir()) == []
