"""Quality measures of trials by hand."""

import math

import numpy as np
import pytest

from voxid.errors import ConfigError, DataError
from voxid.scoring.quality import MEASURES, facts_needed, quality_matrix

FACTS = {
    "seconds": [1.0, 4.0, 9.0],
    "snr_db": [10.0, 20.0, -3.0],
    "magnitude": [30.0, 40.0, 50.0],
    "cohort_mean": [0.2, 0.3, 0.1],
    "cohort_std": [0.05, 0.07, 0.06],
}
OTHER = {name: values[::-1] for name, values in FACTS.items()}


def test_columns_by_hand():
    names = ["log_duration_max", "snr_min", "magnitude_mean", "cohort_std_max"]
    expected = [[math.log(9), -3, 40, 0.06], [math.log(4), 20, 40, 0.07], [math.log(9), -3, 40, 0.06]]
    np.testing.assert_allclose(quality_matrix(names, FACTS, OTHER), expected)


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_is_symmetric_and_finite(name):
    values = quality_matrix([name], FACTS, OTHER)
    assert values.shape == (3, 1)
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(values, quality_matrix([name], OTHER, FACTS))
    assert len(np.unique(values)) > 1 or name == "magnitude_mean"


def test_a_recording_without_speech_has_a_finite_duration():
    assert quality_matrix(["log_duration_min"], {"seconds": [0.0]}, {"seconds": [3.0]}) == pytest.approx(math.log(1e-3))


def test_facts_needed_names_each_once():
    assert facts_needed(["snr_max", "snr_min", "magnitude_min"]) == ["magnitude", "snr_db"]
    assert set(facts_needed(list(MEASURES))) == set(FACTS)


def test_an_unknown_measure_gets_a_hint():
    with pytest.raises(ConfigError, match="did you mean 'snr_min'"):
        quality_matrix(["snr_mim"], FACTS, OTHER)


@pytest.mark.parametrize(
    ("enrol", "test"),
    [
        ({}, {"snr_db": [1.0]}),
        ({"snr_db": [1.0]}, {"snr_db": [1.0, 2.0]}),
        ({"snr_db": [math.nan]}, {"snr_db": [1.0]}),
        ({"snr_db": [[1.0]]}, {"snr_db": [[1.0]]}),
        ({"snr_db": ["a"]}, {"snr_db": ["b"]}),
    ],
)
def test_facts_that_do_not_fit_are_refused(enrol, test):
    with pytest.raises(DataError):
        quality_matrix(["snr_min"], enrol, test)
