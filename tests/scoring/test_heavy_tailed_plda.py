"""Heavy-tailed PLDA against its paper's formulas in plain loops, integrals of the exact model, and Gaussian PLDA."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_t, norm

from voxid import registry
from voxid.errors import ConfigError, DataError, ModelError
from voxid.scoring.heavy_tailed_plda import HeavyTailedPlda
from voxid.scoring.plda import Plda
from voxid.scoring.two_covariance import TwoCovariance


def planted(seed, dim, rank, nu, gain=1.0):
    """Mean, factors and within covariance, and a scorer that knows them."""
    rng = np.random.default_rng(seed)
    mean, factors = rng.normal(size=dim), gain * rng.normal(size=(dim, rank))
    root = rng.normal(size=(dim, dim))
    within = root @ root.T / dim + 0.3 * np.eye(dim)
    model = TwoCovariance.of(mean, within, factors @ factors.T).truncated(rank)
    state = {"mean": model.mean, "transform": model.transform, "psi": model.psi}
    return mean, factors, within, HeavyTailedPlda(nu=nu).restore(state)


def sample(seed, mean, factors, within, nu, speakers, count):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(speakers), count)
    noise = rng.multivariate_normal(np.zeros(len(mean)), within, len(labels))
    tails = np.sqrt(rng.gamma(nu / 2, 2 / nu, (len(labels), 1)))
    return mean + (rng.normal(size=(speakers, factors.shape[1])) @ factors.T)[labels] + noise / tails, labels


def meta_embedding(row, count, mean, factors, within, nu):
    """The paper's a and B of a row that is the mean of `count` recordings, in the space of the embeddings."""
    precision = np.linalg.inv(within)
    common = factors.T @ precision @ factors
    outside = precision - precision @ factors @ np.linalg.inv(common) @ factors.T @ precision
    dim, rank = factors.shape
    away = row - mean
    gain = count * (nu + dim - rank) / (nu + count * away @ outside @ away)
    return gain * factors.T @ precision @ away, gain * common


def log_expectation(a, b):
    posterior = np.eye(len(a)) + b
    return 0.5 * a @ np.linalg.solve(posterior, a) - 0.5 * np.linalg.slogdet(posterior)[1]


@pytest.mark.parametrize("counts", [[1, 1, 1, 1], [1, 3, 2, 1]])
def test_scores_are_those_of_the_paper(counts):
    *model, scorer = planted(1, 7, 3, 2.5)
    rows = np.random.default_rng(0).normal(size=(4, 7)) * 2
    expected = np.empty((4, 4))
    for i in range(4):
        for j in range(4):
            a, b = meta_embedding(rows[i], counts[i], *model, 2.5)
            c, d = meta_embedding(rows[j], 1, *model, 2.5)
            expected[i, j] = log_expectation(a + c, b + d) - log_expectation(a, b) - log_expectation(c, d)
    left, right = np.indices((4, 4)).reshape(2, -1)
    np.testing.assert_allclose(scorer.score_trials(rows, rows, left, right, counts).reshape(4, 4), expected, atol=1e-9)
    np.testing.assert_allclose(scorer.score_matrix(rows, rows, counts), expected, atol=1e-5)


def test_any_number_of_trials_gives_the_same_scores(monkeypatch):
    *_, scorer = planted(2, 5, 2, 2.0)
    rows = np.random.default_rng(1).normal(size=(50, 5))
    left, right = np.random.default_rng(2).integers(0, 50, (2, 999))
    matrix = scorer.score_matrix(rows, rows)
    monkeypatch.setattr("voxid.scoring.heavy_tailed_plda.CHUNK", 7)
    np.testing.assert_array_equal(scorer.score_matrix(rows, rows), matrix)
    np.testing.assert_allclose(scorer.score_trials(rows, rows, left, right), matrix[left, right], atol=1e-5)


def exact(rows, mean, factors, within, nu):
    """Log-density of rows of one speaker with one factor, by an integral over it."""
    grid = np.linspace(-10, 10, 2001)
    places = mean + np.outer(grid, factors[:, 0])
    noise = multivariate_t(np.zeros(len(mean)), within, nu)
    density = noise.logpdf(rows - places[:, None]).reshape(len(grid), -1).sum(axis=1) + norm.logpdf(grid)
    return logsumexp(density) + np.log(grid[1] - grid[0])


