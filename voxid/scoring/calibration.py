"""Scores -> natural-log likelihood ratios, by the weights of a logistic regression; several systems are fused, quality counts.

A log-likelihood ratio above 0 speaks for the same speaker, below 0 against; how strongly is its distance from 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, DataError, ModelError
from voxid.scoring.labelled import columns_of, labels_of
from voxid.scoring.logistic import Logistic
from voxid.scoring.pav import PavCalibration as PavCalibration
from voxid.scoring.pav import fit_pav as fit_pav
from voxid.scoring.pav import pav as pav

# Of the squared weights of standardised scores: too little to move a fit in its sixth digit, enough that a weight stays finite
# where some threshold parts the classes without an error.
L2 = 1e-9


@dataclass(frozen=True)
class Calibration:
    """A weighted sum of scores and quality measures that is a natural-log likelihood ratio.

    Attributes:
        weights: One of each system, one of each quality measure, and with `products` one of each system times each measure.
        offset: What is added.
        systems: Names of the systems whose scores it takes, in order.
        quality: Names of the quality measures that it takes, in order.
        limits: Lowest and highest value of each quality measure where it was fitted; beyond them the nearer one is used.
        products: Whether the weight of a score depends on the quality too.
        bounds: Lowest and highest ratio that the trials it was fitted on support; what lies beyond is at most 1 beyond.
        p_target: The prior or priors that it was fitted for.
        source: Which trials it was fitted on.
    """

    weights: tuple[float, ...]
    offset: float
    systems: tuple[str, ...] = ("score",)
    quality: tuple[str, ...] = ()
    limits: tuple[tuple[float, float], ...] = ()
    products: bool = False
    bounds: tuple[float, float] = (-math.inf, math.inf)
    p_target: float | tuple[float, ...] = 0.01
    source: str = ""

    def llr(self, scores: ArrayLike, quality: ArrayLike | None = None) -> NDArray[np.float64]:
        """Natural-log likelihood ratios [N], at most 1 beyond `bounds`; higher = same speaker.

        Args:
            scores: [N], or [N, S] of several systems.
            quality: Quality measures [N, Q] where it takes any; see `quality.quality_matrix`.

        Raises:
            DataError: ``E_SHAPE``, or ``E_SCORES`` for NaN and infinity.

        Example:
            >>> Calibration(weights=(10.0,), offset=-4.0).llr([0.2, 0.5]).tolist()
            [-2.0, 1.0]
        """
        columns = columns_of(scores, f"scores of {', '.join(self.systems)}", len(self.systems))
        if self.quality:
            measures = _measures(quality, self.quality, len(columns)).clip(*np.array(self.limits).T)
            columns = _joined(columns, measures, self.products)
        return _held(columns @ np.array(self.weights) + self.offset, *self.bounds)

    def to_card(self) -> dict[str, Any]:
        """Plain data for a model's card.

        Example:
            >>> Calibration.from_card(Calibration((10.0,), -4.0).to_card()).offset
            -4.0
        """
        return {
            "kind": "logistic",
            "weights": list(self.weights),
            "offset": self.offset,
            "systems": list(self.systems),
            "quality": list(self.quality),
            "limits": [list(pair) for pair in self.limits],
            "products": self.products,
            "bounds": list(self.bounds) if np.isfinite(self.bounds).all() else None,
            "p_target": list(self.p_target) if isinstance(self.p_target, tuple) else self.p_target,
            "source": self.source,
        }

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Calibration:
        """What `to_card` gave.

        Raises:
            ModelError: ``E_FORMAT``.
        """
        try:
            found = _read(cls, card)
            numbers = np.array([*found.weights, found.offset, *np.ravel(found.limits)])
            if card["kind"] != "logistic" or not np.isfinite(numbers).all():
                raise ValueError("expected kind 'logistic' and finite numbers")
            systems, measures = len(found.systems), len(found.quality)
            needed = systems + measures + systems * measures * found.products
            if not systems or len(found.weights) != needed or len(found.limits) != measures:
                raise ValueError(f"expected {needed} weights for at least one system, and limits of {measures} quality measures")
            if not found.bounds[0] < found.bounds[1] or not all(low <= high for low, high in found.limits):
                raise ValueError("expected a lowest value below the highest")
        except (LookupError, TypeError, ValueError) as error:
            raise ModelError(f"the calibration in the card is malformed ({error}); calibrate again", "E_FORMAT") from error
        return found


def _held(llr: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Ratios as they are within the bounds, and less than 1 beyond: trials keep their order, a flat end would tie them."""
    above, below = np.maximum(llr - high, 0.0), np.maximum(low - llr, 0.0)
    return llr.clip(low, high) + above / (1.0 + above) - below / (1.0 + below)


