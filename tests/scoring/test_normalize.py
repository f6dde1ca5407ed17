"""Score normalisation against double loops that sort every list of cohort scores whole."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxid.errors import ConfigError, DataError
from voxid.scoring import cohort as cohort_module
from voxid.scoring import top_scores
from voxid.scoring.bilinear import Bilinear
from voxid.scoring.cohort import cohort_of, cohort_statistics
from voxid.scoring.cosine import Cosine
from voxid.scoring.normalize import FLOOR, NORMS, ScoreNorm, build_norm, normalize
from voxid.scoring.plda import Plda
from voxid.scoring.top_scores import chunk_layout, spread_columns, top_statistics


class Lopsided:
    """A scorer whose sides differ and whose enrolment side counts recordings; nothing but `score_matrix`."""

    def score_matrix(self, enrol, test, counts=None):
        counts = np.ones(len(enrol)) if counts is None else np.asarray(counts)
        return ((enrol @ (2.0 * test).T) * np.sqrt(counts)[:, None] + enrol[:, :1] - 3.0 * test[:, 1]).astype(np.float32)


class LopsidedSides(Bilinear):
    """The same scores, told as two sides."""

    def enrol_side(self, rows, counts):
        return rows * np.sqrt(counts)[:, None], rows[:, 0]

    def test_side(self, rows):
        return 2.0 * rows, -3.0 * rows[:, 1]


@pytest.fixture
def rows():
    """Enrolment rows [7, D], test rows [9, D] and a cohort [40, D] with rows that are there twice: ties."""
    random = np.random.default_rng(3)
    cohort = random.standard_normal((30, 6))
    return random.standard_normal((7, 6)), random.standard_normal((9, 6)), np.concatenate([cohort, cohort[:10]])


def plain_statistics(scores, top=None):
    """Mean and deviation of one row's cohort scores, by sorting and two loops."""
    chosen = sorted((float(score) for score in scores), reverse=True)[:top]
    mean = sum(chosen) / len(chosen)
    return mean, (sum((score - mean) ** 2 for score in chosen) / len(chosen)) ** 0.5


def plain_norm(kind, scorer, enrol, test, cohort, counts, top):
    """Every pair of rows by itself, as the papers write it."""
    raw = scorer.score_matrix(enrol, test, counts)
    result = np.empty(raw.shape)
    for i in range(len(enrol)):
        for j in range(len(test)):
            with_enrol = scorer.score_matrix(enrol[i : i + 1], cohort, counts[i : i + 1])[0]
            with_test = scorer.score_matrix(cohort, test[j : j + 1])[:, 0]
            keep = top if kind == "as" else None
            z, t = (
                (raw[i, j] - mean) / std for mean, std in (plain_statistics(with_enrol, keep), plain_statistics(with_test, keep))
            )
            result[i, j] = {"z": z, "t": t, "s": (z + t) / 2, "as": (z + t) / 2}[kind]
    return raw, result


