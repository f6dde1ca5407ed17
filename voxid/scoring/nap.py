"""Nuisance attribute projection."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, DataError
from voxid.registry import register
from voxid.scoring.affine import Affine, check_dim
from voxid.scoring.checks import as_codes, as_rows
from voxid.scoring.speaker_statistics import class_sums, speaker_statistics


@register("transform", "nap")
class Nap(Affine):
    """Project out the directions of a nuisance: what they hold is gone, the other directions stay as they are.

    Args:
        dim: How many directions go.
        nuisance: ``session``: those in which recordings of one speaker differ most. ``groups``: those in which the means of
            groups of recordings (languages, corpora, microphones) differ most; `fit` then needs the group of each row, and no
            more than groups - 1 directions are there.

    Campbell, Sturim, Reynolds and Solomonoff, "SVM based speaker verification using a GMM supervector kernel and NAP
    variability compensation", ICASSP 2006.

    Example:
        >>> rows = [[0.0, 1.0], [0.0, 2.0], [9.0, 1.0], [9.0, 2.0]]
        >>> nap = Nap(dim=1, nuisance="groups").fit(rows, [0, 1, 2, 3], groups=["fr", "fr", "de", "de"])
        >>> nap.transform([[5.0, 3.0]]).round(6).tolist()
        [[0.0, 3.0]]
    """

    def __init__(self, dim: int = 5, nuisance: Literal["session", "groups"] = "session") -> None:
        check_dim("nap", dim)
        if nuisance not in ("session", "groups"):
            raise ConfigError(f"nap: nuisance must be 'session' or 'groups', got {nuisance!r}")
        self.dim = dim
        self.nuisance = nuisance

    def fit(self, embeddings: ArrayLike, speakers: ArrayLike, *, groups: ArrayLike | None = None) -> Self:
        """Find the directions.

        Args:
            embeddings, speakers: Rows [n, D] and a label for each [n].
            groups: The group of each row [n], labels of any kind; only for ``nuisance="groups"``.

        Raises:
            DataError: ``E_SHAPE``, ``E_EMBEDDING``; ``E_SPEAKERS``, no speaker has two recordings; ``E_GROUPS``, no groups.
        """
        rows = as_rows(embeddings)
        if self.nuisance == "session":
            found = speaker_statistics(rows, speakers)
            scatter = found.scatter - found.prior * found.variance * np.eye(rows.shape[1])
        else:
            scatter = _between_groups(rows, as_codes(speakers, len(rows))[0], groups)
        strength, directions = np.linalg.eigh(scatter)
        out = directions[:, -self.dim :][:, strength[-self.dim :] > 1e-10 * strength[-1]]
        if out.shape[1] == rows.shape[1]:
            raise DataError(f"nap: rows [n, D] need D above dim {self.dim}, got {list(rows.shape)}", "E_SHAPE")
        return self._keep(np.zeros(rows.shape[1]), np.eye(rows.shape[1]) - out @ out.T)

    def __repr__(self) -> str:
        return f"Nap(dim={self.dim}, nuisance={self.nuisance!r})"


def _between_groups(rows: NDArray, codes: NDArray, groups: ArrayLike | None) -> NDArray:
    """Scatter of the means of groups [D, D]; each speaker counts once, so that the poor mean of a small group weighs little."""
    if groups is None:
        raise DataError("nap: nuisance 'groups' needs the group of each row: fit(embeddings, speakers, groups=[...])", "E_GROUPS")
    group, number = as_codes(groups, len(rows), "groups")
    if number < 2:
        raise DataError("nap: needs two groups or more, got 1", "E_GROUPS")
    # A speaker who occurs in two groups has a mean in each.
    pair, which = np.unique(group * (codes.max() + 1) + codes, return_inverse=True)
    home = pair // (codes.max() + 1)
    means, weights = _means(_means(rows, which), home), np.bincount(home) / len(home)
    off = means - weights @ means
    return (off.T * weights) @ off


def _means(rows: NDArray, codes: NDArray) -> NDArray:
    return class_sums(rows, codes) / np.bincount(codes)[:, None]
