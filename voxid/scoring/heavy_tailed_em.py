"""Training of heavy-tailed PLDA by variational Bayes: rows far from what the model expects count less."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from voxid.scoring.plda_em import LOG_2PI, Estimate, Subspace, WeightedStatistics, estimate, posterior, start, unweighted
from voxid.scoring.speaker_statistics import SpeakerStatistics, class_sums


def variational_bayes(
    rows: NDArray, codes: NDArray, statistics: SpeakerStatistics, rank: int, nu: float, iterations: int
) -> tuple[Subspace, NDArray]:
    """Mean-field variational Bayes: the posteriors of speaker factors and of the precisions of rows are taken as independent.

    It starts from one iteration of EM of the Gaussian model. Both minimum-divergence steps of the paper are in it: for the
    factors, and for the scale of the noise.

    Args:
        rows: Embeddings [n, D].
        codes: Speaker of each row, 0 ... K - 1 [n].
        statistics: Those of `rows`.
        rank: Speaker factors.
        nu: Degrees of freedom of the noise.
        iterations: 0 or more.

    Returns:
        The model, and the lower bound of the log-likelihood before the first and after each iteration [iterations + 1]; it never
        falls.
    """
    origin = statistics.means.mean(axis=0)  # taken off first: sums about a far origin lose digits
    rows, first = rows - origin, start(statistics, rank)
    data = unweighted(statistics, origin)
    current, history = estimate(posterior(replace(first, mean=first.mean - origin), data), data), []
    for _ in range(iterations):
        squares = squared_noise(current, rows, codes)
        history.append(_bound(current, squares, statistics, nu))
        data = _weighted(rows, codes, expected_precisions(squares, rows.shape[1], nu), statistics)
        current = estimate(posterior(current.model, data), data)
    history.append(_bound(current, squared_noise(current, rows, codes), statistics, nu))
    return replace(current.model, mean=current.model.mean + origin), np.array(history)


def squared_noise(current: Estimate, rows: NDArray, codes: NDArray) -> NDArray:
    """Expected squared length of each row's noise [n] where `within` is the identity; D on average under the model."""
    root = np.linalg.cholesky(current.model.within)
    white = (rows - current.places[codes]) @ np.linalg.inv(root).T
    return np.einsum("nd,nd->n", white, white) + current.spread[codes]


def expected_precisions(squares: NDArray, dim: int, nu: float) -> NDArray:
    """Posterior mean of each row's precision [n] beside that of the model; 1 where the noise is as long as expected.

    Example:
        >>> expected_precisions(np.array([4.0, 40.0]), 4, 2.0).round(3).tolist()
        [1.0, 0.143]
    """
    return np.divide(1.0 + dim / nu, 1.0 + squares / nu)


def _weighted(rows: NDArray, codes: NDArray, weights: NDArray, statistics: SpeakerStatistics) -> WeightedStatistics:
    totals = np.bincount(codes, weights)
    means = class_sums(rows * weights[:, None], codes) / totals[:, None]
    inner = rows - means[codes]
    prior = statistics.prior * statistics.variance * np.eye(rows.shape[1])
    # The sum of the weights and not the number of rows is the minimum-divergence step for the scale of the noise. With a prior,
    # whose rows have no weights, it could make the bound fall.
    total = len(rows) + statistics.prior if statistics.prior else float(weights.sum())
    return WeightedStatistics(totals, means, (inner * weights[:, None]).T @ inner + prior, total)


def _bound(current: Estimate, squares: NDArray, statistics: SpeakerStatistics, nu: float) -> float:
    """Lower bound of the log-likelihood under the best precisions: those are integrated out exactly, which leaves a t density."""
    within, dim = current.model.within, current.model.mean.size
    log_determinant = float(np.linalg.slogdet(within)[1])
    shape = (nu + dim) / 2.0
    constant = math.lgamma(shape) - math.lgamma(nu / 2.0) - dim / 2.0 * math.log(nu / 2.0)
    density = squares.size * (constant - 0.5 * (dim * LOG_2PI + log_determinant)) - shape * float(np.log1p(squares / nu).sum())
    scatter = statistics.variance * float(np.trace(np.linalg.inv(within)))
    return density - current.divergence - 0.5 * statistics.prior * (dim * LOG_2PI + log_determinant + scatter)
