"""Scores of PLDA against the joint Gaussian density of SciPy, row by row."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from voxid import registry
from voxid.errors import ConfigError, DataError, ModelError
from voxid.scoring.plda import Plda
from voxid.scoring.two_covariance import TwoCovariance


def covariance(rng, dim, rank=None):
    root = rng.normal(size=(dim, rank or dim))
    return root @ root.T / root.shape[1] + (0.0 if rank else 0.1) * np.eye(dim)


def planted(seed, dim, rank=None):
    rng = np.random.default_rng(seed)
    mean, within, between = rng.normal(size=dim), covariance(rng, dim), covariance(rng, dim, rank)
    model = TwoCovariance.of(mean, within, between)
    return mean, within, between, Plda.of(model if rank is None else model.truncated(rank))


class Book:
    """Log-likelihood ratios by the joint Gaussian of all rows of a speaker, n D dimensions of it."""

    def __init__(self, mean, within, between):
        self.parameters, self.densities = (mean, within, between), {}

    def joint(self, rows):
        count, (mean, within, between) = len(rows), self.parameters
        if count not in self.densities:
            full = np.kron(np.ones((count, count)), between) + np.kron(np.eye(count), within)
            self.densities[count] = multivariate_normal(np.tile(mean, count), full)
        return self.densities[count].logpdf(rows.ravel())

    def ratio(self, enrol, test):
        return self.joint(np.vstack([enrol, test])) - self.joint(enrol) - self.joint(test[None])


@pytest.mark.parametrize(("dim", "rank"), [(1, None), (4, None), (4, 2), (192, None), (192, 20)])
@pytest.mark.parametrize("count", [1, 3])
def test_scores_are_the_ratio_of_joint_gaussian_densities(dim, rank, count):
    mean, within, between, scorer = planted(dim, dim, rank)
    rng = np.random.default_rng(count)
    enrol, test = rng.normal(size=(4, count, dim)) * 2 + mean, rng.normal(size=(3, dim)) * 2 + mean
    book = Book(mean, within, between)
    expected = [[book.ratio(rows, row) for row in test] for rows in enrol]
    left, right = np.repeat(np.arange(4), 3), np.tile(np.arange(3), 4)
    counts = None if count == 1 else np.full(4, count)
    scores = scorer.score_trials(enrol.mean(axis=1), test, left, right, counts)
    np.testing.assert_allclose(scores.reshape(4, 3), expected, rtol=0, atol=1e-6)
    matrix = scorer.score_matrix(enrol.mean(axis=1), test, counts)
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix, expected, rtol=1e-5, atol=1e-3)


def test_counts_that_differ_are_each_scored_by_the_book():
    mean, within, between, scorer = planted(7, 5)
    rng = np.random.default_rng(3)
    enrol = [rng.normal(size=(count, 5)) + mean for count in (1, 2, 9, 2)]
    test = rng.normal(size=(2, 5)) + mean
    means, counts = np.array([rows.mean(axis=0) for rows in enrol]), [1, 2, 9, 2]
    book = Book(mean, within, between)
    expected = [[book.ratio(rows, row) for row in test] for rows in enrol]
    scores = scorer.score_trials(means, test, [3, 2, 1, 0, 0], [0, 1, 0, 1, 0], counts)
    np.testing.assert_allclose(
        scores, [expected[3][0], expected[2][1], expected[1][0], expected[0][1], expected[0][0]], atol=1e-9
    )
    np.testing.assert_allclose(scorer.score_matrix(means, test, counts), expected, atol=1e-4)


def test_sides_go_together_whatever_the_counts():
    """Who prepares the sides himself, as score normalisation does, gets the same scores."""
    scorer = planted(7, 5)[3]
    rows = np.random.default_rng(4).normal(size=(4, 5))
    for counts in ([1, 1, 1, 1], [3, 3, 3, 3], [1, 2, 9, 2]):
        left, left_offset = scorer.enrol_side(rows, np.array(counts, dtype=float))
        right, right_offset = scorer.test_side(rows)
        expected = left @ right.T + left_offset[:, None] + right_offset
        index = np.indices((4, 4)).reshape(2, -1)
        np.testing.assert_allclose(scorer.score_trials(rows, rows, *index, counts).reshape(4, 4), expected, atol=1e-9)


def test_single_recordings_are_the_same_on_both_sides():
    """To the bit: score normalisation then needs the scores with its cohort only once."""
    scorer = planted(8, 40)[3]
    rows = np.random.default_rng(5).normal(size=(30, 40))
    left, left_offset, right, right_offset = scorer._sides(rows, rows, None)
    np.testing.assert_array_equal(left, right)
    np.testing.assert_array_equal(left_offset, right_offset)
    index = np.indices((30, 30)).reshape(2, -1)
    scores = scorer.score_trials(rows, rows, *index).reshape(30, 30)
    np.testing.assert_allclose(scores, scores.T, atol=1e-12)


def test_likelihood_ratios_are_calibrated_on_data_of_the_model():
    """Of a true likelihood ratio r, the mean of r over non-targets and of 1 / r over targets is 1."""
    mean, within, between, scorer = planted(2, 2)
    rng = np.random.default_rng(5)
    places = rng.multivariate_normal(mean, between, 40_000)
    first, second = (places + rng.multivariate_normal(np.zeros(2), within, 40_000) for _ in range(2))
    index = np.arange(40_000)
    ratios = np.exp(scorer.score_trials(first, second, index, np.roll(index, 1)))
    inverse = np.exp(-scorer.score_trials(first, second, index, index))
    assert ratios.mean() == pytest.approx(1, abs=5 * ratios.std() / 200)
    assert inverse.mean() == pytest.approx(1, abs=5 * inverse.std() / 200)


def kaldi_score(scorer, enrol, test, count, length_norm):
    """Kaldi's formula in its own words: the predictive density of the test row beside its marginal one."""
    model = scorer.model

    def moved(row, number):
        row = model.transform @ row - model.transform @ model.mean
        expected = model.psi + 1 / number if length_norm == "kaldi" else np.ones(len(row))
        return row * np.sqrt(len(row) / np.sum(row**2 / expected))

    if length_norm == "wespeaker":
        enrol, test = (row * np.sqrt(len(row)) / np.linalg.norm(row) for row in (enrol, test))
    x, y, psi = moved(enrol, count), moved(test, 1), model.psi
    given = norm(count * psi / (count * psi + 1) * x, np.sqrt(1 + psi / (count * psi + 1))).logpdf(y)
    return np.sum(given - norm(0, np.sqrt(1 + psi)).logpdf(y))


