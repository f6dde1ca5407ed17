"""Back-ends as a whole: against scikit-learn and SciPy, through a file and back, and the errors on the way."""

import json
import sys
import types

import numpy as np
import pytest
from safetensors.numpy import load, save
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.preprocessing import normalize

from voxid.errors import ConfigError, DataError, ModelError
from voxid.scoring.backend import Backend, build_backend
from voxid.scoring.presets import PRESETS

CHAIN = ["center", "length_norm", {"name": "lda", "dim": 6, "shrinkage": 0.0}]
NORMS = [None, "z", "t", "s", {"name": "as", "top": 10}]


@pytest.fixture(scope="module")
def backend(planted):
    return Backend(CHAIN).fit(planted.rows, planted.speakers)


@pytest.fixture(scope="module")
def trials():
    return np.random.default_rng(0).integers(0, 120, (2, 400))


def by_scikit_learn(planted):
    """The rows of the chain, made by other hands."""
    mean = np.mean([planted.rows[planted.speakers == name].mean(axis=0) for name in range(60)], axis=0)
    lda = LinearDiscriminantAnalysis(solver="svd", n_components=6)
    made = lda.fit_transform(normalize(planted.rows - mean), planted.speakers)
    spread = np.sqrt(sum(np.cov(made[planted.speakers == name].T) for name in range(60)).diagonal() / 60)
    return lda.transform(normalize(planted.fresh - mean)) / spread


def test_a_chain_scores_as_one_of_scikit_learn(planted, backend):
    rows = by_scikit_learn(planted)
    np.testing.assert_allclose(backend.score_matrix(planted.fresh, planted.fresh), cosine_similarity(rows), atol=1e-5)


def test_the_four_ways_to_score_agree(planted, backend, trials):
    enrol, test = trials
    for norm in NORMS:
        normed = backend.with_norm(norm)
        listed = normed.score_trials(planted.fresh, enrol, test)
        rows = normed.score(planted.fresh[enrol], planted.fresh[test])
        table = normed.score_matrix(planted.fresh, planted.fresh[:, :])
        models = normed.score_models(planted.fresh, [[row] for row in range(120)], np.arange(120), enrol, test)
        assert listed.dtype == rows.dtype == models.dtype == np.float64
        for other in (rows, table[enrol, test], models):
            np.testing.assert_allclose(other, listed, rtol=1e-4, atol=1e-4)


def test_normalisation_is_that_of_a_loop(planted, backend, trials):
    """Each trial alone, with all its cohort scores."""
    raw = backend.score_trials(planted.fresh, *trials)
    cohort = backend.cohort
    rows = backend.transform(planted.fresh)
    scores = cosine_similarity(rows, cohort)
    nearest = np.sort(scores, axis=1)[:, -10:]
    for norm, of_side in (("s", scores), ({"name": "as", "top": 10}, nearest)):
        expected = [
            sum((score - of_side[row].mean()) / of_side[row].std() for row in pair) / 2
            for score, pair in zip(raw, trials.T, strict=True)
        ]
        np.testing.assert_allclose(backend.with_norm(norm).score_trials(planted.fresh, *trials), expected, rtol=1e-4, atol=1e-4)


def test_sides_without_use_are_not_scored(planted, backend):
    """Trials of two rows against a cohort: nothing but their statistics is made."""
    seen = []
    normed = backend.with_norm("z")
    score_matrix, enrol_side = normed.scorer.score_matrix, normed.scorer.enrol_side
    normed.scorer.enrol_side = lambda rows, counts: (seen.append(len(rows)), enrol_side(rows, counts))[1]
    try:
        normed.score_trials(planted.fresh, [3, 3, 7], [9, 11, 12])
    finally:
        del normed.scorer.enrol_side
    assert normed.scorer.score_matrix == score_matrix
    assert sorted(seen)[-1] == 120  # the scores themselves
    assert all(size <= 5 for size in sorted(seen)[:-1])  # 3, 7, 9, 11 and 12 occur


