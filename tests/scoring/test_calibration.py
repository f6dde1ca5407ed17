"""Calibration and fusion against scikit-learn's logistic regression, SciPy's minimiser and planted log-likelihood ratios."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from voxid.errors import ConfigError, DataError, ModelError
from voxid.scoring.calibration import Calibration, bayes_threshold, fit_calibration, posterior, read_calibration
from voxid.scoring.pav import fit_pav


def gaussian_trials(num_targets=300, num_nontargets=2000, seed=0, distance=2.0):
    random = np.random.default_rng(seed)
    scores = np.concatenate([random.normal(distance, 1, num_targets), random.normal(0, 1.3, num_nontargets)])
    return scores, np.arange(scores.size) < num_targets


def class_weights(labels, p_target):
    return np.where(labels, p_target / labels.sum(), (1 - p_target) / (~labels).sum())


def by_scikit_learn(columns, labels, p_target, weights=None):
    """Weights and offset of the prior-weighted regression without a penalty."""
    weights = class_weights(labels, p_target) if weights is None else weights
    fit = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000, solver="newton-cholesky")
    fit.fit(columns, labels, sample_weight=weights * len(labels))
    return fit.coef_[0], fit.intercept_[0] - logit(p_target)


@pytest.mark.parametrize("p_target", [0.001, 0.01, 0.05, 0.5, 0.9])
def test_one_score_matches_scikit_learn(p_target):
    scores, labels = gaussian_trials()
    found = fit_calibration(scores, labels, p_target=p_target)
    (scale,), offset = by_scikit_learn(scores[:, None], labels, p_target)
    assert found.weights[0] == pytest.approx(scale, rel=1e-5)
    assert found.offset == pytest.approx(offset, rel=1e-5)


def test_fusion_with_quality_and_products_matches_scikit_learn():
    random = np.random.default_rng(9)
    first, labels = gaussian_trials()
    scores = np.column_stack([first, 0.5 * first + random.normal(0, 1, first.size)])
    quality = random.normal(3, 0.5, (first.size, 1)) + 0.2 * labels[:, None]
    found = fit_calibration(
        scores, labels, quality=quality, products=True, p_target=0.05, systems=("a", "b"), quality_names=("snr",)
    )
    columns = np.column_stack([scores, quality, scores * quality])
    weights, offset = by_scikit_learn(columns, labels, 0.05)
    np.testing.assert_allclose(found.weights, weights, rtol=1e-5, atol=1e-6)
    line, low, high = columns @ weights + offset, -math.log(301), math.log(2001)
    inside = (line > low) & (line < high)
    np.testing.assert_allclose(found.llr(scores, quality)[inside], line[inside], atol=1e-4)
    beyond = line[~inside]
    expected = [high + (x - high) / (1 + x - high) if x > high else low - (low - x) / (1 + low - x) for x in beyond]
    np.testing.assert_allclose(found.llr(scores, quality)[~inside], expected, atol=1e-4)


def test_several_priors_match_a_general_minimiser():
    scores, labels = gaussian_trials()
    priors = (0.01, 0.05, 0.5)

    def objective(line):
        llr, total = line[0] * scores + line[1], 0.0
        for p in priors:
            entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
            margin = np.where(labels, 1, -1) * (llr + logit(p))
            total += class_weights(labels, p) @ np.logaddexp(0, -margin) / entropy / len(priors)
        return total

    expected = minimize(objective, [1.0, 0.0], method="BFGS", options={"gtol": 1e-9}).x
    found = fit_calibration(scores, labels, p_target=priors)
    assert [*found.weights, found.offset] == pytest.approx(expected, rel=1e-4)
    assert found.p_target == priors


def test_groups_count_alike_whatever_their_size():
    scores, labels = gaussian_trials(seed=2)
    random = np.random.default_rng(9)
    groups = np.where(random.random(scores.size) < 0.1, "short", "long")
    weights = np.zeros(scores.size)
    for name in ("short", "long"):
        part = groups == name
        weights[part] = class_weights(labels[part], 0.05) / 2
    found = fit_calibration(scores, labels, groups=groups, p_target=0.05)
    (scale,), offset = by_scikit_learn(scores[:, None], labels, 0.05, weights)
    assert [*found.weights, found.offset] == pytest.approx([scale, offset], rel=1e-5)
    assert found.offset != pytest.approx(fit_calibration(scores, labels, p_target=0.05).offset, rel=1e-3)
    twice = np.append(scores, scores[groups == "short"]), np.append(labels, labels[groups == "short"])
    again = fit_calibration(*twice, groups=np.append(groups, groups[groups == "short"]), p_target=0.05)
    assert again.weights == pytest.approx(found.weights, rel=1e-6)


@pytest.mark.parametrize("p_target", [0.01, 0.5])
def test_scores_that_are_ratios_stay_what_they_are(p_target):
    """Targets N(d/2, d), non-targets N(-d/2, d): the score is its own log-likelihood ratio."""
    random, distance, count = np.random.default_rng(0), 6.0, 100_000
    llr = np.concatenate([random.normal(d, math.sqrt(distance), count) for d in (distance / 2, -distance / 2)])
    found = fit_calibration(llr, np.arange(2 * count) < count, p_target=p_target)
    assert found.weights[0] == pytest.approx(1, abs=0.03)
    assert found.offset == pytest.approx(0, abs=0.06)


@settings(deadline=None, max_examples=50)
@given(st.floats(1e-6, 1e6) | st.floats(-1e6, -1e-6), st.floats(-1e3, 1e3))
def test_scale_and_origin_of_the_scores_do_not_matter(scale, shift):
    scores, labels = gaussian_trials(40, 100)
    plain, moved = fit_calibration(scores, labels), fit_calibration((scores + shift) * scale, labels)
    np.testing.assert_allclose(moved.llr((scores + shift) * scale), plain.llr(scores), atol=1e-6)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=30).filter(
        lambda trials: len({label for _, label in trials}) == 2
    )
)
def test_any_list_of_trials_gives_finite_ratios_of_one_direction(trials):
    scores, labels = (np.array(part) for part in zip(*trials, strict=True))
    found = fit_calibration(scores, labels)
    llr = found.llr(np.linspace(-1e3, 1e3, 41))
    assert np.isfinite([*found.weights, found.offset, *llr]).all()
    assert (np.diff(llr) * np.sign(found.weights[0]) >= 0).all()
    assert -math.log(labels.sum() + 1) - 1 <= llr.min() <= llr.max() <= math.log((~labels).sum() + 1) + 1


def test_classes_without_an_overlap_stay_finite_and_in_bounds():
    scores, labels = np.arange(100.0), np.arange(100) >= 60
    found = fit_calibration(scores, labels)
    assert 0 < found.weights[0] < 1e3
    llr = found.llr(scores)
    assert ((llr > 1) == labels).all()
    assert ((llr < -1) != labels).all()
    assert -math.log(41) - 1 < llr.min() < -math.log(41)
    assert math.log(61) < llr.max() < math.log(61) + 1
    assert (np.diff(llr) > 0).all()  # a flat end would tie trials that the scores tell apart


def test_scores_that_say_nothing_give_zero():
    found = fit_calibration(np.full(50, 0.3), np.arange(50) < 7)
    assert found.weights == (0.0,)
    assert found.llr([0.3, 5.0]) == pytest.approx([0, 0], abs=1e-9)


def test_a_constant_or_huge_quality_measure_does_no_harm():
    scores, labels = gaussian_trials()
    plain = fit_calibration(scores, labels, p_target=0.05)
    useless = np.column_stack([np.full(scores.size, 7.0), 1e9 + 1e6 * np.random.default_rng(9).normal(size=scores.size)])
    found = fit_calibration(scores, labels, quality=useless, p_target=0.05, quality_names=("same", "noise"))
    assert found.weights[1] == 0.0
    np.testing.assert_allclose(found.llr(scores, useless), plain.llr(scores), atol=0.3)


def test_quality_beyond_what_was_seen_counts_as_the_nearest_seen():
    scores, labels = gaussian_trials()
    quality = np.random.default_rng(9).uniform(1, 2, (scores.size, 1)) + labels[:, None]
    found = fit_calibration(scores, labels, quality=quality, quality_names=("snr",))
    assert found.limits == ((quality.min(), quality.max()),)
    ends = found.llr([1.0, 1.0], [[quality.min()], [quality.max()]])
    assert found.llr([1.0, 1.0], [[-100.0], [100.0]]).tolist() == ends.tolist()
    assert ends[0] != ends[1]


def test_the_same_bits_every_time():
    scores, labels = gaussian_trials()
    assert fit_calibration(scores, labels) == fit_calibration(scores, labels)


def test_a_distance_is_turned_round():
    scores, labels = gaussian_trials()
    np.testing.assert_allclose(
        fit_calibration(-scores, labels).llr(-scores), fit_calibration(scores, labels).llr(scores), atol=1e-9
    )


def test_a_card_keeps_everything():
    scores, labels = gaussian_trials()
    quality = np.abs(scores)[:, None]
    found = fit_calibration(
        scores, labels, quality=quality, products=True, p_target=[0.01, 0.05], quality_names=("snr_min",), source="dev"
    )
    again = read_calibration(json.loads(json.dumps(found.to_card())))
    assert again == found
    assert again.llr(scores, quality).tolist() == found.llr(scores, quality).tolist()
    plain = Calibration((2.0,), -1.0)
    assert read_calibration(json.loads(json.dumps(plain.to_card(), allow_nan=False))) == plain
    steps = fit_pav(scores, labels)
    assert read_calibration(steps.to_card()) == steps


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "platt"},
        {"weights": []},
        {"weights": [1.0, 2.0]},
        {"weights": [math.nan]},
        {"weights": None},
        {"offset": "x"},
        {"quality": ["snr_min"]},
        {"limits": [[0.0, 1.0]]},
        {"bounds": [1.0, 0.0]},
        {"bounds": [1.0]},
        {"systems": []},
    ],
)
def test_a_damaged_card_is_refused(change):
    card = Calibration((2.0,), -1.0).to_card() | change
    with pytest.raises(ModelError) as caught:
        read_calibration(card)
    assert caught.value.code == "E_FORMAT"


@pytest.mark.parametrize("card", [None, [], {}, "logistic"])
def test_what_is_no_card_is_refused(card):
    with pytest.raises(ModelError):
        read_calibration(card)


@pytest.mark.parametrize(
    ("scores", "labels", "options", "code"),
    [
        ([0.1, math.nan], [0, 1], {}, "E_SCORES"),
        ([0.1, math.inf], [0, 1], {}, "E_SCORES"),
        (["a", "b"], [0, 1], {}, "E_SCORES"),
        ([0.1, 0.2], [1, 1], {}, "E_ONE_CLASS"),
        ([0.1, 0.2], [0, 2], {}, "E_LABELS"),
        ([0.1, 0.2], [0], {}, "E_SHAPE"),
        ([[0.1, 0.2], [0.3, 0.4]], [0, 1], {}, "E_SHAPE"),
        ([0.1, 0.2], [0, 1], {"quality": [[1.0], [2.0]]}, "E_SHAPE"),
        ([0.1, 0.2], [0, 1], {"quality_names": ["snr"]}, "E_SHAPE"),
        ([0.1, 0.2], [0, 1], {"quality_names": ["snr"], "quality": [[1.0]]}, "E_SHAPE"),
        ([0.1, 0.2], [0, 1], {"quality_names": ["snr"], "quality": [[1.0], [math.nan]]}, "E_SCORES"),
        ([0.1, 0.2, 0.3], [0, 1, 1], {"groups": ["a", "a", "b"]}, "E_ONE_CLASS"),
        ([0.1, 0.2], [0, 1], {"groups": ["a"]}, "E_SHAPE"),
    ],
)
def test_what_makes_no_sense_is_refused(scores, labels, options, code):
    with pytest.raises(DataError) as caught:
        fit_calibration(scores, labels, **options)
    assert caught.value.code == code


@pytest.mark.parametrize("options", [{"p_target": 0}, {"p_target": [0.5, 1.0]}, {"p_target": []}, {"l2": 0.0}, {"l2": math.nan}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ConfigError):
        fit_calibration([0.1, 0.2], [0, 1], **options)


def test_ratios_need_the_quality_that_was_fitted():
    scores, labels = gaussian_trials()
    found = fit_calibration(scores, labels, quality=scores[:, None] * 2, quality_names=("snr_min",))
    with pytest.raises(DataError, match="snr_min"):
        found.llr(scores)


def test_posterior_is_bayes_rule():
    llr = np.array([-800.0, -3.0, 0.0, 4.0, 800.0, -math.inf, math.inf])
    expected = expit(llr + logit(0.2))
    np.testing.assert_allclose(posterior(llr, 0.2), expected, rtol=1e-12)
    assert posterior(0.0, 0.3) == pytest.approx(0.3)


@pytest.mark.parametrize(("p_target", "c_miss", "c_fa"), [(0.01, 1, 1), (0.05, 10, 1), (0.5, 1, 3)])
def test_at_the_bayes_threshold_both_decisions_cost_the_same(p_target, c_miss, c_fa):
    same = posterior(bayes_threshold(p_target, c_miss, c_fa), p_target)
    assert same * c_miss == pytest.approx((1 - same) * c_fa)


@pytest.mark.parametrize("arguments", [(0.0,), (1.0,), (math.nan,), (0.5, 0.0), (0.5, 1.0, math.inf)])
def test_priors_and_costs_out_of_range_are_refused(arguments):
    with pytest.raises(ConfigError):
        bayes_threshold(*arguments)
