"""Speakers whose place is known, for the tests of scoring."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray


class Planted(NamedTuple):
    """Rows [n, D] of speakers [n] in groups [n], placed on purpose; `fresh` are rows of the same kind, of new speakers."""

    rows: NDArray
    speakers: NDArray
    groups: NDArray
    fresh: NDArray
    fresh_speakers: NDArray


@pytest.fixture(scope="session")
def planted() -> Planted:
    """60 speakers with 6 recordings each in 12 dimensions and 20 new ones; noise is strong along some axes, groups are moved."""
    rng = np.random.default_rng(0)
    noise = np.array([3, 2, 1.5] + [1] * 9) * 0.5
    voices = rng.normal(size=(80, 12)) * np.linspace(2, 1, 12)
    groups = np.arange(80) % 3
    moved = np.array([[0.0] * 12, [0.0] * 11 + [4.0], [0.0] * 10 + [4.0, 0.0]])
    speakers = np.repeat(np.arange(80), 6)
    rows = (voices + moved[groups])[speakers] + rng.normal(size=(480, 12)) * noise + 5
    known = speakers < 60
    return Planted(rows[known], speakers[known], groups[speakers][known], rows[~known], speakers[~known])
