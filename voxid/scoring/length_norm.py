"""Length normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.registry import register
from voxid.scoring.checks import as_rows, restored
from voxid.scoring.cosine import unit


@register("transform", "length_norm")
class LengthNorm:
    """Scale each row to length 1; zero rows stay zero. There is nothing to fit.

    Garcia-Romero and Espy-Wilson, "Analysis of i-vector length normalization in speaker recognition systems", Interspeech 2011:
    it makes embeddings Gaussian enough for PLDA.

    Example:
        >>> LengthNorm().transform([[3.0, 4.0]]).tolist()
        [[0.6, 0.8]]
    """

    def fit(self, embeddings: ArrayLike, speakers: ArrayLike | None = None) -> Self:
        """Only checks the rows [n, D]."""
        as_rows(embeddings)
        return self

    def transform(self, embeddings: ArrayLike) -> NDArray:
        """Rows [n, D] of length 1, float64."""
        return unit(as_rows(embeddings), np.float64)

    def state(self) -> dict[str, NDArray]:
        """Nothing: {}."""
        return {}

    def restore(self, state: Mapping[str, NDArray]) -> Self:
        """Itself; a state with anything in it is a `ModelError` ``E_FORMAT``."""
        restored(state, "LengthNorm")
        return self

    def __repr__(self) -> str:
        return "LengthNorm()"