@pytest.mark.parametrize("scorer", [Lopsided(), LopsidedSides()], ids=["matrix", "sides"])
@pytest.mark.parametrize("kind", NORMS)
def test_every_kind_equals_the_double_loop(rows, kind, scorer):
    enrol, test, cohort = rows
    counts = np.array([1, 2, 3, 1, 5, 1, 4])
    raw, expected = plain_norm(kind, Lopsided(), enrol, test, cohort, counts, top=12)
    norm = ScoreNorm(kind, top=12)
    statistics = norm.statistics(scorer, enrol, test, cohort, counts)
    np.testing.assert_allclose(norm.matrix(raw, statistics), expected, rtol=2e-5, atol=2e-5)
    first, second = np.divmod(np.arange(raw.size), raw.shape[1])
    listed = norm.trials(raw.ravel(), statistics, first, second)
    np.testing.assert_allclose(listed, expected.ravel(), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("side", ["enrol", "test"])
@pytest.mark.parametrize("counts", [None, [3] * 7, [1, 2, 3, 1, 5, 1, 4]], ids=["one each", "three each", "differing"])
def test_plda_counts_recordings_as_its_matrix_does(rows, side, counts):
    enrol, _, cohort = rows
    scorer = Plda().fit(
        np.random.default_rng(5).standard_normal((60, 6)) + np.repeat(cohort[:12], 5, axis=0), np.repeat(range(12), 5)
    )

    class Matrix:
        score_matrix = scorer.score_matrix

    counts = None if side == "test" else counts
    found, expected = (cohort_statistics(each, enrol, cohort, side=side, top=9, counts=counts) for each in (scorer, Matrix()))
    np.testing.assert_allclose(np.array(found), np.array(expected), rtol=1e-4, atol=1e-5)


def test_a_side_without_use_is_not_scored(rows):
    enrol, test, cohort = rows
    assert ScoreNorm("z").statistics(Lopsided(), enrol, test, cohort)[1] is None
    assert ScoreNorm("t").statistics(Lopsided(), enrol, test, cohort)[0] is None


@pytest.mark.parametrize("block", [1, 100, 1 << 23])
@pytest.mark.parametrize("top", [None, 2, 12, 40])
def test_statistics_do_not_depend_on_the_block(rows, block, top, monkeypatch):
    monkeypatch.setattr(cohort_module, "BLOCK", block)
    enrol, _, cohort = rows
    mean, std = cohort_statistics(Lopsided(), enrol, cohort, side="enrol", top=top)
    expected = [plain_statistics(scores, top) for scores in Lopsided().score_matrix(enrol, cohort)]
    np.testing.assert_allclose(np.stack([mean, std], axis=1), expected, rtol=1e-5)


@pytest.mark.parametrize("scorer", [Cosine(), LopsidedSides()], ids=["symmetric", "not symmetric"])
def test_one_array_on_both_sides_gives_what_two_give(rows, scorer):
    enrol, _, cohort = rows
    once = ScoreNorm("as", 12).statistics(scorer, enrol, enrol, cohort)
    twice = ScoreNorm("as", 12).statistics(scorer, enrol, enrol.copy(), cohort)
    np.testing.assert_allclose(np.array(once), np.array(twice), rtol=1e-6)
    assert (once[0] is once[1]) == isinstance(scorer, Cosine)


@pytest.mark.parametrize("order", ["mixed", "sorted", "lacking"])
@pytest.mark.parametrize(
    ("columns", "top"), [(3, 2), (512, 300), (513, 30), (1300, 1), (1300, 1290), (1300, 1300), (6000, 100), (6000, 300)]
)
def test_top_statistics_equal_whole_sorting(columns, top, order):
    scores = np.random.default_rng(columns).normal(0.1, 0.1, (20, columns)).astype(np.float32)
    if order == "sorted":  # all of the highest in one chunk: the slow way
        scores.sort(axis=1)
    if order == "lacking":  # none of the highest in one chunk, a few more than is their share in the others: the slow way too
        scores[:, : chunk_layout(columns)[1]] -= 5
    expected = np.sort(scores.astype(np.float64), axis=1)[:, -top:]
    mean, std = top_statistics(filled(scores), top)
    np.testing.assert_allclose(mean, expected.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(std, expected.std(axis=1), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("columns", [513, 1025])
def test_columns_that_fill_the_last_chunk_count_for_nothing(columns, monkeypatch):
    """All scores are below 0, and the second block lies where the first one was sorted."""
    scores = np.random.default_rng(0).normal(-9, 1, (5, columns)).astype(np.float32)

    class Below:
        def score_matrix(self, enrol, test, counts=None):
            return scores[enrol[:, 0].astype(int)][:, test[:, 0].astype(int)]

    monkeypatch.setattr(cohort_module, "BLOCK", 2 * columns + 2)
    enrol, cohort = np.arange(5.0)[:, None], np.arange(float(columns))[:, None]
    mean, std = cohort_statistics(Below(), enrol, cohort, side="enrol", top=30)
    expected = np.sort(scores.astype(np.float64), axis=1)[:, -30:]
    np.testing.assert_allclose([mean, std], [expected.mean(axis=1), expected.std(axis=1)], rtol=1e-5)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=60), st.data())
def test_ties_and_chunks_of_any_size(values, data):
    scores = np.array([values, values[::-1]], dtype=np.float32)
    top = data.draw(st.integers(1, len(values)))
    expected = sorted(values, reverse=True)[:top]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(top_scores, "CHUNK", data.draw(st.integers(1, 9)))
        patch.setattr(top_scores, "PIECE", 1)
        mean, std = top_statistics(filled(scores), top)
    np.testing.assert_allclose(mean, np.mean(expected), atol=1e-6)
    np.testing.assert_allclose(std, np.std(expected), atol=1e-5)


def filled(scores):
    """Rows [b, C] with -inf up to the width that `top_statistics` takes."""
    room = np.full((len(scores), np.prod(chunk_layout(scores.shape[1]))), -np.inf, dtype=np.float32)
    room[:, : scores.shape[1]] = scores
    return room


@pytest.mark.parametrize("columns", [1, 512, 513, 6000])
def test_the_order_of_columns_holds_each_once(columns):
    assert sorted(spread_columns(columns)) == list(range(columns))


def test_far_away_means_keep_their_deviations():
    offset = np.float32(1000.0)
    scores = np.random.default_rng(0).normal(0, 1, (5, 6000)).astype(np.float32) + offset

    class Fixed:
        def score_matrix(self, enrol, test, counts=None):
            return scores[: len(enrol)]

    mean, std = cohort_statistics(Fixed(), np.ones((5, 2)), np.ones((6000, 2)), side="enrol")
    np.testing.assert_allclose(mean, scores.astype(np.float64).mean(axis=1), rtol=1e-7)
    np.testing.assert_allclose(std, scores.astype(np.float64).std(axis=1), rtol=1e-5)


def test_cohort_is_the_mean_of_rows_counted_alike_as_long_as_they_are():
    random = np.random.default_rng(1)
    rows, speakers = random.standard_normal((30, 4)) * random.uniform(0.1, 9, (30, 1)), random.choice(["c", "a", "b"], 30)
    expected = []
    for name in "abc":
        own = rows[speakers == name]
        lengths = [np.linalg.norm(row) for row in own]
        expected.append(np.mean(lengths) * np.mean([row / length for row, length in zip(own, lengths, strict=True)], axis=0))
    np.testing.assert_allclose(cohort_of(rows, speakers), expected, rtol=1e-12)


def test_a_cohort_smaller_than_top_counts_whole_with_one_warning(rows, caplog):
    enrol, test, cohort = rows
    with caplog.at_level(logging.WARNING, logger="voxid"):
        small = ScoreNorm("as", top=300).statistics(Lopsided(), enrol, test, cohort)
    assert [record.getMessage() for record in caplog.records] == [
        "score normalisation: the cohort has 40 rows, fewer than top=300: all of them count"
    ]
    whole = ScoreNorm("s").statistics(Lopsided(), enrol, test, cohort)
    np.testing.assert_allclose(small[0], whole[0], rtol=1e-5)
    np.testing.assert_allclose(small[1], whole[1], rtol=1e-5)


def test_no_spread_divides_by_the_floor():
    enrol = np.zeros((1, 3))  # a zero row has the cosine 0 with all
    statistics = ScoreNorm("z").statistics(Cosine(), enrol, enrol, np.eye(3))
    assert statistics[0][1].tolist() == [0.0]
    assert normalize([0.5], "z", statistics[0]) == pytest.approx(0.5 / FLOOR)


def test_no_rows_and_no_scores():
    mean, std = cohort_statistics(Cosine(), np.empty((0, 3)), np.eye(3), side="test", top=2)
    assert mean.shape == std.shape == normalize([], "z", (mean, std)).shape == (0,)


@pytest.mark.parametrize("norm", ["z", "t", "s", "as", {"name": "as", "top": 7}])
def test_a_spec_builds_an_equal_one(norm):
    built = build_norm(norm)
    again = build_norm(built.spec)
    assert (again.kind, again.top) == (built.kind, built.top)
    assert build_norm(built) is built
    assert build_norm(None) is None


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda e, c: ScoreNorm("q"), "E_CONFIG"),
        (lambda e, c: ScoreNorm("as", top=1), "E_CONFIG"),
        (lambda e, c: ScoreNorm("as", top=True), "E_CONFIG"),
        (lambda e, c: build_norm({"top": 5}), "E_CONFIG"),
        (lambda e, c: build_norm({"name": "z", "top": 5}), "E_CONFIG"),
        (lambda e, c: build_norm({"name": "as", "cohort": 5}), "E_CONFIG"),
        (lambda e, c: build_norm({"name": ["as"]}), "E_CONFIG"),
        (lambda e, c: build_norm(3), "E_CONFIG"),
        (lambda e, c: normalize([1.0], "q"), "E_CONFIG"),
        (lambda e, c: cohort_statistics(Cosine(), e, c, side="left"), "E_CONFIG"),
        (lambda e, c: cohort_statistics(Cosine(), e, c, side="enrol", top=0), "E_CONFIG"),
        (lambda e, c: cohort_statistics(Cosine(), e, c[:1], side="enrol"), "E_SHAPE"),
        (lambda e, c: cohort_statistics(Cosine(), e[0], c, side="enrol"), "E_SHAPE"),
        (lambda e, c: cohort_statistics(Cosine(), e, c, side="enrol", counts=[1, 2]), "E_SHAPE"),
        (lambda e, c: cohort_statistics(Cosine(), e * np.nan, c, side="enrol"), "E_EMBEDDING"),
        (lambda e, c: cohort_statistics(Cosine(), e, c * np.inf, side="test"), "E_EMBEDDING"),
        (lambda e, c: normalize([1.0, 2.0], "z", (np.zeros(3), np.ones(3))), "E_SHAPE"),
        (lambda e, c: normalize([1.0], "z", (np.zeros(3), np.ones(3))), "E_SHAPE"),
        (lambda e, c: normalize([1.0], "s", (np.zeros(1), np.ones(1))), "E_SHAPE"),
        (lambda e, c: normalize([np.nan], "z", (np.zeros(1), np.ones(1))), "E_SCORES"),
        (lambda e, c: normalize([1.0], "z", (np.zeros(1), -np.ones(1))), "E_SCORES"),
        (lambda e, c: normalize([1.0], "t", None, (np.full(1, np.nan), np.ones(1))), "E_SCORES"),
    ],
)
def test_bad_input_is_a_typed_error(rows, call, code):
    with pytest.raises((ConfigError, DataError)) as caught:
        call(rows[0], rows[2])
    assert caught.value.code == code


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("top", [None, 5])
def test_scores_that_are_not_finite_are_refused(rows, bad, top):
    class Broken:
        def score_matrix(self, enrol, test, counts=None):
            scores = np.zeros((len(enrol), len(test)), dtype=np.float32)
            scores[2, 17] = bad
            return scores

    with pytest.raises(DataError) as caught:
        cohort_statistics(Broken(), rows[0], rows[2], side="enrol", top=top)
    assert caught.value.code == "E_SCORES"


def test_a_scorer_with_scores_of_another_shape_is_refused(rows):
    class Short:
        def score_matrix(self, enrol, test, counts=None):
            return np.zeros((len(enrol), 1))

    with pytest.raises(DataError) as caught:
        cohort_statistics(Short(), rows[0], rows[2], side="enrol")
    assert caught.value.code == "E_SHAPE"
