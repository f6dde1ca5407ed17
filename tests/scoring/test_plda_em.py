"""Training of PLDA: likelihoods against SciPy's joint density, parameters against planted ones and the books' closed forms."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from voxid.scoring.plda import Plda


def sample(seed, counts, within, between, mean):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    places = rng.multivariate_normal(mean, between, len(counts))
    return places[labels] + rng.multivariate_normal(np.zeros(len(mean)), within, len(labels)), labels


def covariances(seed, dim, rank=None):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(dim, dim)), rng.normal(size=(dim, rank or dim))
    return first @ first.T / dim + 0.2 * np.eye(dim), second @ second.T, rng.normal(size=dim)


def joint(rows, labels, mean, within, between):
    same = labels[:, None] == labels
    full = np.kron(same, between) + np.kron(np.eye(len(rows)), within)
    return multivariate_normal(np.tile(mean, len(rows)), full).logpdf(rows.ravel())


def of(scorer):
    return scorer.model.mean, scorer.model.within, scorer.model.between


@pytest.mark.parametrize("rank", [None, 1, 2])
def test_the_likelihood_is_the_joint_density_and_never_falls(rank):
    rows, labels = sample(1, [1, 2, 7, 3, 3, 1, 5, 4, 2, 6], *covariances(2, 3))
    values = Plda(rank=rank, iterations=60).fit(rows, labels).log_likelihoods
    assert len(values) == 61
    assert values[-1] > values[0] + 0.01
    assert np.diff(values).min() >= -1e-9
    for iterations in (0, 1, 60):
        scorer = Plda(rank=rank, iterations=iterations).fit(rows, labels)
        assert joint(rows, labels, *of(scorer)) == pytest.approx(values[iterations], abs=1e-6)


def test_the_likelihood_never_falls_with_a_prior_either():
    rng = np.random.default_rng(3)
    rows, labels = rng.normal(size=(40, 60)), np.repeat(np.arange(20), 2)
    for options in ({}, {"rank": 5}, {"shrinkage": 0.3}):
        values = Plda(iterations=30, **options).fit(rows, labels).log_likelihoods
        assert (np.diff(values) >= -1e-9 * np.abs(values[-1])).all()


def test_no_step_away_from_the_result_of_em_is_likelier():
    rows, labels = sample(4, [1, 2, 7, 3, 3, 8, 5, 4, 2, 6, 4, 3], *covariances(5, 2))
    mean, within, between = of(Plda(iterations=3000).fit(rows, labels))
    best, rng = joint(rows, labels, mean, within, between), np.random.default_rng(0)
    assert np.linalg.eigvalsh(between)[0] > 0.01
    for _ in range(40):
        turn = [np.eye(2) + 0.01 * rng.normal(size=(2, 2)) for _ in range(2)]
        other = mean + 0.01 * rng.normal(size=2), turn[0] @ within @ turn[0].T, turn[1] @ between @ turn[1].T
        assert joint(rows, labels, *other) < best


def test_equal_counts_have_a_known_answer():
    """Analysis of variance: with n rows of each speaker, both maximum likelihood and the unbiased estimate are in the books."""
    speakers, count = 80, 4
    rows, labels = sample(6, [count] * speakers, *covariances(7, 4))
    means = rows.reshape(speakers, count, 4).mean(axis=1)
    inner = rows - means[labels]
    within = inner.T @ inner / (speakers * (count - 1))
    for options, between in (
        ({"iterations": 500}, np.cov(means.T, bias=True) - within / count),
        ({"method": "moments"}, np.cov(means.T) - within / count),
    ):
        scorer = Plda(**options).fit(rows, labels)
        np.testing.assert_allclose(scorer.model.mean, rows.mean(axis=0), atol=1e-9)
        np.testing.assert_allclose(scorer.model.within, within, atol=1e-6)
        np.testing.assert_allclose(scorer.model.between, between, atol=1e-6)


def test_the_closed_form_knows_that_means_of_few_rows_vary_more():
    counts = np.array([1, 1, 2, 9, 9, 9, 1, 2, 3, 8])
    rows, labels = sample(3, counts, *covariances(5, 2))
    means = np.array([rows[labels == speaker].mean(axis=0) for speaker in range(len(counts))])
    inner = rows - means[labels]
    within = inner.T @ inner / (len(rows) - len(counts))
    between = np.cov(means.T) - within * np.mean(1 / counts)
    assert np.linalg.eigvalsh(between)[0] > 0
    scorer = Plda(method="moments").fit(rows, labels)
    np.testing.assert_allclose(scorer.model.between, between, atol=1e-9)
    np.testing.assert_allclose(scorer.model.mean, means.mean(axis=0), atol=1e-9)


def spread(first, second):
    """Standard deviation of each entry of the sample covariance of vectors ~ N(0, first), squared and times their number."""
    return np.outer(np.diag(first), np.diag(first)) + second**2


@pytest.mark.parametrize("options", [{"iterations": 100}, {"method": "moments"}, {"rank": 2, "iterations": 100}])
def test_planted_parameters_come_back_within_five_standard_errors(options):
    """Errors of sample covariances: of W with the rows less speakers, of B with the speakers, whose means vary by B + W / n."""
    speakers, dim = 3000, 5
    within, between, mean = covariances(8, dim, options.get("rank"))
    counts = np.random.default_rng(1).integers(2, 9, speakers)
    rows, labels = sample(9, counts, within, between, mean)
    scorer = Plda(**options).fit(rows, labels)
    of_means = between + within * np.mean(1 / counts)
    error = np.sqrt(spread(within, within) / (len(rows) - speakers))
    assert (np.abs(scorer.model.within - within) < 5 * error).all()
    error = np.sqrt(spread(of_means, of_means) / speakers + error**2)
    assert (np.abs(scorer.model.between - between) < 5 * error).all()
    assert (np.abs(scorer.model.mean - mean) < 5 * np.sqrt(np.diag(of_means) / speakers)).all()
    assert np.count_nonzero(scorer.model.psi) == options.get("rank", dim)


def test_em_of_a_subspace_is_likelier_than_cutting_the_closed_form():
    rows, labels = sample(11, np.random.default_rng(2).integers(1, 6, 50), *covariances(12, 6, 2))
    values = Plda(rank=2, iterations=30).fit(rows, labels).log_likelihoods
    cut = Plda(method="moments", rank=2).fit(rows, labels)
    assert values[-1] > joint(rows, labels, *of(cut)) + 0.1
