"""Diarization: who was said to speak when, against who did -> error rates; lower is better.

Reference and hypothesis are ``{recording: [Segment, ...]}``, as `voxid.audio.segments.read_rttm` gives them, or a list of
segments for one recording. Speakers of different recordings are different, whatever their names. Segments of one speaker that
overlap are joined first. All is computed from the boundaries themselves, without frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from voxid.audio.segments import MAX_SECONDS, Region, Segment
from voxid.errors import ConfigError, DataError, did_you_mean
from voxid.metrics.timeline import SECOND, Overlaps, Turns, overlaps, turns

Segments = Sequence[Segment] | Mapping[str, Sequence[Segment]]
Regions = Sequence[Region] | Mapping[str, Sequence[Region]] | Literal["both"]
CODE = "E_RECORDINGS"


@dataclass(frozen=True)
class DiarizationError:
    """Diarization error and its components, in seconds of speakers' time; lower is better.

    Args:
        missed: Time of reference speakers for whom the hypothesis has nobody.
        false_alarm: Time of hypothesis speakers for whom the reference has nobody.
        confusion: Time that is given to a wrong speaker.
        total: Time of all reference speakers that was scored; two who talk at once count twice.
        speakers: The reference speaker that a hypothesis speaker was taken for, of one recording.
        recordings: The same of each recording, of several.
    """

    missed: float
    false_alarm: float
    confusion: float
    total: float
    speakers: Mapping[str, str] = field(default_factory=dict)
    recordings: Mapping[str, DiarizationError] = field(default_factory=dict, repr=False)  # hundreds of them may come

    @property
    def der(self) -> float:
        """Diarization error rate, a fraction that may exceed 1; without any reference speech 1 for false alarms, else 0."""
        wrong = self.missed + self.false_alarm + self.confusion
        if self.total > 0.0:
            return wrong / self.total
        return 1.0 if wrong > 0.0 else 0.0


@dataclass(frozen=True)
class JaccardError:
    """Jaccard error rate, lower is better.

    Args:
        jer: Mean over the reference speakers of all recordings, a fraction in [0, 1]; without any reference speech 1 if the
            hypothesis has speech, else 0.
        num_speakers: Reference speakers who were scored.
        speakers: Error of each reference speaker, of one recording.
        recordings: The same of each recording, of several.
    """

    jer: float
    num_speakers: int
    speakers: Mapping[str, float] = field(default_factory=dict)
    recordings: Mapping[str, JaccardError] = field(default_factory=dict, repr=False)  # hundreds of them may come


def der(
    reference: Segments,
    hypothesis: Segments,
    *,
    collar: float = 0.0,
    skip_overlap: bool = False,
    uem: Regions | None = None,
    mapping: Literal["scored", "uem"] = "scored",
) -> DiarizationError:
    """Diarization error: missed, false alarm and confusion against the time of the reference speakers; lower is better.

    In each recording, hypothesis speakers are taken for reference speakers one to one, so that they agree for as long as can be.
    Components of several recordings are sums, so long recordings weigh more.

    Args:
        reference, hypothesis: Who did and who was said to speak. A recording that the hypothesis lacks is missed entirely.
        collar: Seconds on each side of every boundary of the reference that are not scored, as md-eval's ``-c``; pyannote's
            `collar` is the width of both sides, twice as much.
        skip_overlap: Leave out where two reference speakers or more speak at once, as md-eval's ``-1``.
        uem: Regions to score, {recording: [(start, end), ...]}, or a list for one recording; an empty list leaves a recording
            out. Without it a recording is scored between the first and the last boundary of its reference (md-eval), so
            false alarms outside do not count; ``"both"``: of reference and hypothesis (dscore, pyannote).
        mapping: The time in which speakers should agree: what is scored (pyannote), or all of the regions of `uem`, with what
            collar and overlap leave out (md-eval). It matters with these two options only, and little.

    Raises:
        DataError: ``E_RECORDINGS`` for a recording that only the hypothesis has, or that `uem` lacks; ``E_SEGMENTS``.

    Example:
        >>> error = der([Segment(0, 6, "anna"), Segment(6, 10, "ben")], [Segment(0, 8, "A"), Segment(8, 9, "B")])
        >>> error.der, error.missed, error.confusion, error.speakers
        (0.3, 1.0, 2.0, {'A': 'anna', 'B': 'ben'})

    NIST, "The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan", 2009.
    """
    _check_option("mapping", mapping, ("scored", "uem"))
    compared = _compared(reference, hypothesis, uem, collar, skip_overlap)
    rows = {name: _der(found, found.together if mapping == "scored" else found.together_uem) for name, found in compared}
    if not isinstance(reference, Mapping):
        return rows[""]
    parts = zip(*((row.missed, row.false_alarm, row.confusion, row.total) for row in rows.values()), strict=True)
    missed, false_alarm, confusion, total = map(math.fsum, parts)
    return DiarizationError(missed, false_alarm, confusion, total, recordings=rows)


def jer(
    reference: Segments,
    hypothesis: Segments,
    *,
    collar: float = 0.0,
    skip_overlap: bool = False,
    uem: Regions | None = None,
    mapping: Literal["jaccard", "overlap"] = "jaccard",
) -> JaccardError:
    """Jaccard error rate: 1 - intersection / union of the times of a reference speaker and its counterpart; lower is better.

    The mean is over speakers, so one who says little weighs as much as the others. A reference speaker without a counterpart
    has the error 1; a hypothesis speaker without one costs nothing.

    Args:
        reference, hypothesis, collar, skip_overlap, uem: As in `der`.
        mapping: What makes a hypothesis speaker the counterpart: the smallest sum of errors (``jaccard``, as in dscore) or the
            longest time in agreement (``overlap``, as in `der` and in pyannote.metrics).

    Raises:
        DataError: As `der`.

    Example:
        >>> error = jer([Segment(0, 6, "anna"), Segment(6, 10, "ben")], [Segment(0, 8, "A"), Segment(8, 9, "B")])
        >>> error.jer, error.speakers
        (0.5, {'anna': 0.25, 'ben': 0.75})

    Ryant et al., "The Second DIHARD Diarization Challenge: dataset, task, and baselines", Interspeech 2019.
    """
    _check_option("mapping", mapping, ("jaccard", "overlap"))
    rows = {name: _jer(found, mapping) for name, found in _compared(reference, hypothesis, uem, collar, skip_overlap)}
    if not isinstance(reference, Mapping):
        return rows[""]
    errors = [error for row in rows.values() for error in row.speakers.values()]
    mean = math.fsum(errors) / len(errors) if errors else max(row.jer for row in rows.values())
    return JaccardError(mean, len(errors), recordings=rows)


def _der(found: Overlaps, agreement: NDArray) -> DiarizationError:
    pairs = list(_pairs(agreement))
    right = sum(int(found.together[pair]) for pair in pairs)
    return DiarizationError(
        missed=found.missed / SECOND,
        false_alarm=found.false_alarm / SECOND,
        confusion=(found.matched - right) / SECOND,
        total=int(found.reference_time.sum()) / SECOND,
        speakers={found.hypothesis[column]: found.reference[row] for row, column in pairs},
    )


def _jer(found: Overlaps, mapping: str) -> JaccardError:
    either = found.reference_time[:, None] + found.hypothesis_time - found.together
    index = np.divide(found.together, either, out=np.zeros(either.shape), where=either > 0)
    errors = {name: 1.0 for name, time in zip(found.reference, found.reference_time, strict=True) if time > 0}
    for row, column in _pairs(index if mapping == "jaccard" else found.together):
        errors[found.reference[row]] = 1.0 - float(index[row, column])
    mean = math.fsum(errors.values()) / len(errors) if errors else float(found.hypothesis_time.any())
    return JaccardError(mean, len(errors), speakers=errors)


def _pairs(agreement: NDArray) -> Iterator[tuple[int, int]]:
    """One-to-one pairs (row, column) whose summed `agreement` [R, H] is highest; none that does not agree at all."""
    for row, column in zip(*linear_sum_assignment(agreement, maximize=True), strict=True):
        if agreement[row, column] > 0:
            yield int(row), int(column)


def _compared(
    reference: Segments, hypothesis: Segments, uem: Regions | None, collar: float, skip_overlap: bool
) -> Iterator[tuple[str, Overlaps]]:
    """Name of each recording, empty for a single one, and what was found in it."""
    if not 0.0 <= collar <= MAX_SECONDS:
        raise ConfigError(f"expected a collar of 0 seconds or more, got {collar}")
    given = [reference, hypothesis] if uem is None or isinstance(uem, str) else [reference, hypothesis, uem]
    if len({isinstance(part, Mapping) for part in given}) > 1:
        raise DataError("reference, hypothesis and uem: expected mappings by recording, or lists for one recording", CODE)
    ours, theirs, *regions = (_by_name(part) for part in given)
    if isinstance(uem, str):
        _check_option("uem", uem, ("both",))
    _check_names(ours, theirs, regions[0] if regions else None)
    for name in regions[0] if regions else ours:
        our_turns, their_turns = turns(ours.get(name, ())), turns(theirs.get(name, ()))
        scored = regions[0][name] if regions else _extent(our_turns, their_turns, both=uem == "both")
        yield name, overlaps(our_turns, their_turns, scored, collar, skip_overlap)


def _by_name(part: Any) -> Mapping[str, Any]:
    return part if isinstance(part, Mapping) else {"": part}


def _extent(ours: Turns, theirs: Turns, *, both: bool) -> list[Region]:
    # Where nobody speaks in the reference, all that the hypothesis has is a false alarm.
    sides = [ours, theirs] if both or not ours.names else [ours]
    start, end = np.concatenate([side.start for side in sides]), np.concatenate([side.end for side in sides])
    return [(start.min() / SECOND, end.max() / SECOND)] if start.size else []


def _check_names(reference: Iterable[str], hypothesis: Iterable[str], uem: Iterable[str] | None) -> None:
    known = {*reference, *(uem or ())}
    if not known:
        raise DataError("no recording to score: the reference is empty", CODE)
    unknown = set(hypothesis) - known
    if unknown:
        way = "the reference lacks it; where nobody speaks in it, name it in the uem"
        raise DataError(f"recording {min(unknown)!a} of the hypothesis ({len(unknown)} in all): {way}", CODE)
    unscored = known - set(uem) if uem is not None else None
    if unscored:
        way = "the uem lacks it; give it an empty list to leave it out"
        raise DataError(f"recording {min(unscored)!a} of the reference ({len(unscored)} in all): {way}", CODE)


def _check_option(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ConfigError(f"unknown {name} {value!r}: {did_you_mean(str(value), known)}")
