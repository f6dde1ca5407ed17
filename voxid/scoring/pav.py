"""Pool adjacent violators: the best non-decreasing map from scores to log-likelihood ratios that given trials allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import DataError, ModelError
from voxid.scoring.labelled import columns_of, labels_of

# Blocks that a calibration keeps at most; a block has two knots.
MAX_BLOCKS = 128


@dataclass(frozen=True)
class Blocks:
    """Neighbouring scores that share one log-likelihood ratio, by rising score; each array is [K].

    Attributes:
        low, high: Lowest and highest score of a block.
        targets, nontargets: Trials in it.
    """

    low: NDArray
    high: NDArray
    targets: NDArray
    nontargets: NDArray

    def llr(self) -> NDArray:
        """Natural-log likelihood ratio of each block [K], rising; -inf or inf where it holds trials of one class only."""
        with np.errstate(divide="ignore"):
            return np.log(self.targets / self.targets.sum()) - np.log(self.nontargets / self.nontargets.sum())


def pav(scores: ArrayLike, labels: ArrayLike) -> Blocks:
    """Isotonic regression of the labels on the scores; tied scores stay together.

    Its cost is that of sorting. Infinite scores are the lowest and the highest.

    Raises:
        DataError: ``E_SHAPE``, ``E_SCORES`` (NaN or no numbers), ``E_LABELS`` or ``E_ONE_CLASS``.

    Example:
        >>> blocks = pav([0.1, 0.2, 0.3, 0.4], [0, 1, 0, 1])
        >>> blocks.low.tolist(), blocks.high.tolist(), blocks.targets.tolist()
        ([0.1, 0.2, 0.4], [0.1, 0.3, 0.4], [0, 1, 1])

    Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass probability estimates", KDD 2002.
    """
    values = np.asarray(scores)
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise DataError(f"expected scores [N] that are real numbers, got {values.dtype} {list(values.shape)}", "E_SHAPE")
    marks = labels_of(labels, len(values))
    if np.isnan(values).any():
        raise DataError(f"expected scores without NaN, got {int(np.isnan(values).sum())} of {values.size}", "E_SCORES")
    distinct, targets, nontargets = _by_score(values, marks)
    starts = _pool(targets, nontargets)
    ends = np.append(starts[1:], len(distinct)) - 1
    return Blocks(distinct[starts], distinct[ends], np.add.reduceat(targets, starts), np.add.reduceat(nontargets, starts))


def _by_score(values: NDArray, marks: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Distinct scores, rising, with the targets and the non-targets that have them."""
    order = np.argsort(values)
    values, marks = values[order], marks[order]
    starts = np.append(0, np.flatnonzero(values[1:] != values[:-1]) + 1)
    targets = np.add.reduceat(marks.astype(np.int64), starts)
    return values[starts], targets, np.diff(np.append(starts, len(values))) - targets


def _pool(targets: NDArray, nontargets: NDArray) -> NDArray:
    """Where the blocks start, once neighbours that fall are pooled."""
    from scipy.optimize import isotonic_regression  # importing a room must stay cheap

    total = (targets + nontargets).astype(np.float64)
    fit = isotonic_regression(targets / total, weights=total)
    starts = fit.blocks[:-1].astype(np.intp)
    hits, misses = np.add.reduceat(targets, starts), np.add.reduceat(nontargets, starts)
    # Blocks of one and the same rate stay apart by rounding only: the counts are exact, and such neighbours become one.
    rises = hits[1:] * misses[:-1] > hits[:-1] * misses[1:]
    return starts[np.append(True, rises)]


