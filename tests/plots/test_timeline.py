"""Timelines: lanes, colours that follow the speaker, errors that add up to the diarization error rate."""

from __future__ import annotations

import numpy as np
import pytest
from pyannote.core import Annotation, Timeline
from pyannote.core import Segment as Span
from pyannote.metrics.diarization import DiarizationErrorRate

from voxid.audio.segments import Segment
from voxid.errors import ConfigError, DataError
from voxid.plots.timeline import timeline

REFERENCE = [Segment(0, 4, "anna"), Segment(3, 7, "ben"), Segment(8, 9, "anna"), Segment(9, 12, "eve")]
HYPOTHESIS = [Segment(0, 3.5, "B"), Segment(3.5, 7, "A"), Segment(7.5, 9.5, "B"), Segment(10, 11, "A"), Segment(11.5, 12, "C")]


def lanes(axes) -> dict[str, list]:
    """Bars by the name of their lane, in the order of the lanes; reference and hypothesis may share no name."""
    names = [text.get_text() for text in axes.get_yticklabels()]
    bars = [np.array([path.get_extents().intervalx for path in group.get_paths()]) for group in axes.collections]
    assert len(names) == len(bars)
    return dict(zip(names, [np.atleast_2d(bar).tolist() if len(bar) else [] for bar in bars], strict=True))


def test_lanes_hold_the_segments_and_the_hypothesis_stands_in_the_order_of_the_reference(readable) -> None:
    axes = readable(timeline(REFERENCE, HYPOTHESIS)).axes[0]
    drawn = lanes(axes)
    names = list(drawn)
    assert names[:6] == ["anna", "ben", "eve", "B = anna", "A = ben", "C = eve"]
    assert drawn["anna"] == [[0, 4], [8, 9]]
    assert drawn["B = anna"] == [[0, 3.5], [7.5, 9.5]]
    colours = [tuple(group.get_facecolor()[0]) for group in axes.collections[:6]]
    assert colours[:3] == colours[3:]
    assert len(set(colours)) == 3
    assert axes.get_xlabel() == "time (s)"
    assert [text.get_text() for text in axes.texts] == ["reference", "hypothesis", "errors"]


def test_errors_are_where_pyannote_has_them(readable) -> None:
    def annotation(segments) -> Annotation:
        made = Annotation()
        for number, segment in enumerate(segments):
            made[Span(segment.start, segment.end), number] = segment.speaker
        return made

    metric = DiarizationErrorRate()
    parts = metric(annotation(REFERENCE), annotation(HYPOTHESIS), uem=Timeline([Span(0, 12)]), detailed=True)
    axes = readable(timeline(REFERENCE, HYPOTHESIS)).axes[0]
    assert f"{100 * parts['diarization error rate']:.2f} %" in axes.get_title()
    drawn = lanes(axes)
    for lane, part in (("missed", "missed detection"), ("false alarm", "false alarm"), ("confused", "confusion")):
        name = next(name for name in drawn if name.startswith(lane))
        assert name == f"{lane} {parts[part]:.1f} s"
        # At most one speaker is wrong at a time in this example, so that regions add up to speakers' time.
        assert sum(end - start for start, end in drawn[name]) == pytest.approx(parts[part])


def test_a_strange_speaker_comes_last_in_another_colour(readable) -> None:
    axes = readable(timeline([Segment(0, 2, "anna")], [Segment(0, 2, "1"), Segment(1, 1.5, "2")])).axes[0]
    assert list(lanes(axes))[:3] == ["anna", "1 = anna", "2"]
    colours = [tuple(group.get_facecolor()[0]) for group in axes.collections[:3]]
    assert colours[0] == colours[1] != colours[2]


def test_a_reference_alone_and_an_empty_hypothesis(readable) -> None:
    assert len(readable(timeline(REFERENCE)).axes[0].collections) == 3
    axes = readable(timeline(REFERENCE, [])).axes[0]
    assert "100.00 %" in axes.get_title()
    assert list(lanes(axes))[3].startswith("missed 12.0 s")


def test_a_part_is_cropped_and_counted_alone(readable) -> None:
    axes = readable(timeline(REFERENCE, HYPOTHESIS, start=8, end=10)).axes[0]
    assert axes.get_xlim() == (8, 10)
    assert list(lanes(axes))[:2] == ["anna", "eve"]
    assert lanes(axes)["anna"] == [[8, 9]]


def test_twenty_speakers_and_hours_are_readable(readable, draw) -> None:
    starts = np.sort(draw.uniform(0, 3 * 3600, 600))
    many = [Segment(start, start + 4, f"a long speaker name {number % 20}") for number, start in enumerate(starts)]
    axes = readable(timeline(many, many[::2])).axes[0]
    looks = {(tuple(group.get_facecolor()[0]), group.get_hatch()) for group in axes.collections[:20]}
    assert len(looks) == 20


@pytest.mark.parametrize(("start", "end"), [(5, 5), (-1, 3), (3, 1), (float("nan"), 2)])
def test_a_part_that_makes_no_sense_is_refused(start: float, end: float) -> None:
    with pytest.raises(ConfigError, match="0 <= start < end"):
        timeline(REFERENCE, start=start, end=end)


@pytest.mark.parametrize(
    ("segments", "part"), [([], {}), (REFERENCE, {"start": 20, "end": 30}), (REFERENCE, {"start": 7.2, "end": 7.8})]
)
def test_nothing_to_draw_is_an_error(segments, part) -> None:
    with pytest.raises(DataError, match="no segment between"):
        timeline(segments, **part)
