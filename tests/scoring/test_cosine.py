"""Cosine scores against SciPy, pair by pair."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.distance import cosine as scipy_cosine_distance

from voxid.errors import DataError
from voxid.scoring import bilinear as module
from voxid.scoring.cosine import cosine, cosine_trials, unit


@pytest.fixture
def embeddings():
    return np.random.default_rng(0).standard_normal((50, 192)).astype(np.float32)


@pytest.mark.parametrize("chunk", [1, 7, 1000, 16_384])
def test_trials_match_scipy_whatever_the_chunk(embeddings, chunk, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", chunk)
    enrol, test = np.random.default_rng(1).integers(0, 50, (2, 1000))
    scores = cosine_trials(embeddings, enrol, test)
    expected = [
        1 - scipy_cosine_distance(embeddings[a].astype(float), embeddings[b].astype(float))
        for a, b in zip(enrol, test, strict=True)
    ]
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_one_pair_rows_and_a_table(embeddings):
    expected = 1 - scipy_cosine_distance(embeddings[0].astype(float), embeddings[1].astype(float))
    assert cosine(embeddings[0], embeddings[1]) == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(cosine(embeddings[:3], embeddings[3:6])[1], cosine(embeddings[1], embeddings[4]), atol=1e-6)
    assert cosine(embeddings[:3, None], embeddings[None, :5]).shape == (3, 5)


def test_a_zero_vector_scores_zero_with_everything():
    zero, other = np.zeros(4), np.ones(4)
    assert cosine(zero, other) == cosine(zero, zero) == 0.0
    assert cosine_trials([zero, other], [0, 0, 1], [0, 1, 1]).tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("scale", [1e-38, 1e-20, 1e20, 3e38])
def test_extreme_lengths_neither_overflow_nor_vanish(scale):
    a, b = np.array([1.0, 0.5]) * scale, np.array([0.5, 1.0]) * scale
    assert cosine(a, b) == pytest.approx(0.8, abs=1e-5)


@given(arrays.arrays(np.float32, (3, 5), elements=st.floats(-1e6, 1e6, width=32)))
def test_scores_stay_within_one_and_are_symmetric(rows):
    scores = cosine(rows[:, None], rows[None])
    assert (np.abs(scores) <= 1).all()
    np.testing.assert_array_equal(scores, scores.T)
    own = np.diag(scores)
    np.testing.assert_allclose(own, (np.abs(rows).max(axis=1) > 0).astype(float), atol=1e-6)


def test_unit_leaves_its_input_alone(embeddings):
    before = embeddings.copy()
    np.testing.assert_allclose(np.linalg.norm(unit(embeddings), axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(embeddings, before)


def test_no_trials_give_no_scores(embeddings):
    assert cosine_trials(embeddings, [], []).shape == (0,)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda e: cosine_trials(e, [0], [50]), "E_INDEX"),
        (lambda e: cosine_trials(e, [-1], [0]), "E_INDEX"),
        (lambda e: cosine_trials(e, [0.5], [0]), "E_INDEX"),
        (lambda e: cosine_trials(e, [[0]], [0]), "E_INDEX"),
        (lambda e: cosine_trials(e, [0, 1], [0]), "E_SHAPE"),
        (lambda e: cosine_trials(e[0], [0], [0]), "E_SHAPE"),
        (lambda e: cosine(e[0], e[0, :5]), "E_SHAPE"),
        (lambda e: cosine(1.0, 2.0), "E_SHAPE"),
        (lambda e: cosine(e[0] * np.nan, e[0]), "E_EMBEDDING"),
        (lambda e: cosine(np.full(3, np.inf), np.ones(3)), "E_EMBEDDING"),
    ],
)
def test_bad_input_is_a_typed_error(embeddings, call, code):
    with pytest.raises(DataError) as caught:
        call(embeddings)
    assert caught.value.code == code