@dataclass(frozen=True)
class PavCalibration:
    """A rising map from one score to a natural-log likelihood ratio, straight between its knots and level beyond them.

    Attributes:
        scores, llrs: The knots [K], both rising; what lies between two knots is interpolated.
        source: Which trials it was fitted on.
    """

    scores: tuple[float, ...]
    llrs: tuple[float, ...]
    source: str = ""

    def llr(self, scores: ArrayLike, quality: ArrayLike | None = None) -> NDArray:
        """Natural-log likelihood ratios [N] of scores [N]; always finite. It has no use for `quality`.

        Raises:
            DataError: ``E_SHAPE``, or ``E_SCORES`` for NaN and infinity.
        """
        return np.interp(columns_of(scores, "scores", 1)[:, 0], self.scores, self.llrs)

    def to_card(self) -> dict[str, Any]:
        """Plain data for a model's card."""
        return {"kind": "pav"} | {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> PavCalibration:
        """What `to_card` gave.

        Raises:
            ModelError: ``E_FORMAT``.
        """
        try:
            knots = np.array([card["scores"], card["llrs"]], dtype=np.float64)
            valid = card["kind"] == "pav" and knots.ndim == 2 and knots.size and np.isfinite(knots).all()
            if not valid or (np.diff(knots, axis=1) < 0).any():
                raise ValueError("its knots are two rising rows of numbers")
        except (LookupError, TypeError, ValueError) as error:
            raise ModelError(f"no PAV calibration of a card: {error}; calibrate again", "E_FORMAT") from error
        return cls(tuple(knots[0].tolist()), tuple(knots[1].tolist()), str(card.get("source", "")))


def fit_pav(scores: ArrayLike, labels: ArrayLike, *, source: str = "") -> PavCalibration:
    """A `PavCalibration` of trials: it follows any rising relation, and needs many more trials than a straight line.

    A target and a non-target are added below the lowest and above the highest score (Laplace's rule), so that no ratio is
    infinite: n trials never support one beyond about log n. Where there are more than 128 blocks, neighbours are pooled, which
    moves a ratio by no more than 1/128 of the whole range.

    Args:
        scores: [N], finite; higher = same speaker.
        labels: [N], 1 = same speaker.
        source: Which trials these are; kept in the card.

    Raises:
        DataError: ``E_SHAPE``, ``E_SCORES``, ``E_LABELS`` or ``E_ONE_CLASS``.

    Example:
        >>> fit_pav([0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]).llr([0.0, 0.25, 9.0]).round(3).tolist()
        [-1.099, 0.0, 1.099]

    Brümmer and de Villiers, "The BOSARIS Toolkit: theory, algorithms and code", 2011.
    """
    values = columns_of(scores, "scores", 1)[:, 0]
    marks = labels_of(labels, len(values))
    ends = [-np.inf, -np.inf, np.inf, np.inf]
    blocks = _fewer(pav(np.append(values, ends), np.append(marks, [True, False, True, False])))
    # The trials that were added have no place on the axis of scores: their blocks end at the real ones.
    real = (blocks.high >= values.min()) & (blocks.low <= values.max())
    edges = np.column_stack([blocks.low, blocks.high])[real].clip(values.min(), values.max()).ravel()
    knots, first = np.unique(edges, return_index=True)
    llrs = np.repeat(blocks.llr()[real], 2)[first]
    return PavCalibration(tuple(knots.tolist()), tuple(llrs.tolist()), source)


def _fewer(blocks: Blocks) -> Blocks:
    """At most `MAX_BLOCKS` blocks: those whose ratios share one of so many equal steps are pooled."""
    llr = blocks.llr()
    if len(llr) <= MAX_BLOCKS:
        return blocks
    step = np.floor((llr - llr[0]) / (llr[-1] - llr[0]) * MAX_BLOCKS).clip(max=MAX_BLOCKS - 1)
    starts = np.append(0, np.flatnonzero(np.diff(step)) + 1)
    ends = np.append(starts[1:], len(llr)) - 1
    targets, nontargets = (np.add.reduceat(part, starts) for part in (blocks.targets, blocks.nontargets))
    return Blocks(blocks.low[starts], blocks.high[ends], targets, nontargets)
