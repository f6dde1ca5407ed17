"""The long tail in numbers, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import entropy

from voxid.data.balance import report, tail
from voxid.errors import DataError

COUNTS = np.random.default_rng(0).zipf(1.6, 200) % 500 + 1


def test_gini_is_half_the_relative_mean_difference() -> None:
    difference = np.abs(COUNTS[:, None] - COUNTS[None, :]).mean()
    assert tail(COUNTS).gini == pytest.approx(difference / (2 * COUNTS.mean()))


def test_effective_speakers_are_the_perplexity() -> None:
    assert tail(COUNTS).effective == pytest.approx(np.exp(entropy(COUNTS)))


def test_the_top_tenth_and_quantiles() -> None:
    told = tail(COUNTS)
    assert told.top_share == pytest.approx(np.sort(COUNTS)[-20:].sum() / COUNTS.sum())
    assert told.quantiles == {str(part): np.quantile(COUNTS, part / 100) for part in (0, 10, 25, 50, 75, 90, 100)}
    assert (told.speakers, told.utterances) == (200, COUNTS.sum())


def test_equal_speakers_have_no_tail() -> None:
    told = tail([3] * 50)
    assert (told.gini, told.top_share) == pytest.approx((0.0, 0.1))
    assert told.effective == pytest.approx(50)
    assert "50 speakers" in str(told)


def test_before_and_after() -> None:
    told = report([100, 1, 1, 0], [30, 30, 30, 0])
    assert told.corpus.gini > 0.5
    assert told.drawn.gini == pytest.approx(0)
    assert told.drawn.speakers == 3


@pytest.mark.parametrize("counts", [[], [0, 0], [3, -1]])
def test_nothing_to_tell_is_refused(counts: list[int]) -> None:
    with pytest.raises(DataError, match="utterances of each speaker"):
        tail(counts)