def test_the_cohort_is_a_mean_of_each_training_speaker(planted, backend):
    lengths = np.linalg.norm(planted.rows, axis=1)
    own = planted.speakers == 7
    mean = normalize(planted.rows[own]).mean(axis=0) * lengths[own].mean()
    assert backend.cohort.shape == (60, 6)
    np.testing.assert_allclose(backend.cohort[7], backend.transform(mean[None])[0], rtol=1e-5)


def test_a_cohort_of_ones_own_goes_through_the_transforms(planted, backend, trials):
    given = Backend(CHAIN, norm="s").fit(planted.rows, planted.speakers, cohort=planted.rows[:50])
    later = backend.with_norm("s").set_cohort(planted.rows[:50])
    np.testing.assert_allclose(given.cohort, backend.transform(planted.rows[:50]), rtol=1e-6)
    np.testing.assert_array_equal(given.score_trials(planted.fresh, *trials), later.score_trials(planted.fresh, *trials))
    assert len(backend.cohort) == 60  # that of the copy's origin stays


def joint(rows, between, within):
    """Log density of recordings of one speaker [n, D], as one vector of n D numbers."""
    count = len(rows)
    covariance = np.kron(np.ones((count, count)), between) + np.kron(np.eye(count), within)
    return multivariate_normal.logpdf(rows.ravel(), np.zeros(rows.size), covariance)


def test_several_recordings_by_the_book_are_a_likelihood_ratio(planted):
    rows, fresh = planted.rows[:, :3], planted.fresh[:, :3]
    backend = Backend(["center"], "plda").fit(rows, planted.speakers)
    within, between = backend.scorer.model.within, backend.scorer.model.between
    models, tests = [[0], [6, 7], [12, 13, 14, 15]], [1, 8, 16, 70]
    model, test = (grid.ravel() for grid in np.meshgrid(range(3), range(4)))
    scores = backend.score_models(fresh, models, tests, model, test)
    made = backend.transform(fresh) - backend.scorer.model.mean
    for score, enrolled, other in zip(scores, model, test, strict=True):
        known, asked = made[models[enrolled]], made[[tests[other]]]
        expected = (
            joint(np.vstack([known, asked]), between, within) - joint(known, between, within) - joint(asked, between, within)
        )
        assert score == pytest.approx(expected, abs=1e-6)


def test_the_other_ways_with_several_recordings(planted, backend, trials):
    models, tests = [[0, 1, 2], [10], [30, 31]], np.arange(40, 60)
    model, test = np.random.default_rng(0).integers(0, [[3], [20]], (2, 50))
    table = backend.score_matrix(planted.fresh, planted.fresh[40:60])
    expected = [table[models[enrolled], other].mean() for enrolled, other in zip(model, test, strict=True)]
    scores = backend.score_models(planted.fresh, models, tests, model, test, multi="scores")
    np.testing.assert_allclose(scores, expected, atol=1e-5)

    lengths = np.linalg.norm(planted.fresh, axis=1)
    means = [normalize(planted.fresh[rows]).mean(axis=0) * lengths[rows].mean() for rows in models]
    expected = backend.score_matrix(means, planted.fresh[40:60])[model, test]
    scores = backend.score_models(planted.fresh, models, tests, model, test, multi="average")
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert backend.score_models(planted.fresh, models, tests, [], [], multi="scores").shape == (0,)


@pytest.mark.parametrize("multi", ["book", "average", "scores"])
@pytest.mark.parametrize("scorer", ["cosine", "plda", "heavy_tailed_plda"])
def test_more_recordings_know_a_speaker_better(planted, multi, scorer):
    noise = np.random.default_rng(0).normal(size=(480, 12)) * 1.5
    rows, fresh = planted.rows + noise[:360], planted.fresh + noise[360:]
    backend = Backend(["center"], scorer, "s").fit(rows, planted.speakers)
    tests = np.arange(120)[np.arange(120) % 6 == 5]
    model, test = (grid.ravel() for grid in np.meshgrid(range(20), range(20)))
    found = []
    for number in (1, 5):
        models = [list(range(6 * speaker, 6 * speaker + number)) for speaker in range(20)]
        scores = backend.score_models(fresh, models, tests, model, test, multi=multi)
        found.append(roc_auc_score(model == test, scores))
    assert found[1] > found[0] + 0.01


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("norm", NORMS, ids=str)
def test_spec_and_state_rebuild_it(planted, trials, name, norm):
    backend = build_backend({"name": name, "norm": norm}).fit(planted.rows, planted.speakers)
    spec, state = json.loads(json.dumps(backend.spec)), load(save(backend.state()))
    again = Backend.restore(spec, state)
    assert again.spec == backend.spec == build_backend(spec).spec
    np.testing.assert_array_equal(again.score_trials(planted.fresh, *trials), backend.score_trials(planted.fresh, *trials))