def test_scores_come_near_the_exact_likelihood_ratio_where_many_dimensions_tell_of_the_precision():
    *model, scorer = planted(3, 40, 1, 2.0, 0.4)
    rows, _ = sample(4, *model, 2.0, 6, 2)
    for i, j in [(0, 1), (2, 3), (0, 4), (5, 9), (6, 11)]:
        parts = exact(rows[[i, j]], *model, 2.0), exact(rows[[i]], *model, 2.0), exact(rows[[j]], *model, 2.0)
        assert scorer.score_trials(rows, rows, [i], [j])[0] == pytest.approx(parts[0] - parts[1] - parts[2], abs=0.05)


def test_the_bound_never_falls_and_lies_just_below_the_exact_likelihood():
    mean, factors, within, _ = planted(5, 6, 1, 3.0)
    rows, labels = sample(6, mean, factors, within, 3.0, 30, 4)
    scorer = HeavyTailedPlda(nu=3.0, rank=1, iterations=50).fit(rows, labels)
    assert len(scorer.bounds) == 51
    assert np.diff(scorer.bounds).min() >= -1e-9
    assert scorer.bounds[-1] > scorer.bounds[0] + 1
    model = scorer.model
    leading = np.linalg.inv(model.transform)[:, :1] * np.sqrt(model.psi[0])
    likelihood = sum(exact(rows[labels == label], model.mean, leading, model.within, 3.0) for label in range(30))
    assert likelihood - 0.05 * len(rows) < scorer.bounds[-1] < likelihood


@pytest.mark.parametrize("options", [{}, {"shrinkage": 0.4}])
def test_the_bound_never_falls_with_few_rows_or_a_prior(options):
    rng = np.random.default_rng(7)
    rows, labels = rng.standard_t(2, size=(30, 20 if options else 40)), np.repeat(np.arange(10), 3)
    bounds = HeavyTailedPlda(iterations=40, **options).fit(rows, labels).bounds
    assert (np.diff(bounds) >= -1e-9 * np.abs(bounds[-1])).all()


@pytest.mark.parametrize("counts", [None, [1, 2, 3] * 40])
def test_many_degrees_of_freedom_are_gaussian_plda(counts):
    mean, factors, within, _ = planted(8, 6, 2, 2.0)
    rows, labels = sample(9, mean, factors, within, 1e6, 30, 4)
    gaussian = Plda(rank=2, iterations=6).fit(rows, labels)
    same = HeavyTailedPlda(nu=1e12).restore(gaussian.state())
    np.testing.assert_allclose(same.score_matrix(rows, rows, counts), gaussian.score_matrix(rows, rows, counts), atol=1e-4)
    index = np.random.default_rng(0).integers(0, 120, (2, 500))
    expected = gaussian.score_trials(rows, rows, *index, counts)
    np.testing.assert_allclose(same.score_trials(rows, rows, *index, counts), expected, atol=1e-8)
    trained = HeavyTailedPlda(nu=1e12, rank=2, iterations=5).fit(rows, labels)  # and one iteration before them
    np.testing.assert_allclose(trained.score_trials(rows, rows, *index, counts), expected, atol=1e-6)


def test_planted_parameters_come_back_better_than_by_gaussian_plda():
    """Variational Bayes has a small bias of its own, so the mark is a tenth of the norm and not a standard error."""
    mean, factors, within, _ = planted(10, 8, 2, 2.0)
    rows, labels = sample(11, mean, factors, within, 2.0, 1500, 6)
    heavy, gaussian = (part(rank=2, iterations=30).fit(rows, labels).model for part in (HeavyTailedPlda, Plda))
    between = factors @ factors.T

    def error(found, truth):
        return np.linalg.norm(found - truth) / np.linalg.norm(truth)

    assert error(heavy.within, within) < 0.1 < error(gaussian.within, within)
    assert error(heavy.between, between) < min(0.1, error(gaussian.between, between))
    assert np.linalg.norm(heavy.mean - mean) < 0.1


