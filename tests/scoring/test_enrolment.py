"""Means of speakers and pairs of recordings against plain loops."""

import numpy as np
import pytest

from voxid.errors import DataError
from voxid.scoring.enrolment import members, recording_trials, speaker_means


def test_means_count_directions_alike_and_keep_the_length(planted):
    rows = planted.rows * np.random.default_rng(0).uniform(0.1, 9, (len(planted.rows), 1))
    means = speaker_means(rows, planted.speakers)
    for name in range(60):
        own = rows[planted.speakers == name]
        lengths = np.linalg.norm(own, axis=1)
        np.testing.assert_allclose(means[name], (own / lengths[:, None]).mean(axis=0) * lengths.mean())


def test_a_silent_speaker_stays_zero():
    assert speaker_means(np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]), np.array([0, 0, 1])).tolist() == [[0, 0], [1, 0]]


def test_pairs_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    models = [rng.integers(0, 50, rng.integers(1, 6)).tolist() for _ in range(8)]
    model, test = rng.integers(0, 8, 40), rng.integers(0, 9, 40)
    rows, codes = members(models, 50)
    places, tests, begin = recording_trials(codes, model, test)
    ends = [*begin[1:], len(places)]
    for number, (start, end) in enumerate(zip(begin, ends, strict=True)):
        assert rows[places[start:end]].tolist() == models[model[number]]
        assert set(tests[start:end]) == {test[number]}


@pytest.mark.parametrize("models", [[], [[]], [[0], []], [[5]], [[-1]], [[0.5]]])
def test_models_without_recordings_are_refused(models):
    with pytest.raises(DataError) as caught:
        members(models, 5)
    assert caught.value.code == "E_INDEX"
