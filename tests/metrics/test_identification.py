"""Closed-set accuracies against scikit-learn and plain counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sklearn_metrics

from voxid.errors import ConfigError, DataError
from voxid.metrics.identification import accuracy, confusion_matrix, top_k_accuracy, vote, wilson_interval


@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(1, 40))
def test_accuracy_and_top_k_are_those_of_scikit_learn(seed: int, classes: int, items: int) -> None:
    draw = np.random.default_rng(seed)
    scores, labels = draw.normal(size=(items, classes)), draw.integers(classes, size=items)
    assert accuracy(scores, labels) == pytest.approx(sklearn_metrics.accuracy_score(labels, scores.argmax(axis=1)))
    for k in range(1, classes):
        theirs = labels == scores.argmax(axis=1) if k == 1 else None
        hits = np.array([label in np.argsort(row)[-k:] for row, label in zip(scores, labels, strict=True)])
        assert top_k_accuracy(scores, labels, k) == pytest.approx(hits.mean() if theirs is None else theirs.mean())


def test_top_k_against_scikit_learn() -> None:
    draw = np.random.default_rng(3)
    scores, labels = draw.normal(size=(200, 7)), np.concatenate([np.arange(7), draw.integers(7, size=193)])
    assert top_k_accuracy(scores, labels, 3) == pytest.approx(sklearn_metrics.top_k_accuracy_score(labels, scores, k=3))


def test_a_net_that_scores_all_alike_has_recognised_nobody() -> None:
    assert accuracy(np.zeros((4, 3)), [0, 1, 2, 0]) == 0.0
    assert top_k_accuracy(np.zeros((4, 3)), [0, 1, 2, 0], 3) == 1.0


def test_the_confusion_matrix_is_that_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    guess, truth = draw.integers(5, size=100), draw.integers(5, size=100)
    assert np.array_equal(confusion_matrix(guess, truth, 5), sklearn_metrics.confusion_matrix(truth, guess, labels=range(5)))
    assert confusion_matrix([0], [0], 3).shape == (3, 3)


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (1, 7), (37, 100), (504, 504)])
def test_the_interval_is_that_of_scipy(hits: int, trials: int) -> None:
    theirs = binomtest(hits, trials).proportion_ci(method="wilson")
    assert wilson_interval(hits, trials) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_a_vote_goes_to_the_most_and_a_tie_to_the_surer() -> None:
    one, two = np.array([[0.6, 0.3, 0.1]]), np.array([[0.05, 0.9, 0.05]])
    assert vote([[0], [1]], [one, two]).tolist() == [1]
    assert vote([[0], [0], [1]], [one, one, two]).tolist() == [0]
    three = np.array([[0.34, 0.33, 0.33]])
    # The third class has the best mean posterior, but no vote.
    sure_of_third = np.array([[0.0, 0.0, 1.0]])
    assert vote([[0], [1], [0]], [three, three, sure_of_third]).tolist() == [0]


@pytest.mark.parametrize(
    ("scores", "labels", "code"),
    [
        ([0.1, 0.2], [0, 1], "E_SHAPE"),
        (np.zeros((0, 3)), np.zeros(0, int), "E_SHAPE"),
        ([[0.1, 0.2]], [0.0], "E_SHAPE"),
        ([[0.1, 0.2]], [2], "E_SHAPE"),
        ([[0.1, np.nan]], [0], "E_NOT_FINITE"),
    ],
)
def test_what_cannot_be_measured_is_refused(scores, labels, code: str) -> None:
    with pytest.raises(DataError) as caught:
        accuracy(scores, labels)
    assert caught.value.code == code


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="k must be"):
        top_k_accuracy([[1.0, 0.0]], [0], 0)
    with pytest.raises(DataError):
        wilson_interval(3, 2)
    with pytest.raises(DataError):
        confusion_matrix([0, 5], [0, 1], 3)
