"""The objective of the logistic regression: its value from the definition, its derivatives from its values."""

import math

import numpy as np
import pytest

from voxid.scoring.logistic import Logistic

PRIORS = [0.01, 0.3]


@pytest.fixture
def trials():
    rng = np.random.default_rng(0)
    targets = np.arange(40) % 4 == 0
    features = rng.normal(size=(40, 2)) * [3, 0.1] + np.where(targets, 2, 0)[:, None]
    shares = rng.random(40)
    return features, targets, shares / np.where(targets, shares[targets].sum(), shares[~targets].sum())


def test_the_value_is_that_of_the_definition(trials):
    features, targets, shares = trials
    weights, offset = np.array([0.7, -1.1]), 0.4
    llr = (features - features.mean(axis=0)) / features.std(axis=0) @ weights + offset
    expected = 0.5 * 0.2 * (weights @ weights)
    for p in PRIORS:
        z = llr + math.log(p / (1 - p))
        cost = np.where(targets, p * np.log1p(np.exp(-z)), (1 - p) * np.log1p(np.exp(z)))
        entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
        expected += shares @ cost / entropy / len(PRIORS)
    assert Logistic(features, targets, shares, PRIORS, l2=0.2)._value(np.array([*weights, offset])) == pytest.approx(expected)


def test_scores_that_say_nothing_cost_one(trials):
    features, targets, shares = trials
    assert Logistic(features, targets, shares, PRIORS, l2=0.2)._value(np.zeros(3)) == pytest.approx(1)


def test_gradient_and_curvature_are_those_of_the_value(trials):
    objective = Logistic(*trials, PRIORS, l2=0.2)
    place, step = np.array([0.7, -1.1, 0.4]), 1e-5
    value, gradient, curvature = objective._look(place)
    assert value == objective._value(place)
    moves = step * np.eye(3)
    slopes = [(objective._value(place + move) - objective._value(place - move)) / (2 * step) for move in moves]
    bends = [(objective._look(place + move)[1] - objective._look(place - move)[1]) / (2 * step) for move in moves]
    np.testing.assert_allclose(gradient, slopes, atol=1e-8)
    np.testing.assert_allclose(curvature, bends, atol=1e-8)