def test_a_second_fit_does_not_reach_a_copy(planted, backend, trials):
    first = Backend(["center"], "plda").fit(planted.rows, planted.speakers)
    copy = first.with_norm("s")
    before = copy.score_trials(planted.fresh, *trials)
    first.fit(planted.rows[:60] * 3, planted.speakers[:60])
    np.testing.assert_array_equal(copy.score_trials(planted.fresh, *trials), before)


def test_groups_reach_the_part_that_takes_them(planted):
    """Group 1 is moved along the last axis and group 2 along the one before."""
    nap = {"name": "nap", "dim": 2, "nuisance": "groups"}
    moved = [np.eye(12)[11], np.eye(12)[10]]
    backend = Backend([nap]).fit(planted.rows, planted.speakers, groups=planted.groups)
    assert np.linalg.norm(backend.transform(moved), axis=1).max() < 0.6  # of 1
    with pytest.raises(DataError, match="groups"):
        Backend([nap]).fit(planted.rows, planted.speakers)


class Clip:
    """A transform of somebody else, with the plainest `fit` that there is."""

    def __init__(self, limit: float = 3.0):
        self.limit = limit

    def fit(self, embeddings, speakers):
        return self

    def transform(self, embeddings):
        return np.clip(embeddings, -self.limit, self.limit)

    def state(self):
        return {}

    def restore(self, state):
        return self


def test_a_part_of_ones_own_goes_by_its_import_path(planted, monkeypatch):
    monkeypatch.setitem(sys.modules, "my_backend", types.SimpleNamespace(Clip=Clip))
    backend = Backend(["center", {"name": "my_backend.Clip", "limit": 0.5}], "plda")
    backend.fit(planted.rows, planted.speakers, groups=planted.groups, target=planted.fresh)
    assert np.abs(backend.transform(planted.fresh)).max() == 0.5
    assert Backend.restore(backend.spec, backend.state()).transforms[1].limit == 0.5


def test_adaptation_leaves_the_original_alone(planted, trials):
    backend = Backend(["center"], "plda").fit(planted.rows, planted.speakers)
    before = backend.score_trials(planted.fresh, *trials)
    adapted = backend.adapt(planted.fresh * 2 + 1, mean_diff_scale=0.0)
    assert np.abs(adapted.score_trials(planted.fresh, *trials) - before).max() > 0.1
    np.testing.assert_array_equal(backend.score_trials(planted.fresh, *trials), before)
    again = Backend.restore(adapted.spec, adapted.state())
    np.testing.assert_array_equal(again.score_trials(planted.fresh, *trials), adapted.score_trials(planted.fresh, *trials))
    with pytest.raises(ConfigError, match="only the scorer 'plda'"):
        Backend().adapt(planted.fresh)
    with pytest.raises(ConfigError, match="within_covar_scale"):
        backend.adapt(planted.fresh, within_scale=0.5)


def test_names_changes_and_objects_build_a_backend(backend):
    assert build_backend(backend) is backend
    assert build_backend("gplda").spec == build_backend(PRESETS["gplda"]).spec
    changed = build_backend({"name": "gplda", "norm": {"name": "as", "top": 50}, "transforms": []})
    assert changed.spec["scorer"] == build_backend("gplda").spec["scorer"]
    assert (changed.norm.kind, changed.norm.top, changed.spec["transforms"]) == ("as", 50, [])
    assert repr(changed) == "Backend(plda, as-norm)"


