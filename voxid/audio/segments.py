"""Who speaks from when to when: segments of a recording, and the files RTTM, UEM and LAB.

Times are seconds from the start of the recording. A region is a pair (start, end) without a speaker.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from operator import attrgetter
from pathlib import Path

from voxid.audio.rows import (
    CODE,
    MAX_SECONDS,
    Row,
    by_recording,
    check_width,
    decimal,
    microseconds,
    name,
    records,
    seconds,
    write_lines,
)
from voxid.errors import DataError, did_you_mean

Region = tuple[float, float]
RTTM_LINE = "SPEAKER recording channel start duration <NA> <NA> speaker <NA> [<NA>]"
RTTM_TYPES = (
    *("SPEAKER", "SPKR-INFO", "SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH"),
    *("FILLER", "EDIT", "SU", "IP", "CB", "A/P"),
)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech.

    Args:
        start, end: In seconds; 0 <= start < end.
        speaker: Who speaks; ``"speech"`` where nobody asked.

    Raises:
        DataError: ``E_SEGMENTS`` for times that make no segment.

    Example:
        >>> Segment(0.5, 2.0, "anna").duration
        1.5
    """

    start: float
    end: float
    speaker: str = "speech"

    def __post_init__(self) -> None:
        # A comparison with NaN is false, so NaN is refused as well.
        if not 0.0 <= self.start < self.end <= MAX_SECONDS:
            raise _refusal(self.start, self.end)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start


def merge(segments: Iterable[Segment], *, gap: float = 0.0) -> list[Segment]:
    """Join segments of one speaker that overlap, touch or lie at most `gap` seconds apart; sorted by start.

    Example:
        >>> merge([Segment(0, 2, "anna"), Segment(1, 3, "anna"), Segment(2, 4, "ben")])
        [Segment(start=0, end=3, speaker='anna'), Segment(start=2, end=4, speaker='ben')]
    """
    if not gap >= 0.0:
        raise DataError(f"expected a gap of 0 seconds or more, got {gap}", CODE)
    joined: list[Segment] = []
    by_speaker = sorted(segments, key=attrgetter("speaker", "start"))
    for speaker, group in groupby(by_speaker, key=attrgetter("speaker")):
        turns = ((segment.start, segment.end) for segment in group)
        joined.extend(Segment(start, end, speaker) for start, end in _joined(turns, gap))
    return _sorted(joined)


def overlap(segments: Iterable[Segment]) -> list[Region]:
    """Regions in which two speakers or more speak at once, sorted.

    Example:
        >>> overlap([Segment(0, 2, "anna"), Segment(1, 3, "ben")])
        [(1, 2)]
    """
    turns = merge(segments)
    # At the same time an end (-1) comes before a start: who takes over does not overlap.
    changes = sorted([(turn.start, 1) for turn in turns] + [(turn.end, -1) for turn in turns])
    regions, speaking = [], 0
    for (time, change), (following, _) in pairwise(changes):
        speaking += change
        if speaking > 1 and following > time:
            regions.append((time, following))
    return _joined(regions)


def crop(segments: Iterable[Segment], regions: Iterable[Region]) -> list[Segment]:
    """What of `segments` lies inside `regions`, a UEM for one; sorted by start.

    Example:
        >>> crop([Segment(0, 5, "anna")], [(1, 2), (4, 9)])
        [Segment(start=1, end=2, speaker='anna'), Segment(start=4, end=5, speaker='anna')]
    """
    kept = union(regions)
    inside, first = [], 0
    for segment in _sorted(segments):
        while first < len(kept) and kept[first][1] <= segment.start:
            first += 1
        number = first
        while number < len(kept) and kept[number][0] < segment.end:
            start, end = kept[number]
            inside.append(replace(segment, start=max(start, segment.start), end=min(end, segment.end)))
            number += 1
    return _sorted(inside)


def union(regions: Iterable[Region]) -> list[Region]:
    """Regions without overlap, sorted; those that touch are one.

    Raises:
        DataError: ``E_SEGMENTS`` for what is no region.

    Example:
        >>> union([(4, 9), (1, 3), (2, 4)])
        [(1, 9)]
    """
    return _joined(sorted(map(check_region, regions)))


def check_region(region: Region) -> Region:
    """The region itself; raise `DataError` (``E_SEGMENTS``) for what is none."""
    try:
        start, end = region
        if 0.0 <= start < end <= MAX_SECONDS:
            return start, end
    except (TypeError, ValueError):
        raise DataError(f"expected a region (start, end) in seconds, got {region!r}", CODE) from None
    raise _refusal(start, end)


