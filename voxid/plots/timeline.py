"""Who speaks when: the reference above the hypothesis, and what the hypothesis got wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from voxid.audio.segments import Region, Segment, crop, merge
from voxid.errors import ConfigError, DataError
from voxid.metrics.diarization import der
from voxid.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HATCHES = ("", "///", "...", "\\\\\\", "xxx", "++", "--")
LANE = 0.26  # height of a lane in inches
ERRORS = (("missed", "#000000"), ("false alarm", "#6e6e6e"), ("confused", "#b0b0b0"))
# A row of the figure: its name, its colour number (None: an error) and its regions.
Lane = tuple[str, int | None, list[Region]]


def timeline(
    reference: Sequence[Segment],
    hypothesis: Sequence[Segment] | None = None,
    *,
    start: float = 0.0,
    end: float | None = None,
    title: str | None = None,
) -> Figure:
    """A lane a speaker over time in s: the reference, below it the hypothesis, below that the errors.

    Speakers of the hypothesis have the colour and the place of the reference speaker whom they stand for in the diarization error
    rate; those who stand for nobody come last. Where lanes of one group overlap, people speak at once.

    Args:
        reference, hypothesis: Segments of one recording; without a hypothesis the reference is drawn alone.
        start, end: The part to show, in seconds; errors are counted in it alone.

    Raises:
        DataError: ``E_SEGMENTS``: no segment in this part.
        ConfigError: A part that makes no sense.

    Example:
        >>> axes = timeline([Segment(0, 2, "anna")], [Segment(0, 1.5, "1")]).axes[0]
        >>> axes.get_xlabel(), [text.get_text() for text in axes.get_yticklabels()][:2]
        ('time (s)', ['anna', '1 = anna'])
    """
    stop = _end([*reference, *(hypothesis or ())], start, end)
    ours = merge(crop(reference, [(start, stop)]))
    speakers = sorted({segment.speaker for segment in ours}, key=lambda name: _first(ours, name))
    lanes: list[Lane] = [(style.shown(name, 20), number, _regions(ours, name)) for number, name in enumerate(speakers)]
    groups = [("reference", len(lanes))]
    text = "Timeline"
    if hypothesis is not None:
        theirs = merge(crop(hypothesis, [(start, stop)]))
        measured = der(ours, theirs)
        lanes += _hypothesis_lanes(theirs, measured.speakers, speakers)
        groups.append(("hypothesis", len(lanes) - groups[0][1]))
        seconds = (measured.missed, measured.false_alarm, measured.confusion)
        lanes += _error_lanes(_errors(ours, theirs, measured.speakers), seconds)
        groups.append(("errors", len(ERRORS)))
        text = f"Timeline: diarization error rate {100 * measured.der:.2f} %"
    figure = style.new_figure(9.6, 1.1 + LANE * (len(lanes) + len(groups)))
    _draw(figure.add_subplot(), lanes, groups, (start, stop), title or text)
    return style.finish(figure)


def _end(segments: Sequence[Segment], start: float, end: float | None) -> float:
    last = max((segment.end for segment in segments), default=0.0)
    stop = last if end is None else end
    if not 0 <= start < stop and segments:
        raise ConfigError(f"expected a part with 0 <= start < end, got {start:g} to {stop:g} s; the recording ends at {last:g} s")
    if not any(segment.start < stop and segment.end > start for segment in segments):
        raise DataError(f"no segment between {start:g} s and {stop:g} s", "E_SEGMENTS")
    return stop


def _first(segments: Sequence[Segment], speaker: str) -> float:
    return min(segment.start for segment in segments if segment.speaker == speaker)


def _regions(segments: Sequence[Segment], speaker: str) -> list[Region]:
    return [(segment.start, segment.end) for segment in segments if segment.speaker == speaker]


def _hypothesis_lanes(theirs: Sequence[Segment], stands_for: Mapping[str, str], speakers: Sequence[str]) -> list[Lane]:
    known = dict(stands_for)
    mapped = sorted((name for name in known if known[name] in speakers), key=lambda name: speakers.index(known[name]))
    strange = sorted({segment.speaker for segment in theirs} - set(mapped), key=lambda name: _first(theirs, name))
    lanes: list[Lane] = []
    for name in mapped:
        text = f"{style.shown(name, 16)} = {style.shown(known[name], 16)}"
        lanes.append((text, speakers.index(known[name]), _regions(theirs, name)))
    return lanes + [
        (style.shown(name, 20), len(speakers) + number, _regions(theirs, name)) for number, name in enumerate(strange)
    ]


def _error_lanes(errors: Sequence[list[Region]], seconds: Sequence[float]) -> list[Lane]:
    named = zip(ERRORS, errors, seconds, strict=True)
    return [(f"{name} {time:.1f} s", None, regions) for (name, _), regions, time in named]


def _errors(ours: Sequence[Segment], theirs: Sequence[Segment], stands_for: Mapping[str, str]) -> tuple[list[Region], ...]:
    """Regions with missed speech, with false alarms, and with speech that is given to a wrong speaker."""
    known = dict(stands_for)
    times = np.unique([time for segment in [*ours, *theirs] for time in (segment.start, segment.end)])
    speaking = {
        (side, name): _active(segments, name, times) for side, segments in enumerate((ours, theirs)) for name in _names(segments)
    }
    said, heard = (np.sum([active for (side, _), active in speaking.items() if side == wanted], axis=0) for wanted in (0, 1))
    pairs = [speaking[1, name] & speaking[0, target] for name, target in known.items() if (0, target) in speaking]
    right = np.sum(pairs, axis=0) if pairs else np.zeros(len(times) - 1)
    wrong = (said > heard, heard > said, np.minimum(said, heard) > right)
    return tuple(
        [(float(times[place]), float(times[place + 1])) for place in np.flatnonzero(np.broadcast_to(mark, len(times) - 1))]
        for mark in wrong
    )


def _names(segments: Sequence[Segment]) -> set[str]:
    return {segment.speaker for segment in segments}


def _active(segments: Sequence[Segment], speaker: str, times: np.ndarray) -> np.ndarray:
    """Whether a speaker speaks between each time and the next [len(times) - 1]."""
    middles = (times[:-1] + times[1:]) / 2
    active = np.zeros(len(middles), bool)
    for start, end in _regions(segments, speaker):
        active |= (middles > start) & (middles < end)
    return active


def _draw(axes: style.Panel, lanes: Sequence[Lane], groups: Sequence[tuple[str, int]], part: Region, title: str) -> None:
    places, bottom, first = [], 0.0, 0
    for name, count in groups:
        axes.text(part[0], bottom - 0.1, name, fontsize=9, fontweight="bold", va="bottom")
        for number in range(first, first + count):
            places.append(bottom + number - first + 0.5)
            _draw_lane(axes, lanes[number], places[-1], number - first)
        first, bottom = first + count, bottom + count + 1.0
    axes.set_yticks(places, [lane[0] for lane in lanes], fontsize=9)
    axes.set_xlim(*part)
    axes.set_ylim(bottom - 1.0, -1.0)
    style.label(axes, "time (s)", "", title, grid=False)
    axes.grid(True, axis="x", color="#d9d9d9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _draw_lane(axes: style.Panel, lane: Lane, place: float, row: int) -> None:
    _, number, regions = lane
    bars = [(start, end - start) for start, end in regions]
    if number is None:
        axes.broken_barh(bars, (place - 0.4, 0.8), facecolor=ERRORS[row][1], linewidth=0)
        return
    turn = number // len(style.COLOURS)
    colour = style.COLOURS[number % len(style.COLOURS)]
    hatch = HATCHES[turn % len(HATCHES)]
    axes.broken_barh(bars, (place - 0.4, 0.8), facecolor=colour, edgecolor="white", linewidth=0, hatch=hatch)