@pytest.mark.parametrize("length_norm", ["kaldi", "simple", "wespeaker"])
@pytest.mark.parametrize("rank", [None, 2])
def test_length_norms_of_other_toolkits(length_norm, rank):
    scorer = Plda.of(planted(3, 6, rank)[3].model, length_norm)
    rows = np.random.default_rng(1).normal(size=(4, 6)) + 0.3
    counts = [1, 4, 1, 2]
    expected = [[kaldi_score(scorer, a, b, n, length_norm) for b in rows] for a, n in zip(rows, counts, strict=True)]
    left, right = np.indices((4, 4)).reshape(2, -1)
    np.testing.assert_allclose(scorer.score_trials(rows, rows, left, right, counts).reshape(4, 4), expected, atol=1e-9)


def test_what_wespeaker_scales_it_scales_before_training_too():
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(30), 4)
    rows = rng.normal(size=(30, 4))[labels] * 2 + rng.normal(size=(120, 4)) + 1
    scaled = rows * 2 / np.linalg.norm(rows, axis=1, keepdims=True)
    found = Plda(length_norm="wespeaker").fit(rows, labels)
    for name, array in Plda().fit(scaled, labels).state().items():
        np.testing.assert_allclose(found.state()[name], array)
    np.testing.assert_allclose(found.score_matrix(rows, 9 * rows), found.score_matrix(scaled, scaled), atol=1e-5)


def speech(seed, speakers=60, dim=5, most=6):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(speakers), rng.integers(1, most, speakers))
    places = rng.normal(size=(speakers, dim)) @ rng.normal(size=(dim, dim))
    return places[labels] + rng.normal(size=(len(labels), dim)), labels


OPTIONS = [{}, {"method": "moments"}, {"rank": 3}, {"method": "moments", "rank": 3}]