def cost(targets, others):
    return (np.logaddexp(0, -targets).mean() + np.logaddexp(0, others).mean()) / 2 / np.log(2)


def test_heavy_tails_are_scored_better_than_by_gaussian_plda():
    mean, factors, within, _ = planted(12, 20, 3, 2.0, 0.7)
    rows, labels = sample(13, mean, factors, within, 2.0, 500, 6)
    test, _ = sample(14, mean, factors, within, 2.0, 300, 2)
    costs = []
    for part in (HeavyTailedPlda, Plda):
        scores = part(rank=3).fit(rows, labels).score_matrix(test[::2], test[1::2]).astype(float)
        costs.append(cost(np.diag(scores), scores[~np.eye(300, dtype=bool)]))
    assert costs[0] < 0.85 * costs[1]


def test_a_row_far_from_all_speakers_says_nothing():
    mean, factors, within, scorer = planted(15, 6, 2, 2.0)
    place = mean + factors @ [2.0, -1.0]
    outside = np.linalg.svd(np.linalg.solve(within, factors).T)[2][-1]  # tells of no factor
    rows = [place + length * outside for length in (0.0, 3.0, 30.0, 3e5)]
    scores = scorer.score_trials([place], rows, [0] * 4, range(4))
    assert scores[0] > scores[1] > scores[2] > scores[3] > 0
    assert scores[3] < 1e-6


def test_a_state_gives_the_same_scores_and_the_registry_knows_the_name():
    rng = np.random.default_rng(16)
    rows, labels = rng.normal(size=(60, 6)), np.repeat(np.arange(20), 3)
    scorer = registry.build("scorer", {"name": "heavy_tailed_plda", "nu": 3}).fit(rows, labels)
    assert np.count_nonzero(scorer.model.psi) == 3
    again = HeavyTailedPlda(nu=3).restore(scorer.state())
    np.testing.assert_array_equal(again.score_matrix(rows, rows), scorer.score_matrix(rows, rows))


@pytest.mark.parametrize(
    ("call", "error", "code"),
    [
        (lambda x, y: HeavyTailedPlda().score_matrix(x, x), ModelError, "E_NOT_FITTED"),
        (lambda x, y: HeavyTailedPlda(nu=0), ConfigError, "E_CONFIG"),
        (lambda x, y: HeavyTailedPlda(nu=float("inf")), ConfigError, "E_CONFIG"),
        (lambda x, y: HeavyTailedPlda(nu=float("nan")), ConfigError, "E_CONFIG"),
        (lambda x, y: HeavyTailedPlda(rank=0), ConfigError, "E_CONFIG"),
        (lambda x, y: HeavyTailedPlda(iterations=-1), ConfigError, "E_CONFIG"),
        (lambda x, y: HeavyTailedPlda(shrinkage=-1.0), ConfigError, "E_CONFIG"),
        (lambda x, y: HeavyTailedPlda(rank=6).fit(x, y), ConfigError, "E_CONFIG"),
        (lambda x, y: HeavyTailedPlda().fit(x, np.zeros(len(x))), DataError, "E_SPEAKERS"),
        (lambda x, y: HeavyTailedPlda().fit(x[:, :3] * np.inf, y), DataError, "E_EMBEDDING"),
        (lambda x, y: HeavyTailedPlda().fit(x, y).score_trials(x, x[:2], [0], [2]), DataError, "E_INDEX"),
        (lambda x, y: HeavyTailedPlda().fit(x, y).score_matrix(x[:, :2], x), DataError, "E_SHAPE"),
        (lambda x, y: HeavyTailedPlda().restore(Plda().fit(x, y).state()), ModelError, "E_FORMAT"),
    ],
)
def test_mistakes_are_typed_errors_of_one_line(call, error, code):
    rng = np.random.default_rng(17)
    labels = np.repeat(np.arange(20), 3)
    with pytest.raises(error) as caught:
        call(rng.normal(size=(20, 6))[labels] + rng.normal(size=(60, 6)), labels)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
