"""Cohorts: rows of other speakers, and what the scores of a recording with them look like."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, DataError, did_you_mean
from voxid.scoring.bilinear import Bilinear
from voxid.scoring.checks import as_codes, as_counts, as_rows
from voxid.scoring.enrolment import speaker_means
from voxid.scoring.top_scores import chunk_layout, spread_columns, top_statistics

log = logging.getLogger("voxid")

# Cohort scores held at a time: 32 MiB, or one row where that is more. The cohort is packed anew for each block's product.
BLOCK = 1 << 23

Side = Literal["enrol", "test"]
Statistics = tuple[NDArray, NDArray]


class Scorer(Protocol):
    """What a cohort is scored with."""

    def score_matrix(self, enrol: ArrayLike, test: ArrayLike, counts: ArrayLike | None = None) -> NDArray:
        """Scores [n, m] of enrolment rows [n, D] with test rows [m, D]."""


def cohort_of(embeddings: ArrayLike, speakers: ArrayLike) -> NDArray:
    """A cohort from training data: the mean of each speaker [K, D], each recording counted alike, in the order of sorted labels.

    Args:
        embeddings: One row per recording [n, D].
        speakers: Labels of any kind [n].

    Raises:
        DataError: ``E_SHAPE``, ``E_EMBEDDING``, ``E_SPEAKERS``.

    Example:
        >>> cohort_of([[2.0, 0.0], [0.0, 3.0], [5.0, 0.0]], ["b", "b", "a"]).tolist()
        [[5.0, 0.0], [1.25, 1.25]]
    """
    rows = as_rows(embeddings)
    codes, _ = as_codes(speakers, len(rows))
    return speaker_means(rows, codes)


def cohort_statistics(
    scorer: Scorer,
    rows: ArrayLike,
    cohort: ArrayLike,
    *,
    side: Side,
    top: int | None = None,
    counts: ArrayLike | None = None,
) -> Statistics:
    """Mean [n] and population standard deviation [n] of the scores of each row with a cohort, float64.

    Scores are made and used block by block: `BLOCK` of them (32 MiB) or one row's, whatever the number of rows. Beside them are
    held the rows and the cohort, as the scorer prepares them.

    Args:
        scorer: Anything with `score_matrix`; a `Bilinear` one prepares its sides once instead of once for each block.
        rows: The rows [n, D].
        cohort: Rows of other speakers [C, D], C >= 2; each is taken as one recording.
        side: Which side of the scorer `rows` are on; the cohort is on the other.
        top: How many of the highest scores count, 2 or more; None = all. A smaller cohort counts whole, with a warning.
        counts: For the side ``enrol``: how many recordings each row is the mean of [n].

    Raises:
        DataError: ``E_SHAPE``, ``E_EMBEDDING``; ``E_SCORES`` for scores that are NaN or infinite.
        ConfigError: Unknown side, or a `top` below 2.
    """
    if side not in ("enrol", "test"):
        raise ConfigError(f"unknown side {side!r}: {did_you_mean(str(side), ('enrol', 'test'))}")
    own, others = as_rows(rows), as_cohort(cohort)
    repeats = as_counts(counts, len(own))
    if top is not None:
        top = top_within(top, len(others))
        others = others[spread_columns(len(others))]
    mean, std = np.empty(len(own)), np.empty(len(own))
    for part, scores in _blocks(scorer, own, others, side, repeats):
        mean[part], std[part] = _all_statistics(scores[:, : len(others)]) if top is None else top_statistics(scores, top)
    if not (np.isfinite(mean).all() and np.isfinite(std).all()):
        raise DataError("the scores with the cohort have NaN or infinity in them: look at the scorer and the cohort", "E_SCORES")
    return mean, std


def is_symmetric(scorer: Scorer, rows: NDArray, cohort: NDArray) -> bool:
    """Whether both sides of the scorer make the same of these rows: then their statistics are the same, too."""
    if not isinstance(scorer, Bilinear):
        return False
    for given in (rows, cohort):
        left, left_offset, right, right_offset = scorer._sides(given, given, None)
        if not (np.array_equal(left, right) and np.array_equal(left_offset, right_offset)):
            return False
    return True


def as_cohort(cohort: ArrayLike) -> NDArray:
    """Rows of a cohort [C, D] as finite float64.

    Raises:
        DataError: ``E_SHAPE``, fewer than 2 rows too; ``E_EMBEDDING``.
    """
    rows = as_rows(cohort, what="cohort rows")
    if len(rows) < 2:
        raise DataError(f"a cohort needs 2 rows or more, better some hundreds of speakers, got {len(rows)}", "E_SHAPE")
    return rows


def top_within(top: int, count: int) -> int:
    """`top`, or `count` and a warning in the log where the cohort is smaller."""
    check_top(top)
    if top > count:
        log.warning("score normalisation: the cohort has %d rows, fewer than top=%d: all of them count", count, top)
    return min(top, count)


def check_top(top: Any) -> None:
    """Raise `ConfigError` unless `top` is 2 or more: one score has no spread."""
    if isinstance(top, bool) or not isinstance(top, (int, np.integer)) or top < 2:
        raise ConfigError(f"top is how many of the highest cohort scores count, 2 or more, got {top!r}")


def _all_statistics(scores: NDArray[np.float32]) -> Statistics:
    """Mean and standard deviation of whole rows [b, C]; the scores are overwritten."""
    ones, count = np.ones(scores.shape[1], dtype=np.float32), scores.shape[1]
    rough = (scores @ ones) / np.float32(count)
    with np.errstate(invalid="ignore"):  # infinity less infinity: the caller refuses the NaN
        scores -= rough[:, None]
    # The sums of float32 are taken around a mean that is right to six digits: what is left of it is found in a second look.
    rest = (scores @ ones).astype(np.float64) / count
    variance = np.vecdot(scores, scores).astype(np.float64) / count - rest * rest
    return rough + rest, np.sqrt(np.maximum(variance, 0.0))


def _blocks(scorer: Scorer, rows: NDArray, cohort: NDArray, side: Side, counts: NDArray) -> Iterator[tuple[slice, NDArray]]:
    """Slices of the rows with their scores [b, W] float32: C columns, then -inf up to the width of `chunk_layout`."""
    columns, width = len(cohort), math.prod(chunk_layout(len(cohort)))
    step = max(1, BLOCK // width)
    block = np.empty((min(step, len(rows)), width), dtype=np.float32)
    if isinstance(scorer, Bilinear):
        fill = _by_sides(scorer, rows, cohort, side, counts)
    else:
        fill = _by_matrix(scorer, rows, cohort, side, counts)
    for start in range(0, len(rows), step):
        part = slice(start, min(start + step, len(rows)))
        scores = block[: part.stop - start]
        scores[:, columns:] = -np.inf  # each time: sorting moved the last ones
        fill(part, scores[:, :columns])
        yield part, scores


def _by_sides(scorer: Bilinear, rows: NDArray, cohort: NDArray, side: Side, counts: NDArray) -> Callable[[slice, NDArray], None]:
    """What writes the scores of a slice of rows: one product of matrices, of sides that are prepared here."""
    if side == "enrol":
        own, own_offset, other, other_offset = (_single(values) for values in scorer._sides(rows, cohort, counts))
    else:
        other, other_offset, own, own_offset = (_single(values) for values in scorer._sides(cohort, rows, None))
    columns = np.ascontiguousarray(other.T)  # quicker to pack

    def fill(part: slice, scores: NDArray) -> None:
        np.matmul(own[part], columns, out=scores)
        if own_offset.any():
            scores += own_offset[part, None]
        if other_offset.any():
            scores += other_offset

    return fill


def _single(values: NDArray) -> NDArray[np.float32]:
    return np.asarray(values, dtype=np.float32)


def _by_matrix(scorer: Scorer, rows: NDArray, cohort: NDArray, side: Side, counts: NDArray) -> Callable[[slice, NDArray], None]:
    def fill(part: slice, scores: NDArray) -> None:
        if side == "enrol":
            made = np.asarray(scorer.score_matrix(rows[part], cohort, counts[part]))
        else:
            made = np.asarray(scorer.score_matrix(cohort, rows[part])).T
        if made.shape != scores.shape:
            raise DataError(f"the scorer gave scores {list(made.shape)} where {list(scores.shape)} are due", "E_SHAPE")
        scores[:] = made

    return fill
