"""Weights of the bootstrap against trials that are really repeated."""

import numpy as np
import pytest

from voxid.errors import ConfigError, DataError
from voxid.metrics.bootstrap import _Trials, eer_interval, numbered, resampled_eers
from voxid.metrics.detection import eer


def speaker_trials(num_speakers=9, num_trials=300, seed=0, *, spread=1.0):
    """Trials whose scores share a part by speaker, as real ones do."""
    random = np.random.default_rng(seed)
    first = random.integers(0, num_speakers, num_trials)
    labels = random.random(num_trials) < 0.3
    second = np.where(labels, first, (first + random.integers(1, num_speakers, num_trials)) % num_speakers)
    ease = random.normal(0, spread, num_speakers)
    scores = random.normal(0, 1, num_trials) + np.where(labels, 2 + ease[first], 0)
    return scores, labels, np.stack([first, second], axis=1)


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_a_weighted_eer_is_the_eer_of_repeated_trials(decimals):
    scores, labels, speakers = speaker_trials()
    scores = np.round(scores, decimals)
    random = np.random.default_rng(1)
    trials = _Trials(scores, labels, speakers)
    for _ in range(20):
        drawn = random.integers(0, 9, 9)
        counts = np.bincount(drawn, minlength=9)
        # By hand: every copy of a speaker is a new speaker with the same trials.
        rows = []
        for row, (first, second) in enumerate(speakers):
            copies = counts[first] if labels[row] else counts[first] * counts[second]
            rows += [row] * copies
        assert trials.eers(counts[None])[0] == pytest.approx(eer(scores[rows], labels[rows]), abs=1e-12)


def test_one_draw_of_each_speaker_gives_the_eer():
    scores, labels, speakers = speaker_trials()
    assert _Trials(scores, labels, speakers).eers(np.ones((1, 9), dtype=int))[0] == pytest.approx(eer(scores, labels), abs=1e-15)


def test_blocks_do_not_change_the_draws(monkeypatch):
    trials = speaker_trials()
    whole = resampled_eers(*trials, resamples=50, seed=3)
    monkeypatch.setattr("voxid.metrics.bootstrap.BLOCK", 900)
    np.testing.assert_array_equal(resampled_eers(*trials, resamples=50, seed=3), whole)


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
    rates = resampled_eers(scores, labels, speakers, resamples=200, seed=0)
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


@pytest.mark.slow
def test_the_interval_holds_the_eer_of_the_population_about_95_times_of_100():
    """Speakers differ in how easy they are; the truth is the EER over very many of them."""
    truth = eer(*speaker_trials(20_000, 400_000, seed=0, spread=0.7)[:2])
    held = 0
    for seed in range(1, 201):
        low, high = eer_interval(*speaker_trials(50, 3000, seed, spread=0.7), resamples=300)
        held += low <= truth <= high
    assert 0.88 < held / 200 < 0.99
