"""PLDA for another domain without speaker labels: variance that the model does not expect is shared out between W and B."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from voxid.errors import ConfigError, DataError
from voxid.scoring.checks import as_rows
from voxid.scoring.plda import Plda
from voxid.scoring.two_covariance import TwoCovariance, diagonalise

# A scale beyond it is no share of anything, and covariances would leave the range of numbers.
LARGEST = 1e3


def adapt_plda(
    scorer: Plda,
    embeddings: ArrayLike,
    *,
    mean_diff_scale: float = 1.0,
    within_covar_scale: float = 0.75,
    between_covar_scale: float = 0.25,
) -> Plda:
    """A scorer for the domain of `embeddings`; the one that is given stays as it is.

    The rows' covariance is looked at in the space where the model expects the identity, W + B = I. Each of its axes with a
    variance above 1 gives that excess to W and to B. Axes with less stay. The mean becomes that of the rows.

    Args:
        scorer: Fitted or imported.
        embeddings: Rows of the new domain [n, D], many more than D of them, through the same transforms as those that are scored.
        mean_diff_scale: How much of the outer product of the difference of both means joins the covariance.
        within_covar_scale, between_covar_scale: Shares of the excess that go to W and to B. These here are of Kaldi's recipes
            for SRE16; the program that they call, ivector-adapt-plda, has 0.3 and 0.7 where it is told nothing. WeSpeaker's
            adaptation is 0.5 and 0.5 with `mean_diff_scale` 0.

    Raises:
        DataError: ``E_SHAPE``, ``E_EMBEDDING``.
        ConfigError: A scale that is negative or beyond `LARGEST`.
        ModelError: ``E_NOT_FITTED``.

    Example:
        >>> known = Plda.of(TwoCovariance.of(np.zeros(1), np.eye(1), np.eye(1)))
        >>> adapted = adapt_plda(known, [[-4.0], [4.0]], within_covar_scale=0.5, between_covar_scale=0.5)
        >>> adapted.model.within.round(9).tolist(), adapted.model.between.round(9).tolist()
        ([[8.0]], [[8.0]])

    Povey's unsupervised adaptation in Kaldi (ivector-adapt-plda).
    """
    scales = mean_diff_scale, within_covar_scale, between_covar_scale
    if not all(0.0 <= scale <= LARGEST for scale in scales):
        given = ", ".join(f"{scale:g}" for scale in scales)
        raise ConfigError(f"scales of the adaptation of PLDA must be 0 ... {LARGEST:g}, mostly 0 ... 1, got {given}")
    model = scorer.model
    rows = scorer.prepared(as_rows(embeddings, model.mean.size))
    if len(rows) < 2:
        raise DataError(f"expected two or more rows of the new domain, got {len(rows)}", "E_SHAPE")
    mean = rows.mean(axis=0)
    spread = np.sqrt(1.0 + model.psi)
    whiten = model.transform / spread[:, None]
    away = (rows - mean) @ whiten.T
    shift = whiten @ (mean - model.mean)
    variances, axes = np.linalg.eigh(away.T @ away / len(away) + mean_diff_scale * np.outer(shift, shift))
    excess = (axes * np.maximum(variances - 1.0, 0.0)) @ axes.T
    within = np.diag(1.0 / spread**2) + within_covar_scale * excess
    between = np.diag(model.psi / spread**2) + between_covar_scale * excess
    turn, psi, _ = diagonalise(within, between)
    return Plda.of(TwoCovariance(mean, turn @ whiten, np.maximum(psi, 0.0)), scorer.length_norm)
