"""Reference and hypothesis of one recording on one axis of time, cut at every boundary: who speaks together, and how long.

Times are whole nanoseconds here, so that sums are exact and boundaries that should be equal are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from voxid.audio.segments import Region, Segment, union
from voxid.errors import DataError

SECOND = 10**9
# What is shorter comes from the last bits of two ways to compute one time, and must not become a speaker or an overlap.
SHORTEST = 1000


class Turns(NamedTuple):
    """Segments of one side: its speakers, and of each segment the number of the speaker, start and end [S]."""

    names: list[str]
    speaker: NDArray
    start: NDArray
    end: NDArray


class Overlaps(NamedTuple):
    """What was scored of one recording, in nanoseconds.

    Args:
        reference, hypothesis: Speakers, R and H of them.
        together: Time in which two of them speak at once [R, H].
        together_uem: The same, in all of the regions: before collars and overlaps were left out [R, H].
        reference_time, hypothesis_time: Time of each speaker [R], [H].
        missed, false_alarm, matched: Speakers' time that has no counterpart on the other side, and that has one, right or wrong.
    """

    reference: list[str]
    hypothesis: list[str]
    together: NDArray
    together_uem: NDArray
    reference_time: NDArray
    hypothesis_time: NDArray
    missed: int
    false_alarm: int
    matched: int


def turns(segments: Iterable[Segment]) -> Turns:
    """Segments as numbers; those of one speaker that overlap are joined.

    Raises:
        DataError: ``E_SEGMENTS`` for what is no `Segment`.
    """
    joined: list[tuple[str, int, int]] = []
    for speaker, start, end in sorted(map(_row, segments)):
        # Segments that only touch stay two: where they meet is a boundary, which has its collar.
        if joined and joined[-1][0] == speaker and start <= joined[-1][2] - SHORTEST:
            joined[-1] = (speaker, joined[-1][1], max(joined[-1][2], end))
        else:
            joined.append((speaker, start, end))
    number = {name: index for index, name in enumerate(dict.fromkeys(row[0] for row in joined))}
    times = np.array([row[1:] for row in joined], dtype=np.int64).reshape(-1, 2)
    return Turns(list(number), np.array([number[row[0]] for row in joined], dtype=np.intp), times[:, 0], times[:, 1])


def overlaps(ours: Turns, theirs: Turns, scored: Sequence[Region], collar: float, skip_overlap: bool) -> Overlaps:
    """Compare the reference (`ours`) with the hypothesis (`theirs`) in the regions `scored`.

    Args:
        collar: Seconds on each side of every boundary of the reference that are left out.
        skip_overlap: Leave out where two reference speakers or more speak.
    """
    edges, margin = np.concatenate([ours.start, ours.end]), round(collar * SECOND)
    cuts = _Cuts([(ours.start, ours.end), (theirs.start, theirs.end), _nanoseconds(scored), (edges - margin, edges + margin)])
    reference, hypothesis, regions, collars = cuts.open
    uem = np.where((regions > 0) & (cuts.width >= SHORTEST), cuts.width, 0)
    left_out = (collars > 0) | (reference > 1) if skip_overlap else collars > 0
    width = np.where(left_out, 0, uem)
    we_speak, they_speak = cuts.activity(0, ours), cuts.activity(1, theirs)
    return Overlaps(
        ours.names,
        theirs.names,
        _together(we_speak, they_speak, width),
        _together(we_speak, they_speak, uem),
        we_speak @ width,
        they_speak @ width,
        int(width @ np.maximum(reference - hypothesis, 0)),
        int(width @ np.maximum(hypothesis - reference, 0)),
        int(width @ np.minimum(hypothesis, reference)),
    )


class _Cuts:
    """The axis of time cut at P points: `width` [P - 1] between them, and how many spans of each kind are `open` there."""

    def __init__(self, spans: Sequence[tuple[NDArray, NDArray]]) -> None:
        points = np.unique(np.concatenate([side for span in spans for side in span]))
        self.width = np.diff(points)
        self.places = [(np.searchsorted(points, start), np.searchsorted(points, end)) for start, end in spans]
        self.open = [self._open(first, last) for first, last in self.places]

    def _open(self, first: NDArray, last: NDArray) -> NDArray:
        points = self.width.size + 1
        return np.cumsum(np.bincount(first, minlength=points) - np.bincount(last, minlength=points))[:-1]

    def activity(self, kind: int, side: Turns) -> csr_matrix:
        """1 where a speaker speaks [K, P - 1]."""
        first, last = self.places[kind]
        length = last - first
        column = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length - first, length)
        row = np.repeat(side.speaker, length)
        return csr_matrix((np.ones(row.size, dtype=np.int64), (row, column)), shape=(len(side.names), self.width.size))


def _together(ours: csr_matrix, theirs: csr_matrix, width: NDArray) -> NDArray:
    weighted = csr_matrix((width[ours.indices], ours.indices, ours.indptr), shape=ours.shape)
    return (weighted @ theirs.T).toarray()


def _nanoseconds(regions: Sequence[Region]) -> tuple[NDArray, NDArray]:
    both = np.array([(round(start * SECOND), round(end * SECOND)) for start, end in union(regions)], dtype=np.int64)
    return both.reshape(-1, 2)[:, 0], both.reshape(-1, 2)[:, 1]


def _row(segment: Segment) -> tuple[str, int, int]:
    if not isinstance(segment, Segment):
        raise DataError(f"expected a Segment(start, end, speaker), got {segment!r}"[:200], "E_SEGMENTS")
    return segment.speaker, round(segment.start * SECOND), round(segment.end * SECOND)
