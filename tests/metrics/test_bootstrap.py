"""Weights of the bootstrap against trials that are really repeated."""

import numpy as np
import pytest

from voxid.errors import ConfigError, DataError
from voxid.metrics.bootstrap import (
    act_dcf_interval,
    actual_cost,
    cllr_interval,
    eer_interval,
    equal_error,
    intervals,
    log_cost,
    lowest_cost,
    min_dcf_interval,
    numbered,
    resampled,
    rule_of_30,
)
from voxid.metrics.detection import act_dcf, eer, min_dcf
from voxid.metrics.draws import Draws, SortedTrials


def speaker_trials(num_speakers=9, num_trials=300, seed=0, *, spread=1.0):
    """Trials whose scores share a part by speaker, as real ones do."""
    random = np.random.default_rng(seed)
    first = random.integers(0, num_speakers, num_trials)
    labels = random.random(num_trials) < 0.3
    second = np.where(labels, first, (first + random.integers(1, num_speakers, num_trials)) % num_speakers)
    ease = random.normal(0, spread, num_speakers)
    scores = random.normal(0, 1, num_trials) + np.where(labels, 2 + ease[first], 0)
    return scores, labels, np.stack([first, second], axis=1)


def by_hand(scores, labels, speakers, counts):
    """The trials, as often as drawn speakers repeat them: every copy of a speaker is a new speaker with the same trials."""
    rows = []
    for row, (first, second) in enumerate(speakers):
        copies = counts[first] if labels[row] else counts[first] * counts[second]
        rows += [row] * copies
    return scores[rows], labels[rows]


def slow_cllr(llr, labels):
    return (np.log2(1 + np.exp(-llr[labels])).mean() + np.log2(1 + np.exp(llr[~labels])).mean()) / 2


STATISTICS = {
    "eer": (equal_error, eer),
    "min_dcf": (lowest_cost(0.1), lambda s, y: min_dcf(s, y, 0.1)),
    "min_dcf of costs": (lowest_cost((0.5, 10, 1)), lambda s, y: min_dcf(s, y, 0.5, 10, 1)),
    "act_dcf": (actual_cost(0.1), lambda s, y: act_dcf(s, y, 0.1)),
    "act_dcf of costs": (actual_cost((0.5, 10, 1)), lambda s, y: act_dcf(s, y, 0.5, 10, 1)),
    "act_dcf at ties with the threshold": (actual_cost(0.5), lambda s, y: act_dcf(s, y, 0.5)),
    "cllr": (log_cost, slow_cllr),
}


@pytest.mark.parametrize("name", STATISTICS)
@pytest.mark.parametrize("decimals", [0, 1, 8])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_weighted_figure_is_that_of_repeated_trials(name, decimals, dtype):
    scores, labels, speakers = speaker_trials()
    scores = np.round(scores, decimals).astype(dtype)
    weighted, plain = STATISTICS[name]
    random = np.random.default_rng(1)
    counts = np.array([np.bincount(random.integers(0, 9, 9), minlength=9) for _ in range(20)])
    expected = [plain(*by_hand(scores, labels, speakers, row)) for row in counts]
    assert weighted(Draws(SortedTrials(scores, labels, speakers), counts)) == pytest.approx(expected, abs=1e-12, rel=1e-6)


@pytest.mark.parametrize("name", STATISTICS)
def test_one_draw_of_each_speaker_gives_the_figure(name):
    scores, labels, speakers = speaker_trials()
    weighted, plain = STATISTICS[name]
    whole = Draws(SortedTrials(scores, labels, speakers), np.ones((1, 9), dtype=int))
    assert weighted(whole)[0] == pytest.approx(plain(scores, labels), abs=1e-12)


def test_intervals_of_several_figures_share_their_draws():
    trials = speaker_trials()
    together = intervals(*trials, [equal_error, lowest_cost(0.1), actual_cost((0.1, 1, 1)), log_cost], resamples=50, seed=4)
    options = {"resamples": 50, "seed": 4}
    assert together == [
        eer_interval(*trials, **options),
        min_dcf_interval(*trials, 0.1, **options),
        act_dcf_interval(*trials, 0.1, **options),
        cllr_interval(*trials, **options),
    ]
    for (low, high), name in zip(together, ("eer", "min_dcf", "act_dcf", "cllr"), strict=True):
        assert low < STATISTICS[name][1](*trials[:2]) < high


def test_a_wider_level_holds_a_narrower_one():
    trials = speaker_trials()
    wide, narrow = (min_dcf_interval(*trials, level=level, resamples=100) for level in (0.99, 0.5))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_a_statistic_of_ones_own():
    """The mean score of the targets, weighed: with the same draws, it moves with the speakers' ease."""
    trials = speaker_trials(spread=3.0)

    def mean_score(draws):
        return draws.targets @ draws.trials.targets / draws.targets.sum(axis=1)

    ((low, high),) = intervals(*trials, [mean_score], resamples=200)
    assert low < trials[0][trials[1]].mean() < high
    assert high - low > 1.0


def test_infinite_ratios_have_intervals_but_of_cllr():
    scores, labels, speakers = speaker_trials()
    far = np.where(scores > 2.5, np.inf, np.where(scores < -1.5, -np.inf, scores))
    near = np.clip(far, -100.0, 100.0)
    for interval in (eer_interval, min_dcf_interval, act_dcf_interval):
        assert interval(far, labels, speakers, resamples=50) == interval(near, labels, speakers, resamples=50)
    with pytest.raises(DataError, match="Cllr needs finite") as caught:
        cllr_interval(far, labels, speakers, resamples=5)
    assert caught.value.code == "E_SCORES"
    with pytest.raises(DataError, match="NaN"):
        eer_interval(np.where(scores > 2.5, np.nan, scores), labels, speakers)


