"""Random trials, and error counts straight from their definition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

Trials = tuple[NDArray, NDArray]


@st.composite
def _trial_sets(draw: st.DrawFn) -> Trials:
    size = draw(st.integers(2, 48))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = random.random(size) < draw(st.sampled_from([0.1, 0.3, 0.5, 0.9]))
    labels[:2] = [True, False]
    scores = random.normal(size=size) + draw(st.sampled_from([-1.0, 0.0, 1.0, 3.0])) * labels
    step = draw(st.sampled_from([0.0, 0.25, 1.0, 4.0]))
    scores = np.round(scores / step) * step if step else scores
    order = random.permutation(size)
    return scores[order].astype(draw(st.sampled_from(["f4", "f8"]))), labels[order]


@pytest.fixture(scope="session")
def trial_sets() -> st.SearchStrategy[Trials]:
    """Scores and labels of 2 to 48 trials with both classes; most sets have ties, within and between the classes."""
    return _trial_sets()


@pytest.fixture(scope="session")
def slow_counts() -> Callable[[NDArray, NDArray], list[tuple[float, int, int]]]:
    """(threshold, misses, false accepts) at every distinct score and above all of them, one by one."""

    def counts(scores: NDArray, labels: NDArray) -> list[tuple[float, int, int]]:
        pairs = list(zip(scores.tolist(), labels.tolist(), strict=True))
        rows = []
        for threshold in sorted({score for score, _ in pairs}):
            misses = sum(label and score < threshold for score, label in pairs)
            accepts = sum(not label and score >= threshold for score, label in pairs)
            rows.append((threshold, misses, accepts))
        return [*rows, (np.inf, sum(labels.tolist()), 0)]

    return counts
