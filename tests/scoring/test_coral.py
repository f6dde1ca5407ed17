"""CORAL: training rows take on mean and covariance of the target, rows to be scored stay."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from voxid.errors import DataError
from voxid.scoring.backend import Backend
from voxid.scoring.coral import Coral


@pytest.fixture
def domains():
    rng = np.random.default_rng(0)
    return rng.normal(size=(500, 4)) @ rng.normal(size=(4, 4)) + 3, rng.normal(size=(400, 4)) @ rng.normal(size=(4, 4)) - 1


def test_training_rows_take_on_the_statistics_of_the_target(domains):
    training, target = domains
    moved = Coral(shrinkage=0.0).fit(training, target=target).transform_training(training)
    np.testing.assert_allclose(np.cov(moved.T), np.cov(target.T), atol=1e-9)
    np.testing.assert_allclose(moved.mean(axis=0), target.mean(axis=0), atol=1e-9)


def test_the_recolouring_is_that_of_the_paper(domains):
    training, target = domains
    source, wanted = (np.cov(rows.T) for rows in domains)
    expected = (training - training.mean(axis=0)) @ np.linalg.inv(sqrtm(source)).real @ sqrtm(wanted).real + target.mean(axis=0)
    np.testing.assert_allclose(Coral(0.0).fit(training, target=target).transform_training(training), expected, atol=1e-8)


def test_rows_to_be_scored_stay(domains):
    training, target = domains
    np.testing.assert_array_equal(Coral().fit(training, target=target).transform(target), target)


def test_directions_that_no_training_row_has_stay_without(domains):
    training, target = domains
    flat = training * [1, 1, 1, 0]
    moved = Coral(0.0).fit(flat, target=target).transform_training(flat)
    assert np.isfinite(moved).all()
    assert np.linalg.matrix_rank(moved - moved.mean(axis=0), tol=1e-6) == 3


def test_a_backend_learns_from_recoloured_rows_and_scores_plain_ones(planted):
    """The domain is turned and stretched: labels are known in the old one only."""
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(12, 12)))[0] * np.linspace(1, 6, 12)
    target = planted.fresh @ turn
    plain = Backend(["center", "whiten"], "plda").fit(planted.rows, planted.speakers)
    moved = Backend([{"name": "coral", "shrinkage": 0.0}, "center", "whiten"], "plda").fit(
        planted.rows, planted.speakers, target=target
    )
    centre = moved.transforms[1].mean
    np.testing.assert_allclose(centre, target.mean(axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(np.cov(moved.transform(target).T), np.eye(12), atol=1e-6)
    assert np.abs(np.cov(plain.transform(target).T) - np.eye(12)).max() > 1
    # The cohort is made of training speakers, so it is recoloured as well: it lies where the target lies.
    assert np.linalg.norm(moved.cohort.mean(axis=0)) < 1


def test_without_a_target_it_says_what_is_missing(planted):
    with pytest.raises(DataError, match="target=rows") as caught:
        Backend(["coral"]).fit(planted.rows, planted.speakers)
    assert caught.value.code == "E_TARGET"
    with pytest.raises(DataError, match="target rows") as caught:
        Backend(["coral"]).fit(planted.rows, planted.speakers, target=planted.fresh[:, :3])
    assert caught.value.code == "E_SHAPE"
