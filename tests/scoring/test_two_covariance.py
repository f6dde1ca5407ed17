"""Simultaneous diagonalisation against SciPy's generalised eigenvalues."""

import numpy as np
import pytest
from scipy.linalg import eigh

from voxid.scoring.two_covariance import TwoCovariance, diagonalise


@pytest.fixture
def covariances():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(6, 6)), rng.normal(size=(6, 2))
    return first @ first.T + 0.1 * np.eye(6), second @ second.T


def test_both_covariances_become_diagonal(covariances):
    within, between = covariances
    transform, psi, log_determinant = diagonalise(within, between)
    np.testing.assert_allclose(transform @ within @ transform.T, np.eye(6), atol=1e-10)
    np.testing.assert_allclose(transform @ between @ transform.T, np.diag(psi), atol=1e-10)
    np.testing.assert_allclose(psi[::-1], eigh(between, within, eigvals_only=True), atol=1e-10)
    assert log_determinant == pytest.approx(np.linalg.slogdet(within)[1])


def test_covariances_come_back_and_what_is_negative_becomes_zero(covariances):
    within, between = covariances
    mean = np.arange(6.0)
    model = TwoCovariance.of(mean, within, between)
    np.testing.assert_allclose(model.within, within, atol=1e-10)
    np.testing.assert_allclose(model.between, between, atol=1e-10)
    np.testing.assert_allclose(model.project(mean + within[:1]), (model.transform @ within[0])[None])
    assert (TwoCovariance.of(mean, within, -between).psi >= 0).all()


def test_truncation_keeps_the_largest(covariances):
    model = TwoCovariance(np.zeros(3), np.eye(3), np.array([1.0, 5.0, 2.0]))
    assert model.truncated(2).psi.tolist() == [0.0, 5.0, 2.0]
    assert model.truncated(3).psi.tolist() == [1.0, 5.0, 2.0]


def test_a_singular_covariance_within_speakers_is_refused(covariances):
    with pytest.raises(np.linalg.LinAlgError):
        diagonalise(covariances[1], covariances[0])
