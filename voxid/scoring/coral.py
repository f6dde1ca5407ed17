"""Correlation alignment: labelled rows of one domain made to look like those of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import DataError
from voxid.registry import register
from voxid.scoring.checks import as_rows, not_fitted, restored
from voxid.scoring.speaker_statistics import check_shrinkage


@register("transform", "coral")
class Coral:
    """Recolour the training rows with mean and covariance of the target domain; rows to be scored stay as they are.

    What comes behind it in a back-end (LDA, PLDA) then learns from labelled rows that look like the target's. So it has two
    faces: `transform` is for rows of the target domain and changes nothing, `transform_training` is for rows of the training's.

    Args:
        shrinkage: Share of a sphere of the same total variance in both covariances, from 0 to below 1; it bounds the recolouring
            where few rows say little.

    Sun, Feng and Saenko, "Return of frustratingly easy domain adaptation", AAAI 2016.

    Example:
        >>> training, target = np.random.default_rng(0).normal(size=(2, 99, 2)) * [[[1, 1]], [[5, 2]]]
        >>> moved = Coral(shrinkage=0.0).fit(training, target=target).transform_training(training)
        >>> bool(np.allclose(np.cov(moved.T), np.cov(target.T)))
        True
    """

    def __init__(self, shrinkage: float = 0.01) -> None:
        check_shrinkage(shrinkage)
        self.shrinkage = shrinkage
        self._arrays: dict[str, NDArray] | None = None

    def fit(self, embeddings: ArrayLike, speakers: ArrayLike | None = None, *, target: ArrayLike | None = None) -> Self:
        """Find both means and the recolouring.

        Args:
            embeddings: Rows of the training domain [n, D]; `speakers` do not matter.
            target: Rows of the domain that will be scored [t, D]; they need no labels.

        Raises:
            DataError: ``E_SHAPE``, ``E_EMBEDDING``; ``E_TARGET``, no target rows.
        """
        if target is None:
            raise DataError("coral: needs unlabelled rows of the domain that will be scored: fit(..., target=rows)", "E_TARGET")
        rows = as_rows(embeddings)
        other = as_rows(target, rows.shape[1], "target rows")
        matrix = _root(self._covariance(rows), -0.5) @ _root(self._covariance(other), 0.5)
        self._arrays = {"mean": rows.mean(axis=0), "matrix": matrix, "target_mean": other.mean(axis=0)}
        return self

    def transform(self, embeddings: ArrayLike) -> NDArray:
        """Rows of the target domain [n, D]: unchanged, float64."""
        return as_rows(embeddings, len(self._fitted()["mean"]))

    def transform_training(self, embeddings: ArrayLike) -> NDArray:
        """Rows of the training domain [n, D], recoloured, float64."""
        found = self._fitted()
        return (as_rows(embeddings, len(found["mean"])) - found["mean"]) @ found["matrix"] + found["target_mean"]

    def state(self) -> dict[str, NDArray]:
        """``mean`` [D], ``matrix`` [D, D] and ``target_mean`` [D]."""
        return dict(self._fitted())

    def restore(self, state: Mapping[str, NDArray]) -> Self:
        """Take over a state.

        Raises:
            ModelError: ``E_FORMAT``.
        """
        self._arrays = restored(state, "Coral", mean=("D",), matrix=("D", "D"), target_mean=("D",))
        return self

    def _covariance(self, rows: NDArray) -> NDArray:
        if len(rows) < 2:
            raise DataError(f"coral: needs two rows or more of each domain, got {len(rows)}", "E_SHAPE")
        covariance = np.cov(rows.T).reshape(rows.shape[1], -1)
        sphere = np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        return (1 - self.shrinkage) * covariance + self.shrinkage * sphere

    def _fitted(self) -> dict[str, NDArray]:
        if self._arrays is None:
            raise not_fitted("Coral")
        return self._arrays

    def __repr__(self) -> str:
        return f"Coral(shrinkage={self.shrinkage})"


def _root(covariance: NDArray, power: float) -> NDArray:
    """A symmetric power of a covariance; directions without variance stay without, whatever the power."""
    variance, directions = np.linalg.eigh(covariance)
    keep = variance > 1e-10 * variance[-1]
    scale = np.power(variance, power, out=np.zeros_like(variance), where=keep)
    return (directions * scale) @ directions.T
