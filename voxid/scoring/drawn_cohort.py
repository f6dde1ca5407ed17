"""A cohort of nobody: rows drawn like the means of real speakers, so that a file with a cohort holds no voice of anyone."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, DataError
from voxid.scoring.checks import as_codes, as_rows
from voxid.scoring.enrolment import speaker_means

SPHERE = 0.1  # share of the variance that is spread alike over all directions


def drawn_cohort(
    embeddings: ArrayLike, speakers: ArrayLike, *, size: int, groups: ArrayLike | None = None, seed: int | None = None
) -> NDArray:
    """Rows [C, D] drawn from the normal distribution of the speakers' means, one distribution for each group.

    An embedding is biometric data. Score normalisation needs to know how other speakers lie, not who they are. Only the mean and
    the covariance of a group enter, a tenth of it made a sphere: a group with fewer speakers than D would else be known by the
    space that its rows span. Give no seed for rows that leave the house: whoever knows it can solve for both exactly.

    Args:
        embeddings, speakers: Training rows [n, D] and a label for each [n].
        size: C; every group has its share of it, by its speakers.
        groups: Label of the domain of each row [n], e.g. corpus or language; a speaker belongs to that of the first row.
        seed: Of the draws; None = out of the system's own randomness, never the same twice.

    Raises:
        DataError: ``E_SHAPE``, ``E_EMBEDDING``, ``E_SPEAKERS``; ``E_COHORT``: a group with fewer than 3 speakers.
        ConfigError: A size below 2.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> drawn_cohort(rng.normal(size=(40, 3)) + 5, np.arange(40), size=1000, seed=0).mean(axis=0).round().tolist()
        [5.0, 5.0, 5.0]
    """
    if size < 2:
        raise ConfigError(f"a cohort needs 2 rows or more, asked for {size}")
    rows = as_rows(embeddings)
    codes, _ = as_codes(speakers, len(rows))
    means = speaker_means(rows, codes)
    domain = np.zeros(len(means), np.intp)
    if groups is not None:
        domain = as_codes(groups, len(rows))[0][np.unique(codes, return_index=True)[1]]
        domain = np.unique(domain, return_inverse=True)[1]  # groups that no speaker's first row is in
    counts = np.bincount(domain)
    if counts.min() < 3:
        raise DataError(f"a cohort is drawn from groups of 3 speakers or more, one has {counts.min()}", "E_COHORT")
    rng = np.random.default_rng(seed)
    ends = np.rint(size * np.cumsum(counts) / counts.sum()).astype(int)
    shares = np.diff(ends, prepend=0)
    return np.concatenate([_drawn(means[domain == group], share, rng) for group, share in enumerate(shares)])


def _drawn(means: NDArray, size: int, rng: np.random.Generator) -> NDArray:
    # Through the covariance and not by mixing the means: from as many mixtures as speakers the means could be solved for.
    centre = means.mean(axis=0)
    covariance = np.atleast_2d(np.cov(means, rowvar=False))
    sphere = SPHERE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, axes = np.linalg.eigh((1.0 - SPHERE) * covariance + sphere)
    root = axes * np.sqrt(values.clip(min=0.0))
    return centre + rng.normal(size=(size, len(centre))) @ root.T
