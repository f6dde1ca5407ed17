"""NAP: planted nuisances go, the rest stays."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from voxid.errors import ConfigError, DataError
from voxid.scoring.nap import Nap


@pytest.mark.parametrize("dim", [1, 4])
def test_sessions_are_the_principal_components_of_what_a_speaker_varies(planted, dim):
    off = planted.rows - np.array([planted.rows[planted.speakers == name].mean(axis=0) for name in planted.speakers])
    axes = PCA(n_components=dim).fit(off).components_
    expected = planted.fresh - planted.fresh @ axes.T @ axes
    np.testing.assert_allclose(Nap(dim).fit(planted.rows, planted.speakers).transform(planted.fresh), expected, atol=1e-9)


def test_no_more_sessions_than_a_speaker_varies_in(planted):
    """All noise lies along two axes: the other directions stay, though five may go."""
    rows = np.random.default_rng(0).normal(size=(60, 12))[planted.speakers]
    rows[:, :2] += np.random.default_rng(1).normal(size=(360, 2))
    np.testing.assert_allclose(Nap().fit(rows, planted.speakers).matrix, np.diag([0.0] * 2 + [1.0] * 10), atol=1e-9)


def test_groups_lose_what_they_differ_in():
    rng = np.random.default_rng(0)
    groups = np.repeat(["fr", "de", "it"], 40)
    shift = {"fr": [9, 0, 0, 0], "de": [0, 9, 0, 0], "it": [0, 0, 0, 0]}
    voices = rng.normal(size=(120, 4))
    nap = Nap(nuisance="groups").fit(voices + [shift[name] for name in groups], np.arange(120), groups=groups)
    made = nap.transform(np.eye(4))
    assert np.linalg.matrix_rank(nap.matrix) == 2  # 5 are asked for, but three means have only two directions
    assert np.abs(made[:2]).max() < 0.2
    np.testing.assert_allclose(made[2:], np.eye(4)[2:], atol=0.2)


def test_a_speaker_counts_once_in_a_group():
    """One speaker with a thousand recordings in a group does not make its mean."""
    rng = np.random.default_rng(1)
    rows = np.vstack([rng.normal(size=(50, 3)), rng.normal((9, 0, 0), size=(50, 3)), np.full((1000, 3), [9.0, 30.0, 0.0])])
    speakers = np.concatenate([np.arange(100), np.full(1000, 100)])
    nap = Nap(1, "groups").fit(rows, speakers, groups=np.arange(1100) >= 50)
    direction = np.linalg.svd(np.eye(3) - nap.matrix)[0][:, 0]
    assert abs(direction[0]) > 0.98


def test_a_group_weighs_as_much_as_it_has_speakers():
    rows = np.array([[0.0, 0.0], *[[3.0, 0.0]] * 8, [3.0, 4.0]])
    nap = Nap(1, "groups").fit(rows, np.arange(10), groups=["one"] + ["eight"] * 8 + ["another"])
    off = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]]) - rows.mean(axis=0)
    axis = np.linalg.eigh((off.T * [1, 8, 1]) @ off)[1][:, -1]
    np.testing.assert_allclose(nap.matrix, np.eye(2) - np.outer(axis, axis), atol=1e-12)


def test_a_speaker_in_two_groups_has_a_mean_in_each():
    rows = np.array([[0.0, 1.0], [4.0, 1.0], [0.0, 2.0], [4.0, 2.0]])
    nap = Nap(1, "groups").fit(rows, [0, 0, 1, 1], groups=["a", "b", "a", "b"])
    np.testing.assert_allclose(nap.transform([[3.0, 7.0]]), [[0.0, 7.0]], atol=1e-12)


def test_groups_that_do_not_differ_cost_nothing():
    rows = np.array([[1.0, 2.0], [1.0, 3.0], [1.0, 2.0], [1.0, 3.0]])
    nap = Nap(1, "groups").fit(rows, [0, 1, 2, 3], groups=[0, 0, 1, 1])
    np.testing.assert_array_equal(nap.transform(rows), rows)


@pytest.mark.parametrize(
    ("groups", "code"),
    [(None, "E_GROUPS"), (["a"] * 360, "E_GROUPS"), (["a", "b"], "E_SPEAKERS")],
    ids=["none", "one", "too few"],
)
def test_groups_are_needed(planted, groups, code):
    with pytest.raises(DataError, match="groups") as caught:
        Nap(nuisance="groups").fit(planted.rows, planted.speakers, groups=groups)
    assert caught.value.code == code


def test_something_must_be_left(planted):
    with pytest.raises(DataError, match="above dim 12"):
        Nap(12).fit(planted.rows, planted.speakers)


@pytest.mark.parametrize("options", [{"dim": 0}, {"nuisance": "language"}])
def test_options_that_make_no_sense(options):
    with pytest.raises(ConfigError):
        Nap(**options)
