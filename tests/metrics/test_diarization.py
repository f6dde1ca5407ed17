"""DER and JER: the figures of other scorers, pyannote.metrics, and a slow loop over frames."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxid.audio.segments import Region, Segment, read_rttm
from voxid.errors import ConfigError, DataError
from voxid.metrics.diarization import DiarizationError, der, jer

VBX = ("vbx/reference/rttm/ES2005a.rttm", "vbx/exp/ES2005a.rttm")
DSCORE = ("rttm/dscore/ref.rttm", "rttm/dscore/sys.rttm")
VOXCONVERSE = ("rttm/voxconverse/reference.rttm", "rttm/voxconverse/baseline.rttm")
Turns = dict[str, list[Segment]]

ANNA, BEN = Segment(0, 6, "anna"), Segment(6, 10, "ben")


@pytest.fixture(scope="module")
def peers(shared: Path) -> Path:
    """Outputs of other systems, and what md-eval-22 and dscore say of them."""
    if not (shared / "peers" / "rttm").is_dir():
        pytest.skip("needs the folder ../shared/peers with outputs of other systems")
    return shared / "peers"


@cache
def pair(peers: Path, names: tuple[str, str]) -> tuple[Turns, Turns]:
    return read_rttm(peers / names[0]), read_rttm(peers / names[1])


def parts(error: DiarizationError) -> tuple[float, ...]:
    return error.missed, error.false_alarm, error.confusion, error.total


# --- Figures of md-eval-22 and dscore


@pytest.mark.parametrize(
    ("names", "collar", "skip_overlap", "percent"),
    [
        (VBX, 0.0, False, 26.28),
        (VBX, 0.25, False, 17.27),
        (VBX, 0.0, True, 10.32),
        (VBX, 0.25, True, 7.06),
        (DSCORE, 0.0, False, 26.39),
        (DSCORE, 0.25, False, 24.01),
        (VOXCONVERSE, 0.0, False, 26.90),
        (VOXCONVERSE, 0.25, False, 23.89),
    ],
)
@pytest.mark.parametrize("mapping", ["scored", "uem"])
def test_der_is_that_of_md_eval(
    peers: Path, names: tuple[str, str], collar: float, skip_overlap: bool, percent: float, mapping: Any
) -> None:
    error = der(*pair(peers, names), collar=collar, skip_overlap=skip_overlap, mapping=mapping)
    assert round(100 * error.der, 2) == percent


def test_der_of_dscore_to_all_its_digits(peers: Path) -> None:
    reference, hypothesis = pair(peers, DSCORE)
    for uem in ({"FILE1": [(0, 43)]}, "both"):
        assert round(100 * der(reference, hypothesis, uem=uem).der, 5) == 26.39309
    assert round(100 * der(*pair(peers, VOXCONVERSE), uem="both").der, 5) == 27.56024


# What md-eval-22 prints of VoxConverse: collar, -1, and SCORED, MISSED, FALARM SPEAKER TIME, SPEAKER ERROR TIME.
MD_EVAL = [
    (0.0, False, 70733.32, 9229.04, 1555.0, 8245.42),
    (0.25, False, 64525.34, 7231.48, 1018.45, 7165.435),
    (0.0, True, 65528.92, 6504.13, 1555.0, 7914.085),
    (0.25, True, 61604.32, 5719.4, 1018.45, 6985.66),
]


@pytest.mark.parametrize(("collar", "skip_overlap", "total", "missed", "false_alarm", "confusion"), MD_EVAL)
def test_components_are_those_of_md_eval(
    peers: Path, collar: float, skip_overlap: bool, total: float, missed: float, false_alarm: float, confusion: float
) -> None:
    error = der(*pair(peers, VOXCONVERSE), collar=collar, skip_overlap=skip_overlap, mapping="uem")
    assert parts(error) == pytest.approx((missed, false_alarm, confusion, total), abs=1e-6)


def framed(path: Path, step: float = 0.01) -> Turns:
    """What dscore sees: the frames whose time, with all its errors of rounding, lies inside a segment."""
    turns: Turns = {}
    for line in path.read_text().splitlines():
        _, recording, _, start, duration, _, _, speaker, *_ = line.split()
        inside = np.searchsorted(step * np.arange(100_000), [float(start), float(start) + float(duration)])
        if inside[0] < inside[1]:
            turns.setdefault(recording, []).append(Segment(inside[0] * step, inside[1] * step, speaker))
    return turns


@pytest.mark.parametrize(("names", "percent", "digits"), [(VBX, 29.99, 2), (DSCORE, 33.24631, 5)])
def test_jer_is_that_of_dscore_on_its_frames(peers: Path, names: tuple[str, str], percent: float, digits: int) -> None:
    assert round(100 * jer(*(framed(peers / name) for name in names)).jer, digits) == percent
    assert 100 * jer(*pair(peers, names)).jer == pytest.approx(percent, abs=0.04)


# --- pyannote.metrics


def joined(segments: Sequence[Segment]) -> list[Segment]:
    """Segments of one speaker that share time made one, two by two."""
    left = list(segments)
    for first, second in combinations(left, 2):
        if first.speaker == second.speaker and max(first.start, second.start) < min(first.end, second.end):
            left.remove(first)
            left.remove(second)
            return joined([*left, Segment(min(first.start, second.start), max(first.end, second.end), first.speaker)])
    return left


def annotation(segments: Sequence[Segment]) -> Any:
    core = pytest.importorskip("pyannote.core")
    found = core.Annotation()
    for number, segment in enumerate(joined(segments)):
        found[core.Segment(segment.start, segment.end), number] = segment.speaker
    return found


def pyannote(
    metric: str, reference: Sequence[Segment], hypothesis: Sequence[Segment], uem: Sequence[Region] | None, **options: Any
) -> dict[str, float]:
    core, metrics = pytest.importorskip("pyannote.core"), pytest.importorskip("pyannote.metrics.diarization")
    options["collar"] *= 2  # theirs is the width of both sides
    both = annotation(reference), annotation(hypothesis)
    regions = None if uem is None else core.Timeline([core.Segment(*region) for region in uem])
    scorer = getattr(metrics, metric)(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = scorer.uemify(*both, uem=regions, **options)
        return {**scorer(*both, uem=regions, detailed=True), "mappings": len(best_pairs(ours * theirs))}


def best_pairs(together: NDArray) -> set[frozenset[tuple[int, int]]]:
    """All one-to-one pairings of rows and columns whose sum is highest, without the pairs that add nothing."""
    if together.shape[0] > together.shape[1]:
        together = together.T
    orders = list(permutations(range(together.shape[1]), together.shape[0]))
    sums = [sum(together[row, column] for row, column in enumerate(order)) for order in orders]
    best = [order for order, total in zip(orders, sums, strict=True) if total > max(sums) - 1e-6]
    return {frozenset((row, column) for row, column in enumerate(order) if together[row, column] > 0) for order in best}


# Times on a grid of 0.1 s: many boundaries meet, many mappings tie.
TURN = st.tuples(st.integers(0, 60), st.integers(1, 20), st.sampled_from("abcd"))
TURNS = st.lists(TURN, min_size=1, max_size=8).map(lambda rows: [Segment(s / 10, (s + n) / 10, who) for s, n, who in rows])
REGIONS = st.sampled_from([None, [(0.0, 5.0)], [(0.5, 1.7), (2.0, 9.0)], [(0.0, 100.0)]])
OPTIONS = {"collar": st.sampled_from([0.0, 0.1, 0.25, 0.7]), "skip_overlap": st.booleans(), "uem": REGIONS}


@given(reference=TURNS, hypothesis=TURNS, **OPTIONS)
@settings(max_examples=400, deadline=None)
def test_der_is_that_of_pyannote(
    reference: list[Segment], hypothesis: list[Segment], collar: float, skip_overlap: bool, uem: list[Region] | None
) -> None:
    theirs = pyannote("DiarizationErrorRate", reference, hypothesis, uem, collar=collar, skip_overlap=skip_overlap)
    ours = der(reference, hypothesis, collar=collar, skip_overlap=skip_overlap, uem="both" if uem is None else uem)
    wanted = [theirs[name] for name in ("missed detection", "false alarm", "confusion", "total", "diarization error rate")]
    assert [*parts(ours), ours.der] == pytest.approx(wanted, abs=1e-9)


def conversation(draw: random.Random, names: str) -> list[Segment]:
    """Turns whose times are never equal, so that few mappings tie."""
    starts = [draw.uniform(0, 30) for _ in range(draw.randrange(1, 12))]
    return [Segment(start, start + draw.uniform(0.01, 6), draw.choice(names)) for start in starts]


@given(seed=st.integers(0, 2**32), **OPTIONS)
@settings(max_examples=300, deadline=None)
def test_jer_is_that_of_pyannote(seed: int, collar: float, skip_overlap: bool, uem: list[Region] | None) -> None:
    draw = random.Random(seed)
    reference, hypothesis = conversation(draw, "abcd"), conversation(draw, "vwxyz")
    theirs = pyannote("JaccardErrorRate", reference, hypothesis, uem, collar=collar, skip_overlap=skip_overlap)
    assume(theirs["mappings"] == 1)
    options = {"collar": collar, "skip_overlap": skip_overlap, "uem": "both" if uem is None else uem}
    ours = jer(reference, hypothesis, mapping="overlap", **options)
    assert ours.num_speakers == theirs["speaker count"]
    assert sum(ours.speakers.values()) == pytest.approx(theirs["speaker error"], abs=1e-6)
    assert jer(reference, hypothesis, **options).jer <= ours.jer + 1e-12


# --- A loop over frames of 0.1 s


class Frames:
    """Who speaks in each frame, and every one-to-one mapping of the speakers tried."""

    def __init__(self, reference: list[Segment], hypothesis: list[Segment], collar: int, skip_overlap: bool, end: int) -> None:
        edges = {round(10 * time) for segment in joined(reference) for time in (segment.start, segment.end)}
        self.uem = [(self.at(reference, n), self.at(hypothesis, n)) for n in range(end)]
        near = [any(edge - collar <= n < edge + collar for edge in edges) for n in range(end)]
        kept = [not close and not (skip_overlap and len(ours) > 1) for close, (ours, _) in zip(near, self.uem, strict=True)]
        self.scored = [both for keep, both in zip(kept, self.uem, strict=True) if keep]
        self.ours, self.theirs = ({name for both in self.uem for name in both[side]} for side in (0, 1))

    @staticmethod
    def at(segments: list[Segment], frame: int) -> set[str]:
        return {s.speaker for s in segments if round(10 * s.start) <= frame < round(10 * s.end)}

    def mappings(self) -> Iterator[dict[str, str]]:
        ours, theirs = sorted(self.ours), sorted(self.theirs)
        if len(ours) <= len(theirs):
            yield from (dict(zip(ours, order, strict=True)) for order in permutations(theirs, len(ours)))
        else:
            yield from (dict(zip(order, theirs, strict=True)) for order in permutations(ours, len(theirs)))

    @staticmethod
    def right(frames: list[tuple[set[str], set[str]]], mapping: dict[str, str]) -> int:
        return sum(mapping.get(name) in theirs for ours, theirs in frames for name in ours)

    def confusion(self, mapping: dict[str, str]) -> int:
        return sum(min(len(ours), len(theirs)) for ours, theirs in self.scored) - self.right(self.scored, mapping)

    def jaccard(self, mapping: dict[str, str]) -> dict[str, float]:
        errors = {}
        for name in {name for ours, _ in self.scored for name in ours}:
            inside = [(name in ours, mapping.get(name) in theirs) for ours, theirs in self.scored]
            errors[name] = 1 - sum(a and b for a, b in inside) / sum(a or b for a, b in inside)
            if not any(a and b for a, b in inside):
                errors[name] = 1.0
        return errors


@given(reference=TURNS, hypothesis=TURNS, collar=st.sampled_from([0, 1, 3]), skip_overlap=st.booleans(), end=st.integers(1, 90))
@settings(max_examples=200, deadline=None)
def test_a_loop_over_frames_agrees(
    reference: list[Segment], hypothesis: list[Segment], collar: int, skip_overlap: bool, end: int
) -> None:
    slow = Frames(reference, hypothesis, collar, skip_overlap, end)
    options: dict[str, Any] = {"collar": collar / 10, "skip_overlap": skip_overlap, "uem": [(0, end / 10)]}
    missed = sum(max(len(ours) - len(theirs), 0) for ours, theirs in slow.scored)
    false_alarm = sum(max(len(theirs) - len(ours), 0) for ours, theirs in slow.scored)
    total = sum(len(ours) for ours, _ in slow.scored)
    mappings = list(slow.mappings())
    error = der(reference, hypothesis, **options)
    assert parts(error) == pytest.approx([n / 10 for n in (missed, false_alarm, min(map(slow.confusion, mappings)), total)])
    longest = max(slow.right(slow.uem, mapping) for mapping in mappings)
    agreeing = [slow.confusion(mapping) / 10 for mapping in mappings if slow.right(slow.uem, mapping) == longest]
    assert any(der(reference, hypothesis, mapping="uem", **options).confusion == pytest.approx(one) for one in agreeing)
    least = min(sum(slow.jaccard(mapping).values()) for mapping in mappings)
    fast = jer(reference, hypothesis, **options)
    assert sum(fast.speakers.values()) == pytest.approx(least)
    assert fast.speakers.keys() == slow.jaccard({}).keys()


# --- What was decided


def test_the_mapping_is_told() -> None:
    error = der({"a": [ANNA, BEN]}, {"a": [Segment(0, 5, "1"), Segment(5, 10, "0"), Segment(10, 12, "2")]}, uem="both")
    assert error.recordings["a"].speakers == {"1": "anna", "0": "ben"}
    assert parts(error) == (0.0, 2.0, 1.0, 10.0)


def test_recordings_are_summed_and_their_speakers_are_apart() -> None:
    reference = {"a": [ANNA, BEN], "b": [Segment(0, 10, "anna")]}
    hypothesis = {"a": [Segment(0, 10, "x")], "b": [Segment(0, 5, "ben")]}
    error = der(reference, hypothesis)
    assert {name: parts(row) for name, row in error.recordings.items()} == {"a": (0, 0, 4, 10), "b": (5, 0, 0, 10)}
    assert parts(error) == (5, 0, 4, 20)
    assert error.der == 0.45
    assert jer(reference, hypothesis).jer == pytest.approx((0.4 + 1 + 0.5) / 3)
    assert jer(reference, hypothesis).recordings["a"].num_speakers == 2


def test_a_list_is_one_recording() -> None:
    one = der([ANNA, BEN], [Segment(1, 8, "x")], uem=[(0, 9)])
    assert parts(one) == parts(der({"a": [ANNA, BEN]}, {"a": [Segment(1, 8, "x")]}, uem={"a": [(0, 9)]}))
    assert (one.recordings, one.speakers) == ({}, {"x": "anna"})


def test_segments_may_come_one_by_one() -> None:
    assert parts(der(iter([ANNA, BEN]), iter([ANNA]))) == (4, 0, 0, 10)  # type: ignore[arg-type]


def test_without_a_uem_the_reference_says_what_is_scored() -> None:
    hypothesis = [Segment(0, 4, "x"), Segment(9, 15, "x")]
    assert parts(der([Segment(2, 10, "anna")], hypothesis)) == (5, 0, 0, 8)
    assert parts(der([Segment(2, 10, "anna")], hypothesis, uem="both")) == (5, 7, 0, 8)


def test_a_recording_that_the_hypothesis_lacks_is_missed() -> None:
    assert parts(der({"a": [ANNA]}, {})) == (6, 0, 0, 6)
    assert jer({"a": [ANNA]}, {}).jer == 1.0


@pytest.mark.parametrize("collar", [0.0, 0.25])
def test_where_nobody_speaks_all_is_false_alarm(collar: float) -> None:
    error = der({"a": []}, {"a": [ANNA]}, collar=collar)
    assert (*parts(error), error.der) == (0, 6, 0, 0, 1.0)
    assert parts(der({}, {"a": [ANNA]}, uem={"a": [(0, 4)]})) == (0, 4, 0, 0)
    assert (jer([], [ANNA]).jer, jer({"a": []}, {"a": [ANNA]}).jer) == (1.0, 1.0)
    assert (der([], []).der, jer([], []).jer) == (0.0, 0.0)


def test_an_empty_list_leaves_a_recording_out() -> None:
    reference, hypothesis = {"a": [ANNA], "b": [BEN]}, {"a": [BEN], "b": [BEN]}
    assert parts(der(reference, hypothesis, uem={"a": [], "b": [(0, 10)]})) == (0, 0, 0, 4)


def test_overlapping_segments_of_a_speaker_are_one() -> None:
    pieces = [Segment(0, 4, "anna"), Segment(1, 2, "anna"), Segment(3, 6, "anna")]
    for collar in (0.0, 0.25):
        for skip_overlap in (False, True):
            options: dict[str, Any] = {"collar": collar, "skip_overlap": skip_overlap}
            assert parts(der(pieces, [BEN], **options)) == parts(der([ANNA], [BEN], **options))
            assert der([ANNA], pieces, **options).der == 0.0


def test_segments_that_touch_keep_their_collar() -> None:
    halves = [Segment(0, 3, "anna"), Segment(3, 6, "anna")]
    assert der(halves, [ANNA]).total == 6
    assert der(halves, [ANNA], collar=0.25).total == 5
    assert der([ANNA], [ANNA], collar=0.25).total == 5.5


def test_the_last_bits_of_a_time_are_neither_overlap_nor_speaker() -> None:
    third = 0.1 + 0.2  # a little more than 0.3
    assert der([Segment(0, third, "a"), Segment(0.3, 1, "b")], [], skip_overlap=True).total == 1.0
    assert der([Segment(0, third, "a"), Segment(0.3, 1, "a")], [], collar=0.1).total == pytest.approx(0.6)
    assert jer([Segment(third, 0.7, "a"), Segment(1, 5, "b")], [Segment(1, 5, "b")], collar=0.2).num_speakers == 1


def test_a_wrong_speaker_is_an_error_only_once_mapped() -> None:
    swapped = [Segment(0, 6, "ben"), Segment(6, 10, "anna")]
    assert der([ANNA, BEN], swapped).der == 0.0


def test_errors_may_exceed_all_speech() -> None:
    crowd = [Segment(0, 6, str(number)) for number in range(5)]
    assert der([ANNA], crowd).der == 4.0


# --- What is refused


@pytest.mark.parametrize(
    ("reference", "hypothesis", "uem", "code", "words"),
    [
        ({"a": [ANNA]}, {"b": [ANNA]}, None, "E_RECORDINGS", "'b' of the hypothesis"),
        ({"a": [ANNA]}, {"b": [ANNA]}, {"a": [(0, 9)]}, "E_RECORDINGS", "'b' of the hypothesis"),
        ({"a": [ANNA], "b": [BEN]}, {}, {"a": [(0, 9)]}, "E_RECORDINGS", "'b' of the reference"),
        ({}, {}, None, "E_RECORDINGS", "no recording"),
        ({"a": [ANNA]}, [ANNA], None, "E_RECORDINGS", "expected mappings"),
        ([ANNA], [ANNA], {"a": [(0, 9)]}, "E_RECORDINGS", "expected mappings"),
        ([ANNA], [(0, 6, "anna")], None, "E_SEGMENTS", "expected a Segment"),
        ([ANNA], [ANNA], [(3, 1)], "E_SEGMENTS", "3 to 1"),
        ([ANNA], [ANNA], [(math.nan, 1)], "E_SEGMENTS", "nan to 1"),
        ([ANNA], [ANNA], [ANNA], "E_SEGMENTS", "expected a region"),
    ],
)
@pytest.mark.parametrize("metric", [der, jer])
def test_what_does_not_hold_together_is_refused(
    metric: Any, reference: Any, hypothesis: Any, uem: Any, code: str, words: str
) -> None:
    with pytest.raises(DataError, match=words) as caught:
        metric(reference, hypothesis, uem=uem)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options", [{"collar": -0.1}, {"collar": math.nan}, {"collar": math.inf}, {"uem": "all"}, {"mapping": "x"}]
)
@pytest.mark.parametrize("metric", [der, jer])
def test_options_that_make_no_sense_are_refused(metric: Any, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        metric([ANNA], [ANNA], **options)