def read_rttm(path: str | Path, *, channel: str | None = None) -> dict[str, list[Segment]]:
    """Read who speaks when from an RTTM file: {recording: [Segment, ...]}, in the order of the file.

    A line reads ``SPEAKER recording channel start duration <NA> <NA> speaker <NA> <NA>``; the last field may be missing.
    Lines of the other types of the standard, and comments (``;`` or ``#``), are skipped.

    Args:
        path: UTF-8; fields are separated by blanks or tabs.
        channel: Take only lines of this channel. A must when a recording has lines of several.

    Raises:
        DataError: ``E_NOT_FILE``, or ``E_SEGMENTS`` with file and line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_rttm(f"{folder}/a.rttm", {"call": [Segment(0.5, 2.0, "anna")]})
        ...     read_rttm(f"{folder}/a.rttm")
        {'call': [Segment(start=0.5, end=2.0, speaker='anna')]}

    NIST, "The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan", appendix A.
    """
    return by_recording(Path(path), _rttm_record, channel)


def write_rttm(path: str | Path, recordings: Mapping[str, Iterable[Segment]], *, channel: str = "1") -> None:
    """Write an RTTM file, whole or not at all; times to the microsecond.

    Args:
        path: Where to.
        recordings: As `read_rttm` gives them. A recording without segments leaves no line.
        channel: Of all lines.

    Raises:
        DataError: ``E_SEGMENTS`` for a name that is empty or has a blank in it; ``E_DISK_FULL``, ``E_WRITE``.
    """

    def lines() -> Iterator[str]:
        for recording, segments in recordings.items():
            head = f"SPEAKER {name(recording)} {name(channel)}"
            for segment in segments:
                start, end = microseconds(segment.start, segment.end)
                yield f"{head} {decimal(start)} {decimal(end - start)} <NA> <NA> {name(segment.speaker)} <NA> <NA>\n"

    write_lines(Path(path), lines())


def read_uem(path: str | Path, *, channel: str | None = None) -> dict[str, list[Region]]:
    """Read the regions that are to be scored from a UEM file: {recording: [(start, end), ...]}.

    A line reads ``recording channel start end``; comments begin with ``;`` or ``#``.

    Args:
        path, channel: As in `read_rttm`.

    Raises:
        DataError: ``E_NOT_FILE``, or ``E_SEGMENTS`` with file and line.
    """
    return by_recording(Path(path), _uem_record, channel)


def write_uem(path: str | Path, regions: Mapping[str, Iterable[Region]], *, channel: str = "1") -> None:
    """Write a UEM file, whole or not at all; arguments and errors as `write_rttm`."""

    def lines() -> Iterator[str]:
        for recording, pairs in regions.items():
            head = f"{name(recording, first=True)} {name(channel)}"
            for pair in pairs:
                start, end = microseconds(*check_region(pair))
                yield f"{head} {decimal(start)} {decimal(end)}\n"

    write_lines(Path(path), lines())


def read_lab(path: str | Path) -> list[Segment]:
    """Read the segments of one recording from a LAB file: lines ``start end label``, in seconds.

    Raises:
        DataError: ``E_NOT_FILE``, or ``E_SEGMENTS`` with file and line.
    """
    return list(records(Path(path), _lab_record))


def write_lab(path: str | Path, segments: Iterable[Segment]) -> None:
    """Write the segments of one recording as LAB, whole or not at all; errors as `write_rttm`."""

    def lines() -> Iterator[str]:
        for segment in segments:
            start, end = microseconds(segment.start, segment.end)
            yield f"{decimal(start)} {decimal(end)} {name(segment.speaker)}\n"

    write_lines(Path(path), lines())


def _rttm_record(row: Row) -> tuple[str, str, Segment] | None:
    if row[0] != b"SPEAKER":
        kind = row[0].decode().upper()
        if kind not in RTTM_TYPES:
            raise DataError(f"unknown type of line {kind[:80]!a}: {did_you_mean(kind, RTTM_TYPES)}", CODE)
        if kind != "SPEAKER":
            return None
    check_width(row, (9, 10), RTTM_LINE)
    start, duration = seconds(row[3]), seconds(row[4])
    # The sum of two decimals is a decimal: without rounding, segments that touch would overlap by an error of the last bit.
    return row[1].decode(), row[2].decode(), Segment(start, round(start + duration, 9), row[7].decode())


def _uem_record(row: Row) -> tuple[str, str, Region]:
    check_width(row, (4,), "recording channel start end")
    return row[0].decode(), row[1].decode(), check_region((seconds(row[2]), seconds(row[3])))


def _lab_record(row: Row) -> Segment:
    check_width(row, (3,), "start end label")
    return Segment(seconds(row[0]), seconds(row[1]), row[2].decode())


def _joined(regions: Iterable[Region], gap: float = 0.0) -> list[Region]:
    """Regions that are sorted by start, those that overlap or lie at most `gap` apart made one."""
    joined: list[Region] = []
    for start, end in regions:
        if joined and start - joined[-1][1] <= gap:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _sorted(segments: Iterable[Segment]) -> list[Segment]:
    return sorted(segments, key=attrgetter("start", "end"))


def _refusal(start: float, end: float) -> DataError:
    return DataError(f"expected seconds with 0 <= start < end <= {MAX_SECONDS:.0f}, got {start} to {end}", CODE)
