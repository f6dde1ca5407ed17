"""Class weights against their formulas."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from voxid.errors import ConfigError, DataError
from voxid.losses.class_weights import class_weights

COUNTS = [1, 7, 7, 120, 3000]


def test_inverse_frequency_is_that_of_sklearn() -> None:
    labels = np.repeat(np.arange(len(COUNTS)), COUNTS)
    balanced = compute_class_weight("balanced", classes=np.arange(len(COUNTS)), y=labels)
    np.testing.assert_allclose(class_weights(COUNTS), balanced / balanced.mean(), rtol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.999, 1 - 1e-9])
def test_the_effective_number_is_a_sum_of_powers(beta: float) -> None:
    number = np.array([np.sum(beta ** np.arange(count)) for count in COUNTS])  # the geometric series itself
    expected = (1 / number) / np.mean(1 / number)
    np.testing.assert_allclose(class_weights(COUNTS, "effective", beta=beta), expected, rtol=1e-6)


def test_the_mean_is_one() -> None:
    for scheme in ("inverse", "effective"):
        assert np.mean(class_weights(COUNTS, scheme)) == pytest.approx(1.0)


def test_what_cannot_be_weighted_is_refused() -> None:
    with pytest.raises(DataError, match="every class needs an item"):
        class_weights([3, 0])
    with pytest.raises(DataError):
        class_weights([])
    with pytest.raises(ConfigError, match="did you mean 'inverse'"):
        class_weights([1], "invers")
    with pytest.raises(ConfigError, match="beta"):
        class_weights([1], "effective", beta=1.0)
