"""Errors found in bins against errors counted at every threshold: the bins may lie anywhere, the answer is the same."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxid.metrics import error_counts
from voxid.metrics.error_counts import ErrorCounts

pytestmark = pytest.mark.filterwarnings("error")
WEIGHTS = [(1, 1), (1, 100), (100, 1), (7, 3), (1, 0), (0, 1)]


@pytest.fixture(params=[(1, 1 << 14), (1, 64), (1, 3), (1 << 30, 4)], ids=["many", "some", "three", "sorted"])
def bins(request, monkeypatch):
    """Few trials are put in bins too, in one of few bins or of more than there are trials."""
    for name, value in zip(("FEW", "BINS"), request.param, strict=True):
        monkeypatch.setattr(error_counts, name, value)
    monkeypatch.setattr(error_counts, "SAMPLE", 2)
    monkeypatch.setattr(error_counts, "BLOCK", 7)


def check(scores, labels, rows):
    counts = ErrorCounts(scores, labels)
    points = [row[1:] for row in rows]
    targets, nontargets = points[-1][0], points[0][1]
    assert (counts.num_targets, counts.num_nontargets) == (targets, nontargets)
    for weights in WEIGHTS:
        found = counts.lowest(*weights)
        assert found in points
        assert np.dot(found, weights) == min(np.dot(point, weights) for point in points)
    expected = next((before, after) for before, after in pairwise(points) if after[0] * nontargets >= after[1] * targets)
    assert counts.crossing() == expected
    check_hull(*counts.hull_crossing(), points)


def check_hull(before, after, points):
    """The ends are points on either side of the diagonal, and no point lies below the line through them."""
    targets, nontargets = points[-1][0], points[0][1]
    assert before in points
    assert after in points
    assert before[0] * nontargets <= before[1] * targets
    assert after[0] * nontargets >= after[1] * targets
    weights = before[1] - after[1], after[0] - before[0]
    assert min(np.dot(point, weights) for point in points) == np.dot(before, weights) == np.dot(after, weights)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_every_answer_is_that_of_all_thresholds(bins, trial_sets, slow_counts, data):
    scores, labels = data.draw(trial_sets)
    check(scores, labels, slow_counts(scores, labels))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(data=st.data(), far=st.sampled_from([np.inf, 3e38, 1e30, 1e-44]), dtype=st.sampled_from(["f4", "f8"]))
def test_far_infinite_and_tiny_scores_keep_their_order(bins, slow_counts, data, far, dtype):
    """Differences of scores may overflow, and bins per unit of score too."""
    values = st.sampled_from([-far, far, 0.0, 1.0, -1.0, far / 2, -far / 2])
    rows = data.draw(st.lists(st.tuples(values, st.booleans()), min_size=2, max_size=12))
    scores, labels = np.array([row[0] for row in rows], dtype=dtype), np.array([row[1] for row in rows])
    labels[:2] = [True, False]
    check(scores, labels, slow_counts(scores, labels))


@pytest.mark.parametrize("shape", ["normal", "cauchy", "rounded", "constant", "sorted", "failed", "apart", "strided", "infinite"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_lists_long_enough_for_bins(shape, dtype):
    """Against sorting, with as many bins, blocks and samples as there are in earnest."""
    random = np.random.default_rng(5)
    labels = random.random(150_000) < 0.2
    scores = random.standard_cauchy(labels.size) if shape == "cauchy" else random.normal(size=labels.size)
    scores = (scores + (30 if shape == "apart" else 2) * labels).astype(dtype)
    if shape == "rounded":
        scores = np.round(scores, 1)
    elif shape == "constant":
        scores[:] = 0.25
    elif shape == "sorted":
        scores.sort()
    elif shape == "failed":
        scores[::10] = -1e9
    elif shape == "infinite":
        scores[::100], scores[1::100] = -np.inf, np.inf
    if shape == "strided":
        scores, labels = scores[::-3], labels[::-3]
    compare_with_sorting(scores, labels)


def compare_with_sorting(scores, labels):
    distinct, place = np.unique(scores, return_inverse=True)
    targets, nontargets = (np.bincount(place[side], minlength=distinct.size) for side in (labels, ~labels))
    misses, accepts = np.append(0, np.cumsum(targets)), nontargets.sum() - np.append(0, np.cumsum(nontargets))
    counts = ErrorCounts(scores, labels)
    for weights in [(1, 1), (1, 99), (1000, 1)]:
        assert np.dot(counts.lowest(*weights), weights) == (weights[0] * misses + weights[1] * accepts).min()
    after = np.argmax(misses * nontargets.sum() >= accepts * targets.sum())
    assert counts.crossing() == ((misses[after - 1], accepts[after - 1]), (misses[after], accepts[after]))
    before, after = counts.hull_crossing()
    weights = before[1] - after[1], after[0] - before[0]
    assert (weights[0] * misses + weights[1] * accepts).min() == np.dot(before, weights) == np.dot(after, weights)
    assert before[0] * nontargets.sum() <= before[1] * targets.sum()
    assert after[0] * nontargets.sum() >= after[1] * targets.sum()


def test_few_scores_are_sorted_for_an_answer(monkeypatch):
    """The promise of O(N): of 200,000 trials, a few hundred are sorted."""
    sorted_sizes = []
    whole = np.sort
    monkeypatch.setattr(error_counts.np, "sort", lambda values: sorted_sizes.append(values.size) or whole(values))
    random = np.random.default_rng(0)
    labels = random.random(200_000) < 0.1
    counts = ErrorCounts((random.normal(size=labels.size) + 3 * labels).astype("f4"), labels)
    counts.crossing()
    counts.lowest(0.01 / counts.num_targets, 0.99 / counts.num_nontargets)
    assert 0 < sum(sorted_sizes) < 20_000