def test_a_spec_is_a_copy():
    build_backend("lda").spec["transforms"][2]["dim"] = 5
    assert build_backend("lda").spec["transforms"][2]["dim"] == 128


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("gplta", "did you mean 'gplda'"),
        ({"name": "ldaa"}, "did you mean 'lda'"),
        ({"scorers": "plda"}, "did you mean 'scorer'"),
        ({"transforms": "center"}, "list"),
        ({"transforms": ["centre"]}, "did you mean 'center'"),
        ({"transforms": [{"name": "lda", "dims": 3}]}, "did you mean 'dim'"),
        ({"transforms": [{"dim": 3}]}, "'name'"),
        ({"transforms": [7]}, "a mapping"),
        ({"transforms": [{"name": "lda", "dim": np.int64(3)}]}, "plain data"),
        ({"scorer": {"name": "lda", "dim": 3}}, "unknown scorer"),
        ({"norm": "snorm"}, "unknown normalisation"),
        (7, "name, a mapping or a Backend"),
    ],
)
def test_a_wrong_spec_is_refused(given, said):
    with pytest.raises(ConfigError, match=said):
        build_backend(given)


@pytest.mark.parametrize(
    ("use", "code"),
    [
        (lambda b, rows: b.score(rows, rows[:-1]), "E_SHAPE"),
        (lambda b, rows: b.score(rows[:, :5], rows[:, :5]), "E_SHAPE"),
        (lambda b, rows: b.score_trials(rows, [0], [120]), "E_INDEX"),
        (lambda b, rows: b.score_trials(rows, [0, 1], [0]), "E_SHAPE"),
        (lambda b, rows: b.score_models(rows, [[0]], [0], [1], [0]), "E_INDEX"),
        (lambda b, rows: b.score_models(rows, [[0]], [120], [0], [0]), "E_INDEX"),
        (lambda b, rows: b.set_cohort(rows[0]), "E_SHAPE"),
        (lambda b, rows: b.fit(rows, ["a"] * 119), "E_SPEAKERS"),
        (lambda b, rows: b.fit(rows * np.nan, ["a"] * 120), "E_EMBEDDING"),
        (lambda b, rows: Backend(norm="s").score(rows, rows), "E_COHORT"),
        (lambda b, rows: Backend(norm="s").score_matrix(rows, rows), "E_COHORT"),
    ],
)
def test_bad_input_is_a_typed_error(planted, backend, use, code):
    before = backend.score(planted.fresh, planted.fresh)
    with pytest.raises(DataError) as caught:
        use(backend, planted.fresh)
    assert caught.value.code == code
    np.testing.assert_array_equal(backend.score(planted.fresh, planted.fresh), before)  # also after a fit that failed


def test_an_unknown_multi_is_refused(planted, backend):
    with pytest.raises(ConfigError, match="did you mean 'average'"):
        backend.score_models(planted.fresh, [[0]], [0], [0], [0], multi="averages")


def test_without_a_fit_it_says_so(planted):
    for use in (lambda b: b.transform(planted.fresh), lambda b: b.set_cohort(planted.fresh), lambda b: b.state()):
        with pytest.raises(ModelError) as caught:
            use(build_backend("gplda"))
        assert caught.value.code == "E_NOT_FITTED"
    assert build_backend("cosine").score([[1.0, 0.0]], [[2.0, 0.0]]).tolist() == [1.0]


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state | {"scorer.stranger": np.zeros(3)},
        lambda state: state | {"transforms.9.mean": np.zeros(3)},
        lambda state: {key: array for key, array in state.items() if key != "scorer.psi"},
        lambda state: state | {"cohort": np.zeros(3)},
        lambda state: state | {"cohort": np.full((2, 12), np.nan)},
        lambda state: {},
    ],
)
def test_a_state_of_something_else_is_refused(planted, change):
    backend = build_backend("gplda").fit(planted.rows, planted.speakers)
    with pytest.raises(ModelError) as caught:
        Backend.restore(backend.spec, change(backend.state()))
    assert caught.value.code == "E_FORMAT"