def _read(cls: type[Calibration], card: Mapping[str, Any]) -> Calibration:
    prior, bounds = card["p_target"], card.get("bounds")
    return cls(
        weights=tuple(float(weight) for weight in card["weights"]),
        offset=float(card["offset"]),
        systems=tuple(str(name) for name in card["systems"]),
        quality=tuple(str(name) for name in card.get("quality", ())),
        limits=tuple((float(low), float(high)) for low, high in card.get("limits", ())),
        products=bool(card.get("products", False)),
        bounds=(-math.inf, math.inf) if bounds is None else (float(bounds[0]), float(bounds[1])),
        p_target=tuple(float(p) for p in prior) if isinstance(prior, list | tuple) else float(prior),
        source=str(card.get("source", "")),
    )


def read_calibration(card: Mapping[str, Any]) -> Calibration | PavCalibration:
    """The calibration that a card holds, of either kind.

    Raises:
        ModelError: ``E_FORMAT``.

    Example:
        >>> read_calibration({"kind": "pav", "scores": [0.0, 1.0], "llrs": [-2.0, 2.0]}).llr([0.5]).tolist()
        [0.0]
    """
    if not isinstance(card, Mapping) or card.get("kind") not in ("logistic", "pav"):
        raise ModelError("the calibration in the card is malformed: its kind is 'logistic' or 'pav'; calibrate again", "E_FORMAT")
    return (PavCalibration if card["kind"] == "pav" else Calibration).from_card(card)


def fit_calibration(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    quality: ArrayLike | None = None,
    products: bool = False,
    groups: ArrayLike | None = None,
    p_target: float | Sequence[float] = 0.01,
    systems: Sequence[str] = ("score",),
    quality_names: Sequence[str] = (),
    source: str = "",
    l2: float = L2,
) -> Calibration:
    """Calibration, or the fusion of several systems, by prior-weighted logistic regression; see `logistic.Logistic`.

    A weight below 0 is allowed: a distance becomes a log-likelihood ratio as well as a score does. Where the scores are all
    alike, the ratio is 0 for every trial. T targets and M non-targets support no ratio below -log(T + 1) or above log(M + 1), as
    by Laplace's rule, so these are the bounds: one wrong label, here or later, costs what it may and no more.

    Args:
        scores: [N], or [N, S] of several systems.
        labels: [N], 1 = same speaker.
        quality: Quality measures [N, Q] that the offset may depend on.
        products: Let the weights of the scores depend on them too.
        groups: What list each trial comes from [N]; within each class every list counts the same, whatever its size. The few
            trials of a short list then weigh much, wrong labels among them; without it every trial counts the same.
        p_target: Prior of a target trial where it matters most; of several the mean objective is minimised.
        systems, quality_names: Names of the columns.
        source: Which trials these are; kept in the card.
        l2: Weight of the penalty on the squared weights of standardised columns.

    Raises:
        DataError: ``E_SHAPE``, ``E_SCORES`` (NaN, infinity), ``E_LABELS`` or ``E_ONE_CLASS``, of a group too.
        ConfigError: A prior outside (0, 1), or a penalty that is not positive.

    Example:
        >>> found = fit_calibration([0.1, 0.2, 0.5, 0.4, 0.7, 0.8], [0, 0, 0, 1, 1, 1], p_target=0.5)
        >>> found.llr([0.4, 0.5, 0.9]).round(3).tolist()
        [-0.489, 0.489, 2.137]

    Platt, "Probabilistic outputs for support vector machines", 1999; Brümmer et al., "Fusion of heterogeneous speaker
    recognition systems in the STBU submission for the NIST SRE 2006", IEEE TASLP 2007.
    """
    priors = _priors(p_target)
    if not 0.0 < l2 < math.inf:
        raise ConfigError(f"l2 must be a positive number, got {l2}")
    columns = columns_of(scores, "scores", len(systems))
    measures = _measures(quality, quality_names, len(columns))
    targets = labels_of(labels, len(columns))
    shares = _shares(targets, groups)
    weights, offset = Logistic(_joined(columns, measures, products), targets, shares, priors, l2).fit()
    hits = int(targets.sum())
    return Calibration(
        weights=tuple(weights.tolist()),
        offset=offset,
        systems=tuple(systems),
        quality=tuple(quality_names),
        limits=tuple(zip(measures.min(axis=0).tolist(), measures.max(axis=0).tolist(), strict=True)),
        products=products,
        bounds=(-math.log(hits + 1), math.log(len(targets) - hits + 1)),
        p_target=float(p_target) if isinstance(p_target, int | float) else tuple(priors),
        source=source,
    )


