"""What Gaussian back-ends need to know of labelled embeddings: counts, means, scatter within speakers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, DataError
from voxid.scoring.checks import as_codes, as_rows

# Below this ratio of its smallest to its largest variance, a covariance is taken as singular: rounding would decide the scores.
SINGULAR = 1e-7
# Where that ratio was asked for, only what cannot be inverted at all is refused.
ROUNDING = 1e-13


@dataclass(frozen=True)
class SpeakerStatistics:
    """Counts, means and scatter of labelled rows.

    Args:
        counts: Rows of each speaker [K], float64.
        means: Mean row of each speaker [K, D].
        scatter: Squared differences of rows from their speaker's mean, summed [D, D]; `prior` is in it.
        degrees: Degrees of freedom of `scatter`: rows less speakers, and `prior`.
        prior: How many rows of a sphere were added to `scatter` (see `speaker_statistics`).
        variance: Variance of that sphere in each direction: the mean one within speakers.
    """

    counts: NDArray
    means: NDArray
    scatter: NDArray
    degrees: float
    prior: float = 0.0
    variance: float = 0.0

    @property
    def within(self) -> NDArray:
        """Pooled covariance within speakers [D, D], unbiased where there is no prior."""
        return self.scatter / self.degrees


def speaker_statistics(embeddings: ArrayLike, speakers: ArrayLike, shrinkage: float | None = None) -> SpeakerStatistics:
    """Statistics of rows [n, D] with labels [n].

    The covariance within speakers must be invertible. With few rows, or rows that fill a subspace only, it is not. The way out
    is a prior: `prior` more rows of a sphere that has the mean variance within speakers. Their share of the pooled covariance is
    the `shrinkage`.

    Args:
        embeddings: One row per recording [n, D].
        speakers: Labels [n].
        shrinkage: Share of the sphere, 0 up to but not including 1. None: no prior where the covariance is well-conditioned,
            and D rows otherwise.

    Raises:
        DataError: ``E_SHAPE``, ``E_EMBEDDING``; ``E_SPEAKERS`` for one speaker only, no speaker with two rows, no difference
            between rows, or a `shrinkage` that leaves the covariance singular.

    Example:
        >>> speaker_statistics([[0.0], [2.0], [5.0], [7.0]], ["a", "a", "b", "b"]).within.tolist()
        [[2.0]]
    """
    rows = as_rows(embeddings)
    codes, classes = as_codes(speakers, len(rows))
    if classes < 2 or classes == len(rows):
        raise DataError(
            f"expected two speakers or more, one of them with two recordings or more, got {classes} speakers in {len(rows)} rows",
            "E_SPEAKERS",
        )
    counts = np.bincount(codes).astype(np.float64)
    means = class_sums(rows, codes) / counts[:, None]
    inner = rows - means[codes]
    with np.errstate(over="ignore", invalid="ignore"):  # said as an error below
        scatter = inner.T @ inner
    return _with_prior(counts, means, scatter, rows, shrinkage)


def class_sums(rows: NDArray, codes: NDArray) -> NDArray:
    """Sums [K, D] of the rows [n, D] of each class; `codes` [n] are 0 ... K - 1, each there at least once."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(codes.max() + 1))
    return np.add.reduceat(rows[order], starts, axis=0)


def check_shrinkage(shrinkage: float | None) -> None:
    """Raise `ConfigError` unless it is None or a share below 1."""
    if shrinkage is not None and not 0.0 <= shrinkage < 1.0:
        raise ConfigError(f"shrinkage must be 0 or more and below 1, or null, got {shrinkage!r}")


def _with_prior(counts: NDArray, means: NDArray, scatter: NDArray, rows: NDArray, shrinkage: float | None) -> SpeakerStatistics:
    dim = len(scatter)
    degrees = float(len(rows) - len(counts))
    variance = float(np.trace(scatter)) / (dim * degrees)
    if not np.isfinite(variance):
        raise DataError("expected embeddings whose squares are finite numbers: scale them down", "E_EMBEDDING")
    # Rounding alone gives equal rows a variance of about 1e-32 of their size.
    if not variance > 1e-24 * float(np.mean(rows * rows)):
        raise DataError("the recordings of each speaker are all equal: there is nothing to learn from", "E_SPEAKERS")
    prior = _prior_rows(scatter, degrees, variance, shrinkage)
    scatter = scatter + prior * variance * np.eye(dim)
    return SpeakerStatistics(counts, means, scatter, degrees + prior, prior, variance)


def _prior_rows(scatter: NDArray, degrees: float, variance: float, shrinkage: float | None) -> float:
    spread = np.linalg.eigvalsh(scatter)
    if shrinkage is None:
        return 0.0 if spread[0] > SINGULAR * spread[-1] else float(len(scatter))
    prior = degrees * shrinkage / (1.0 - shrinkage)
    if spread[0] + prior * variance <= ROUNDING * spread[-1]:
        raise DataError(
            f"with shrinkage={shrinkage} the covariance within speakers is singular: too few rows, or rows that fill a subspace; "
            "leave it at null, or take more, 0.1 say",
            "E_SPEAKERS",
        )
    return prior