def test_blocks_do_not_change_the_draws(monkeypatch):
    trials = speaker_trials()
    whole = resampled(*trials, [equal_error, log_cost], resamples=50, seed=3)
    monkeypatch.setattr("voxid.metrics.bootstrap.BLOCK", 900)
    np.testing.assert_allclose(resampled(*trials, [equal_error, log_cost], resamples=50, seed=3), whole, rtol=1e-12)


def test_the_seed_decides_and_the_interval_holds_the_eer():
    scores, labels, speakers = speaker_trials()
    low, high = eer_interval(scores, labels, speakers, seed=5)
    assert (low, high) == eer_interval(scores, labels, speakers, seed=5)
    assert (low, high) != eer_interval(scores, labels, speakers, seed=6)
    assert low < eer(scores, labels) < high


def test_names_and_numbers_of_speakers_are_the_same_to_it():
    scores, labels, speakers = speaker_trials()
    names = np.array([f"s{number}" for number in range(9)])[speakers]
    assert eer_interval(scores, labels, names, resamples=20) == eer_interval(scores, labels, speakers, resamples=20)


def test_speakers_that_differ_widen_the_interval_more_than_their_trials_say():
    """The reason for drawing speakers: with few, unlike speakers the trials are far from independent."""

    def width(spread):
        low, high = eer_interval(*speaker_trials(12, 4000, spread=spread), resamples=300)
        return high - low

    assert width(1.5) > 2 * width(0.0)


def test_draws_without_a_class_are_set_aside():
    scores, labels = [0.9, 0.8, 0.1], [1, 1, 0]
    speakers = [["a", "a"], ["b", "b"], ["a", "b"]]
    rates = resampled(scores, labels, speakers, [equal_error], resamples=200, seed=0)
    assert rates.shape[0] == 1
    assert 60 < rates.size < 140  # two of four draws of (a, b) hold both speakers
    assert (rates == 0).all()


@pytest.mark.parametrize(
    ("speakers", "code"),
    [
        ([["a", "b"], ["a", "b"]], "E_SPEAKERS"),
        ([["a", "a"], ["b", "b"]], "E_SPEAKERS"),
        ([["a", "a"]], "E_SHAPE"),
        ([["a"], ["b"]], "E_SHAPE"),
    ],
)
def test_speakers_that_contradict_the_labels_are_an_error(speakers, code):
    with pytest.raises(DataError) as caught:
        eer_interval([1.0, 0.0], [1, 0], speakers)
    assert caught.value.code == code


def test_the_message_names_the_first_contradiction():
    with pytest.raises(
        DataError, match="1 of 2 trials contradict their speakers: trial 2 is a non-target trial of speakers b and b"
    ):
        numbered([["a", "a"], ["b", "b"]], [1, 0])


def test_bad_trials_and_options_are_typed_errors():
    with pytest.raises(DataError, match="both classes"):
        eer_interval([1.0], [1], [["a", "a"]])
    for options in ({"resamples": 0}, {"level": 1.0}, {"level": 0.0}):
        with pytest.raises(ConfigError):
            eer_interval([1.0, 0.0], [1, 0], [["a", "a"], ["a", "b"]], **options)
    for point in (0.0, (0.5, 1), (0.5, -1, 1)):
        for interval in (min_dcf_interval, act_dcf_interval):
            with pytest.raises(ConfigError):
                interval([1.0, 0.0], [1, 0], [["a", "a"], ["a", "b"]], point)


def test_too_few_speakers_for_any_draw():
    with pytest.raises(DataError, match="too few speakers") as caught:
        eer_interval([1.0, 0.0], [1, 0], [["a", "a"], ["b", "c"]], resamples=1, seed=2)
    assert caught.value.code == "E_SPEAKERS"


def test_the_rule_of_30_speaks_up_below_30_errors_of_either_kind():
    assert rule_of_30(30, 30) is None
    assert rule_of_30(29.9, 3000) == (
        "about 30 false rejects at the EER, fewer than 30: the true rate may well lie more than 30 % off (rule of 30)"
    )
    assert rule_of_30(40, 2.4, "at 0.35").startswith("about 2 false accepts at 0.35, fewer than 30")
    assert rule_of_30(0, 0).startswith("about 0 false")


def test_the_rule_of_30_holds_on_simulated_trials():
    """With 30 errors, about nine of ten measured rates lie within 30 % of the true one."""
    measured = np.random.default_rng(0).binomial(3000, 0.01, size=20_000) / 3000
    assert 0.88 < (np.abs(measured - 0.01) <= 0.003 + 1e-12).mean() < 0.93


@pytest.mark.slow
def test_the_interval_holds_the_eer_of_the_population_about_95_times_of_100():
    """Speakers differ in how easy they are; the truth is the EER over very many of them."""
    truth = eer(*speaker_trials(20_000, 400_000, seed=0, spread=0.7)[:2])
    held = 0
    for seed in range(1, 201):
        low, high = eer_interval(*speaker_trials(50, 3000, seed, spread=0.7), resamples=300)
        held += low <= truth <= high
    assert 0.88 < held / 200 < 0.99