def posterior(llr: ArrayLike, prior: float) -> NDArray[np.float64]:
    """Probability of the same speaker [...] from log-likelihood ratios [...] and the prior one; infinite ratios give 0 and 1.

    Example:
        >>> posterior([0.0, 4.6], 0.01).round(3).tolist()
        [0.01, 0.501]
    """
    odds = np.asarray(llr, dtype=np.float64) - bayes_threshold(prior)
    return np.exp(-np.logaddexp(0.0, -odds))


def bayes_threshold(p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """The log-likelihood ratio from which accepting costs less than rejecting.

    Args:
        p_target: Prior of a target trial, in (0, 1).
        c_miss, c_fa: Cost of a false reject and of a false accept, positive.

    Raises:
        ConfigError: A prior or a cost out of its range.

    Example:
        >>> round(bayes_threshold(0.01), 3)
        4.595
    """
    if not (0.0 < p_target < 1.0 and 0.0 < c_miss < math.inf and 0.0 < c_fa < math.inf):
        raise ConfigError(f"expected a prior within (0, 1) and positive costs, got {p_target}, {c_miss} and {c_fa}")
    return math.log(c_fa / c_miss) + math.log1p(-p_target) - math.log(p_target)


def _priors(p_target: float | Sequence[float]) -> list[float]:
    priors = [float(p) for p in np.atleast_1d(p_target)]
    if not priors or not all(0.0 < p < 1.0 for p in priors):
        raise ConfigError(f"p_target must lie within (0, 1), got {p_target}")
    return priors


def _joined(scores: NDArray, measures: NDArray, products: bool) -> NDArray:
    """Columns of scores [N, S], of measures [N, Q] and, if wanted, of every score times every measure [N, S Q]."""
    crossed = (scores[:, :, None] * measures[:, None, :]).reshape(len(scores), -1)
    return np.column_stack([scores, measures, crossed] if products else [scores, measures])


def _measures(quality: ArrayLike | None, names: Sequence[str], count: int) -> NDArray[np.float64]:
    """Quality measures [N, Q]; [N, 0] where none are named."""
    if quality is None and not names:
        return np.zeros((count, 0))
    if quality is None:
        raise DataError(f"the quality measures {', '.join(names)} are needed: give quality [N, {len(names)}]", "E_SHAPE")
    table = columns_of(quality, "quality measures", len(names))
    if len(table) != count:
        raise DataError(f"expected quality measures of {count} trials, got {len(table)}", "E_SHAPE")
    return table


def _shares(targets: NDArray, groups: ArrayLike | None) -> NDArray[np.float64]:
    """What each trial counts: alike within its class and group, and 1 in all for each class."""
    lists = np.zeros(len(targets), np.intp)
    if groups is not None:
        names, lists = np.unique(np.asarray(groups), return_inverse=True)
        if lists.shape != targets.shape:
            raise DataError(f"expected a group for each of {len(targets)} trials, got {list(lists.shape)}", "E_SHAPE")
    cell = lists * 2 + targets
    counts = np.bincount(cell, minlength=2 * int(lists.max()) + 2)
    if not counts.all():
        lacking = names[int(np.flatnonzero(counts == 0)[0]) // 2]
        raise DataError(f"every group needs trials of both classes, {lacking!s} has one only", "E_ONE_CLASS")
    return 1.0 / (counts[cell] * (len(counts) // 2))