@pytest.mark.parametrize("options", OPTIONS)
def test_scores_do_not_depend_on_the_axes_of_the_embeddings(options):
    rows, labels = speech(1)
    rng = np.random.default_rng(9)
    turned = rows @ rng.normal(size=(5, 5)) + rng.normal(size=5) * 100
    index = rng.integers(0, len(rows), (2, 200))
    before, after = (Plda(**options).fit(x, labels).score_trials(x, x, *index) for x in (rows, turned))
    np.testing.assert_allclose(after, before, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("options", OPTIONS)
def test_a_state_gives_the_same_scores(options):
    rows, labels = speech(2)
    scorer = Plda(**options).fit(rows, labels)
    again = Plda(**options).restore(scorer.state())
    np.testing.assert_array_equal(again.score_matrix(rows, rows), scorer.score_matrix(rows, rows))
    assert "plda" in registry.names("scorer")
    assert isinstance(registry.build("scorer", {"name": "plda", **options}), Plda)


@pytest.mark.parametrize("options", [*OPTIONS, {"shrinkage": 0.5}, {"rank": 3, "shrinkage": 0.0}])
def test_labels_may_be_anything_and_in_any_order(options):
    rows, labels = speech(3)
    order = np.random.default_rng(0).permutation(len(rows))
    names = np.array([f"speaker {label}" for label in labels])
    first, second = Plda(**options).fit(rows, labels), Plda(**options).fit(rows[order], names[order])
    np.testing.assert_allclose(second.model.within, first.model.within, atol=1e-9)
    np.testing.assert_allclose(second.model.between, first.model.between, atol=1e-9)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize(
    "case", ["more dimensions than rows", "a subspace", "one pair", "tiny noise", "far away", "huge", "small"]
)
def test_hard_training_rows_give_finite_scores(options, case):
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(10), 3)
    rows = rng.normal(size=(10, 8))[labels] + rng.normal(size=(30, 8))
    if case == "more dimensions than rows":
        rows = rng.normal(size=(30, 50))
    elif case == "a subspace":
        rows = rows[:, :4] @ rng.normal(size=(4, 8))
    elif case == "one pair":
        rows, labels = rows[:4], [0, 0, 1, 2]
    elif case == "tiny noise":
        rows = rng.normal(size=(10, 8))[labels] + 1e-7 * rng.normal(size=(30, 8))
    rows = {"far away": rows + 1e6, "huge": rows * 1e30, "small": rows * 1e-30}.get(case, rows)
    scorer = Plda(**options).fit(rows, labels)
    scores = scorer.score_matrix(rows, rows)
    assert np.isfinite(scores).all()
    assert np.ptp(scores) > 0
    if scorer.log_likelihoods is not None:
        assert np.isfinite(scorer.log_likelihoods).all()


@pytest.mark.parametrize(
    ("call", "error", "code"),
    [
        (lambda x, y: Plda().score_matrix(x, x), ModelError, "E_NOT_FITTED"),
        (lambda x, y: Plda().state(), ModelError, "E_NOT_FITTED"),
        (lambda x, y: Plda().fit(x, np.zeros(len(x))), DataError, "E_SPEAKERS"),
        (lambda x, y: Plda().fit(x, np.arange(len(x))), DataError, "E_SPEAKERS"),
        (lambda x, y: Plda().fit(x, y[1:]), DataError, "E_SPEAKERS"),
        (lambda x, y: Plda().fit(np.eye(60, 5)[y], y), DataError, "E_SPEAKERS"),
        (lambda x, y: Plda(shrinkage=0.0).fit(x[:, [0, 0, 1]], y), DataError, "E_SPEAKERS"),
        (lambda x, y: Plda().fit(x * np.nan, y), DataError, "E_EMBEDDING"),
        (lambda x, y: Plda().fit(x * 1e200, y), DataError, "E_EMBEDDING"),
        (lambda x, y: Plda().fit(x[0], y), DataError, "E_SHAPE"),
        (lambda x, y: Plda(rank=6).fit(x, y), ConfigError, "E_CONFIG"),
        (lambda x, y: Plda().fit(x, y).score_matrix(x[:, :4], x[:, :4]), DataError, "E_SHAPE"),
        (lambda x, y: Plda().fit(x, y).score_matrix(x[:2], x, [1, 0]), DataError, "E_SHAPE"),
        (lambda x, y: Plda().fit(x, y).score_trials(x, x[:2], [0], [2]), DataError, "E_INDEX"),
        (lambda x, y: Plda(method="ml"), ConfigError, "E_CONFIG"),
        (lambda x, y: Plda(iterations=-1), ConfigError, "E_CONFIG"),
        (lambda x, y: Plda(rank=0), ConfigError, "E_CONFIG"),
        (lambda x, y: Plda(shrinkage=1.0), ConfigError, "E_CONFIG"),
        (lambda x, y: Plda(length_norm="both"), ConfigError, "E_CONFIG"),
        (lambda x, y: Plda().restore({"mean": np.zeros(2)}), ModelError, "E_FORMAT"),
        (lambda x, y: Plda().restore({"mean": np.zeros(2), "transform": np.eye(2), "psi": [1, -1]}), ModelError, "E_FORMAT"),
        (lambda x, y: Plda().restore({"mean": np.zeros(2), "transform": np.ones((2, 2)), "psi": [1, 1]}), ModelError, "E_FORMAT"),
    ],
)
def test_mistakes_are_typed_errors_of_one_line(call, error, code):
    with pytest.raises(error) as caught:
        call(*speech(5))
    assert caught.value.code == code
    assert "\n" not in str(caught.value)


def test_no_rows_and_no_trials_give_no_scores():
    scorer = planted(1, 3)[3]
    assert scorer.score_matrix(np.zeros((0, 3)), np.zeros((2, 3))).shape == (0, 2)
    assert scorer.score_trials(np.zeros((1, 3)), np.zeros((1, 3)), [], []).shape == (0,)
