"""A cohort of nobody: rows drawn like the means of real speakers, so that a file with a cohort holds no voice of anyone."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, DataError
from voxid.scoring.checks import as_codes, as_rows
from voxid.scoring.enrolment import speaker_means


def drawn_cohort(
    embeddings: ArrayLike, speakers: ArrayLike, *, size: int, groups: ArrayLike | None = None, seed: int = 0
) -> NDArray:
    """Rows [C, D] drawn from the normal distribution of the speakers' means, one distribution for each group.

    An embedding is biometric data. Score normalisation needs to know how other speakers lie, not who they are.

    Args:
        embeddings, speakers: Training rows [n, D] and a label for each [n].
        size: C; every group has its share of it, by its speakers.
        groups: Label of the domain of each row [n], e.g. corpus or language; a speaker belongs to that of the first row.
        seed: Of the draws.

    Raises:
        DataError: ``E_SHAPE``, ``E_EMBEDDING``, ``E_SPEAKERS``; ``E_COHORT``: a group with fewer than 3 speakers.
        ConfigError: A size below 2.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> drawn_cohort(rng.normal(size=(40, 3)) + 5, np.arange(40), size=1000).mean(axis=0).round().tolist()
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
    centre = means.mean(axis=0)
    # A normal draw with the covariance of the means: they themselves, mixed by normal weights.
    weights = rng.normal(size=(size, len(means))) / np.sqrt(len(means) - 1)
    return centre + weights @ (means - centre)
