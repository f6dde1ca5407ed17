"""Precisions of rows against SciPy's gamma distribution; the whole training is tested with its scorer."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import gamma

from voxid.scoring.heavy_tailed_em import expected_precisions, variational_bayes
from voxid.scoring.speaker_statistics import speaker_statistics


@pytest.mark.parametrize("nu", [1.0, 2.0, 30.0])
@pytest.mark.parametrize("square", [0.1, 5.0, 40.0])
def test_expected_precisions_are_the_posterior_means(nu, square):
    """Prior Gamma(nu / 2, nu / 2), and a noise of five dimensions with that precision."""

    def density(precision):
        return gamma.pdf(precision, nu / 2, scale=2 / nu) * precision**2.5 * np.exp(-precision * square / 2)

    mean = quad(lambda precision: precision * density(precision), 0, np.inf)[0] / quad(density, 0, np.inf)[0]
    assert expected_precisions(np.array([square]), 5, nu)[0] == pytest.approx(mean, rel=1e-6)


def test_an_outlier_moves_the_result_little():
    """Ten times as far, the strange row weighs a hundredth: what it adds to the covariance stays the same."""
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(40), 4)
    rows = (rng.normal(size=(40, 4)) * [5, 5, 0, 0])[codes] + rng.normal(size=(160, 4))

    def within(size):
        strange = rows.copy()
        strange[7] += size
        return variational_bayes(strange, codes, speaker_statistics(strange, codes), 2, 2.0, 20)[0].within

    plain, far, farther = within(0.0), within(50.0), within(500.0)
    assert np.abs(far - plain).max() < 0.2 * np.abs(plain).max()
    assert np.abs(farther - far).max() < 0.02 * np.abs(plain).max()
