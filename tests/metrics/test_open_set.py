"""Open-set identification against the definition, search by search."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxid.errors import ConfigError, DataError
from voxid.metrics import open_set
from voxid.metrics.detection import det_curve
from voxid.metrics.identification import top_k_accuracy
from voxid.metrics.open_set import fnir, fnir_at_fpir, fpir, open_set_curve

pytestmark = pytest.mark.filterwarnings("error")


@st.composite
def searches(draw):
    """Scores [M, K] with many ties, and labels with strangers and enrolled speakers among them."""
    columns, rows = draw(st.integers(1, 5)), draw(st.integers(2, 12))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = random.integers(-1, columns, rows)
    labels[:2] = [-1, 0]
    scores = random.integers(-4, 5, (rows, columns)) / 4
    return scores.astype(draw(st.sampled_from(["f4", "f8"]))), labels


def slow_answer(row, threshold, rank, own):
    """Speakers that a search answers, the own one last among those who tie with it."""
    order = sorted(range(len(row)), key=lambda column: (-row[column], column == own))
    return [column for column in order[:rank] if row[column] >= threshold]


def slow_rates(scores, labels, threshold, rank):
    answers = [slow_answer(row, threshold, rank, own) for row, own in zip(scores.tolist(), labels, strict=True)]
    positive = [bool(answer) for answer, own in zip(answers, labels, strict=True) if own == -1]
    missed = [own not in answer for answer, own in zip(answers, labels, strict=True) if own != -1]
    return sum(positive) / len(positive), sum(missed) / len(missed)


@given(searches(), st.integers(-5, 5), st.integers(1, 6))
def test_rates_are_those_of_the_definition(trials, quarter, rank):
    scores, labels = trials
    expected = slow_rates(scores, labels, quarter / 4, rank)
    assert (fpir(scores, labels, quarter / 4), fnir(scores, labels, quarter / 4, rank=rank)) == pytest.approx(expected)


@given(searches(), st.integers(1, 6))
def test_the_curve_holds_the_rates_of_its_thresholds(trials, rank):
    scores, labels = trials
    fpirs, fnirs, thresholds = open_set_curve(scores, labels, rank=rank)
    assert thresholds[-1] == math.inf
    assert (np.diff(thresholds) > 0).all()
    for row in zip(fpirs, fnirs, thresholds, strict=True):
        assert row[:2] == pytest.approx(slow_rates(scores, labels, row[2], rank))
    # Every pair of rates that any threshold has is on it.
    every = {slow_rates(scores, labels, threshold, rank) for threshold in [*np.unique(scores), math.inf]}
    shown = set(zip(fpirs.round(9), fnirs.round(9), strict=True))
    assert {(round(a, 9), round(b, 9)) for a, b in every} <= shown | {(1.0, round(fnirs[0], 9))}


@given(searches(), st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 1.0]), st.integers(1, 6))
def test_the_threshold_of_a_rate_is_the_smallest(trials, target, rank):
    scores, labels = trials
    rate, threshold = fnir_at_fpir(scores, labels, target, rank=rank)
    assert fpir(scores, labels, threshold) <= target
    assert rate == fnir(scores, labels, threshold, rank=rank)
    if threshold > -math.inf:
        below = np.nextafter(np.array(threshold, scores.dtype), np.array(-np.inf, scores.dtype))
        assert fpir(scores, labels, float(below)) > target


@given(searches(), st.integers(1, 5))
def test_without_a_threshold_it_is_the_closed_set_error(trials, rank):
    scores, labels = trials
    mated = labels >= 0
    assert fnir(scores, labels, rank=rank) == pytest.approx(1 - top_k_accuracy(scores[mated], labels[mated], rank))


def test_with_one_enrolled_speaker_it_is_verification():
    random = np.random.default_rng(0)
    labels = np.where(random.random(500) < 0.4, 0, -1)
    scores = np.round(random.normal(size=500) + 2 * (labels == 0), 2)
    fpirs, fnirs, thresholds = open_set_curve(scores[:, None], labels)
    frr, far, same = det_curve(scores, labels == 0)
    np.testing.assert_array_equal(thresholds, same)
    np.testing.assert_allclose(fpirs, far)
    np.testing.assert_allclose(fnirs, frr)


def test_more_enrolled_speakers_mean_more_false_positives():
    """With K independent chances the rate is 1 - (1 - FAR)^K, on Gaussian scores."""
    random = np.random.default_rng(1)
    scores, labels = random.normal(size=(40_000, 20)), np.full(40_000, -1)
    far = 0.5 * math.erfc(2.5 / math.sqrt(2))
    assert fpir(scores, labels, 2.5) == pytest.approx(1 - (1 - far) ** 20, abs=5e-3)


def test_blocks_do_not_change_ranks(monkeypatch):
    random = np.random.default_rng(2)
    scores, labels = np.round(random.normal(size=(101, 7)), 1), random.integers(-1, 7, 101)
    whole = [fnir(scores, labels, 0.2, rank=rank) for rank in (1, 2, 3)]
    monkeypatch.setattr(open_set, "SCORES", 20)
    assert [fnir(scores, labels, 0.2, rank=rank) for rank in (1, 2, 3)] == whole


def test_who_is_outranked_is_missed_at_every_threshold():
    scores, labels = [[0.2, 0.9], [0.4, 0.3]], [0, -1]
    assert fnir(scores, labels, -math.inf) == 1.0
    fpirs, fnirs, thresholds = open_set_curve(scores, labels)
    assert (fpirs.tolist(), fnirs.tolist(), thresholds.tolist()) == ([1.0, 0.0], [1.0, 1.0], [0.4, math.inf])


def test_scores_are_left_alone():
    scores = np.array([[0.2, 0.9], [0.4, 0.3]])
    open_set_curve(scores, [0, -1])
    assert scores.tolist() == [[0.2, 0.9], [0.4, 0.3]]


ALL = {
    "fpir": lambda s, y: fpir(s, y, 0.5),
    "fnir": fnir,
    "fnir_at_fpir": lambda s, y: fnir_at_fpir(s, y, 0.1),
    "open_set_curve": open_set_curve,
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("scores", "labels", "code"),
    [
        ([0.1, 0.2], [0, -1], "E_SHAPE"),
        (np.zeros((0, 3)), np.zeros(0, int), "E_SHAPE"),
        (np.zeros((3, 0)), np.zeros(3, int), "E_SHAPE"),
        ([[0.1, 0.2]], [0, -1], "E_SHAPE"),
        ([[0.1], [0.2, 0.3]], [0, -1], "E_SHAPE"),
        ([[0.1, 0.2], [0.1, 0.2]], [2, -1], "E_LABELS"),
        ([[0.1, 0.2], [0.1, 0.2]], [-2, -1], "E_LABELS"),
        ([[0.1, 0.2], [0.1, 0.2]], [0.0, -1.0], "E_LABELS"),
        ([[0.1, math.nan], [0.1, 0.2]], [0, -1], "E_SCORES"),
        ([[0.1, math.inf], [0.1, 0.2]], [0, -1], "E_SCORES"),
        ([["a", "b"], ["c", "d"]], [0, -1], "E_SCORES"),
    ],
)
def test_bad_searches_are_a_typed_error(name, scores, labels, code):
    with pytest.raises(DataError) as caught:
        ALL[name](scores, labels)
    assert caught.value.code == code


NEEDS = [("fpir", 0), ("fnir", -1), ("fnir_at_fpir", 0), ("fnir_at_fpir", -1), ("open_set_curve", 0), ("open_set_curve", -1)]


@pytest.mark.parametrize(("name", "label"), NEEDS)
def test_searches_of_one_kind_only(name, label):
    with pytest.raises(DataError, match="enrolled") as caught:
        ALL[name]([[0.1, 0.2]], [label])
    assert caught.value.code == "E_ONE_CLASS"


@pytest.mark.parametrize(
    "call",
    [
        lambda: fpir([[1.0]], [-1], math.nan),
        lambda: fnir([[1.0]], [0], math.nan),
        lambda: fnir([[1.0]], [0], rank=0),
        lambda: open_set_curve([[1.0], [1.0]], [0, -1], rank=0),
        lambda: fnir_at_fpir([[1.0], [1.0]], [0, -1], 1.5),
        lambda: fnir_at_fpir([[1.0], [1.0]], [0, -1], math.nan),
    ],
)
def test_bad_options_are_a_typed_error(call):
    with pytest.raises(ConfigError):
        call()
