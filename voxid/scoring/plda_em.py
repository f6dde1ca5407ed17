"""Training of PLDA: in closed form by moments, or by maximum likelihood (EM).

EM works on embedding = mean + factors z + noise, z ~ N(0, I) [R], noise ~ N(0, within / weight of the row). With all weights 1
this is Gaussian PLDA, two-covariance (R = D) or simplified (R < D); heavy-tailed PLDA finds a weight for each row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from voxid.scoring.speaker_statistics import SpeakerStatistics
from voxid.scoring.two_covariance import TwoCovariance

LOG_2PI = math.log(2.0 * math.pi)
# Least variance between speakers that EM starts from, as a share of the mean one: EM never leaves an exact zero.
FLOOR = 0.01


@dataclass(frozen=True)
class Subspace:
    """Parameters: mean [D], factors [D, R], and the covariance of the noise of a row of weight 1, within [D, D]."""

    mean: NDArray
    factors: NDArray
    within: NDArray

    def diagonal(self) -> TwoCovariance:
        """The same model as two covariances; dimensions beyond the rank have no variance between speakers."""
        return TwoCovariance.of(self.mean, self.within, self.factors @ self.factors.T).truncated(self.factors.shape[1])


@dataclass(frozen=True)
class WeightedStatistics:
    """Of rows with weights.

    Args:
        weights: Sum of each speaker's weights [K].
        means: Weighted mean of each speaker [K, D].
        scatter: Weighted squared differences of rows from it, and of a prior, summed [D, D].
        rows: What their sum is divided by for a covariance.
    """

    weights: NDArray
    means: NDArray
    scatter: NDArray
    rows: float


@dataclass(frozen=True)
class Posterior:
    """Of the factors of K speakers, turned so that they are independent: Gaussians of `means` and `variances` [K, R].

    Args:
        linear: Natural parameter that goes with `means` [K, R].
        log_determinant: Of `within`.
        noise: The noise's squared length summed over rows where all factors are 0.
    """

    means: NDArray
    variances: NDArray
    linear: NDArray
    log_determinant: float
    noise: float


@dataclass(frozen=True)
class Estimate:
    """A new model and what it says of the training speakers under the posterior that it came from.

    Args:
        places: Expected mean row of each speaker [K, D].
        spread: How much the doubt about it adds to a row's squared noise, in units of the new `within` [K].
        divergence: Of the posterior from N(0, I), summed over speakers, nats.
    """

    model: Subspace
    places: NDArray
    spread: NDArray
    divergence: float


def moments(statistics: SpeakerStatistics) -> TwoCovariance:
    """Closed form: the pooled covariance within speakers; that of the speakers' means, less what within adds to it.

    The difference is projected to a covariance in the space where `within` is the identity: negative variances become 0.
    """
    mean = statistics.means.mean(axis=0)
    away = statistics.means - mean
    of_means = away.T @ away / (len(away) - 1)
    between = of_means - statistics.within * float(np.mean(1.0 / statistics.counts))
    return TwoCovariance.of(mean, statistics.within, between)


def start(statistics: SpeakerStatistics, rank: int) -> Subspace:
    """From the closed form: its `rank` largest variances between speakers, none of them too small to grow."""
    model = moments(statistics)
    psi = model.psi[:rank]
    average = float(psi.mean())
    psi = np.maximum(psi, FLOOR * (average if average > 0 else 1.0))
    return Subspace(model.mean, np.linalg.inv(model.transform)[:, :rank] * np.sqrt(psi), statistics.within)


def expectation_maximisation(statistics: SpeakerStatistics, rank: int, iterations: int) -> tuple[Subspace, NDArray]:
    """Maximum likelihood of mean, factors and within by EM with minimum divergence; a speaker costs O(R D).

    Returns:
        The model, and the log-likelihood before the first and after each iteration [iterations + 1]; it never falls.
    """
    origin = statistics.means.mean(axis=0)  # taken off first: sums about a far origin lose digits
    data = unweighted(statistics, origin)
    model = start(statistics, rank)
    model, history = replace(model, mean=model.mean - origin), []
    for _ in range(iterations):
        seen = posterior(model, data)
        history.append(log_likelihood(seen, data))
        model = estimate(seen, data).model
    history.append(log_likelihood(posterior(model, data), data))
    return replace(model, mean=model.mean + origin), np.array(history)


def unweighted(statistics: SpeakerStatistics, origin: NDArray) -> WeightedStatistics:
    """All weights 1, `origin` [D] taken off."""
    rows = statistics.degrees + len(statistics.counts)
    return WeightedStatistics(statistics.counts, statistics.means - origin, statistics.scatter, rows)


def posterior(model: Subspace, data: WeightedStatistics) -> Posterior:
    """Of the factors of all speakers, along axes in which they are independent."""
    root = np.linalg.cholesky(model.within)
    white = np.linalg.solve(root, model.factors)
    precisions, axes = np.linalg.eigh(white.T @ white)
    precisions = np.maximum(precisions, 0.0)
    away, weights = data.means - model.mean, data.weights[:, None]
    linear = weights * away @ np.linalg.solve(root.T, white @ axes)
    variances = 1.0 / (1.0 + weights * precisions)
    noise = float(np.trace(np.linalg.solve(model.within, data.scatter + (weights * away).T @ away)))
    log_determinant = 2.0 * float(np.log(np.diag(root)).sum())
    return Posterior(variances * linear, variances, linear, log_determinant, noise)


def estimate(seen: Posterior, data: WeightedStatistics) -> Estimate:
    """The model that fits best under a posterior (M-step, then minimum divergence)."""
    known, weights = np.column_stack([seen.means, np.ones(len(seen.means))]), data.weights[:, None]
    doubt = data.weights @ seen.variances
    square = (weights * known).T @ known + np.diag([*doubt, 0.0])
    fitted = np.linalg.solve(square, (weights * known).T @ data.means)  # [R + 1, D]: the factors, then the mean
    factors, mean, places = fitted[:-1].T, fitted[-1], known @ fitted
    # A sum of squares, and not a difference of moments: it stays a covariance, however small the noise is.
    rest = data.means - places
    within = (data.scatter + (weights * rest).T @ rest + (factors * doubt) @ factors.T) / data.rows
    model, divergence = _minimum_divergence(Subspace(mean, factors, (within + within.T) / 2), seen)
    gains = np.einsum("dr,dr->r", factors, np.linalg.solve(within, factors))
    return Estimate(model, places, seen.variances @ gains, divergence)


def log_likelihood(seen: Posterior, data: WeightedStatistics) -> float:
    """Natural log of the density of all rows where every weight is 1."""
    dim = data.means.shape[1]
    speakers = float(np.log(seen.variances).sum()) + float(np.einsum("kr,kr->", seen.means, seen.linear))
    return -0.5 * (data.rows * (dim * LOG_2PI + seen.log_determinant) + seen.noise - speakers)


def _minimum_divergence(model: Subspace, seen: Posterior) -> tuple[Subspace, float]:
    """The same distribution of rows, with factors whose average posterior is N(0, I): EM takes far fewer iterations so."""
    centre = seen.means.mean(axis=0)
    away = seen.means - centre
    root = np.linalg.cholesky(away.T @ away / len(away) + np.diag(seen.variances.mean(axis=0)))
    model = replace(model, mean=model.mean + model.factors @ centre, factors=model.factors @ root)
    spread = 2.0 * len(away) * float(np.log(np.diag(root)).sum())
    return model, 0.5 * (spread - float(np.log(seen.variances).sum()))
