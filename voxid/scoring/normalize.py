"""Score normalisation against a cohort of other speakers: Z, T, S and AS-norm. Higher = same speaker, before and after.

The scores of a recording with a cohort say what a score of *another* speaker looks like for it. A score less their mean, over
their standard deviation, can be compared across recordings:

- ``z``: by the enrolment's scores with the cohort as tests;
- ``t``: by the test's scores with the cohort as enrolments;
- ``s``: half the sum of both;
- ``as``: as ``s``, each side by its own `top` highest scores (the variant called AS-norm1 by Matejka et al.).

Standard deviations are of the population (divided by their number) and never below `FLOOR`.

Reynolds et al. and Auckenthaler et al. (Z, T), Digital Signal Processing 10, 2000; Kenny, "Bayesian speaker verification with
heavy-tailed priors", Odyssey 2010 (S); Matejka et al., "Analysis of score normalization in multilingual speaker recognition",
Interspeech 2017 (AS).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, DataError, did_you_mean
from voxid.registry import call
from voxid.scoring.checks import as_index, as_rows
from voxid.scoring.cohort import Scorer, Statistics, as_cohort, check_top, cohort_statistics, is_symmetric, top_within
from voxid.scoring.cohort import cohort_of as cohort_of

NORMS = ("z", "t", "s", "as")
# Under a standard deviation, in units of the score: a recording that scores alike with the whole cohort must not divide by 0.
FLOOR = 1e-5


class ScoreNorm:
    """A kind of score normalisation: the statistics it needs, and what it makes of scores.

    Args:
        kind: ``z``, ``t``, ``s`` or ``as``.
        top: For ``as``: how many of the highest cohort scores of each side count; a smaller cohort counts whole.

    Raises:
        ConfigError: Unknown kind, or a `top` below 2.

    Example:
        >>> ScoreNorm("as", top=200).spec
        {'name': 'as', 'top': 200}
    """

    def __init__(self, kind: str = "as", top: int = 300) -> None:
        _check_kind(kind)
        check_top(top)
        self.kind = kind
        self.top = top

    @property
    def spec(self) -> dict[str, Any]:
        """Plain data from which `build_norm` makes an equal one."""
        return {"name": self.kind, "top": self.top} if self.kind == "as" else {"name": self.kind}

    def statistics(
        self, scorer: Scorer, enrol: ArrayLike, test: ArrayLike, cohort: ArrayLike, counts: ArrayLike | None = None
    ) -> tuple[Statistics | None, Statistics | None]:
        """Mean and standard deviation of each side's cohort scores, ([n], [n]) and ([m], [m]); None for a side without use.

        Args:
            scorer: Anything with `score_matrix`.
            enrol, test: Rows of the two sides [n, D] and [m, D]. The very same array on both sides is scored once where the
                scorer treats both sides alike (cosine).
            cohort: Rows of other speakers [C, D], C >= 2; each is taken as one recording.
            counts: How many recordings each enrolment row is the mean of [n].

        Raises:
            DataError: ``E_SHAPE``, ``E_EMBEDDING``, ``E_SCORES``.
        """
        others = as_cohort(cohort)
        top = top_within(self.top, len(others)) if self.kind == "as" else None
        first: Statistics | None = None
        if self.kind != "t":
            first = cohort_statistics(scorer, enrol, others, side="enrol", top=top, counts=counts)
        if self.kind == "z":
            return first, None
        if first is not None and enrol is test and counts is None and is_symmetric(scorer, as_rows(test), others):
            return first, first
        return first, cohort_statistics(scorer, test, others, side="test", top=top)

    def trials(
        self,
        scores: ArrayLike,
        statistics: tuple[Statistics | None, Statistics | None],
        enrol_index: ArrayLike,
        test_index: ArrayLike,
    ) -> NDArray:
        """Scores of listed trials [N], normalised; `statistics` are of the rows that the indices [N] point to.

        Raises:
            DataError: As `normalize`; ``E_INDEX``.
        """
        enrol, test = statistics
        return normalize(scores, self.kind, _picked(enrol, enrol_index), _picked(test, test_index))

    def matrix(self, scores: ArrayLike, statistics: tuple[Statistics | None, Statistics | None]) -> NDArray:
        """Scores of every enrolment row with every test row [n, m], normalised.

        Raises:
            DataError: As `normalize`.
        """
        enrol, test = statistics
        rows = None if enrol is None else (enrol[0][:, None], enrol[1][:, None])
        return normalize(scores, self.kind, rows, test)


def build_norm(norm: str | Mapping[str, Any] | ScoreNorm | None) -> ScoreNorm | None:
    """A normalisation from its name, from ``{name: "as", top: 300}``, or as it is; None stays None.

    Raises:
        ConfigError: Unknown name or argument.

    Example:
        >>> build_norm({"name": "as", "top": 100}).top
        100
    """
    if norm is None or isinstance(norm, ScoreNorm):
        return norm
    given = {"name": norm} if isinstance(norm, str) else norm
    if not isinstance(given, Mapping) or "name" not in given:
        raise ConfigError(f"a normalisation is one of {', '.join(NORMS)} or a mapping with a 'name', got {norm!r}")
    _check_kind(given["name"])
    options = {key: value for key, value in given.items() if key != "name"}
    if given["name"] != "as" and options:
        raise ConfigError(f"normalisation {given['name']!r} takes no options, got {', '.join(map(str, options))}")
    return call(ScoreNorm, {"kind": given["name"], **options}, f"normalisation {given['name']!r}")


def normalize(
    scores: ArrayLike,
    kind: str,
    enrol: Statistics | None = None,
    test: Statistics | None = None,
) -> NDArray:
    """Normalised scores [N] float64; higher = same speaker.

    Args:
        scores: Of trials [N], or a matrix [n, m] with statistics that broadcast to it.
        kind: ``z`` (uses `enrol`), ``t`` (uses `test`), ``s`` or ``as`` (use both).
        enrol, test: Mean and standard deviation of each trial's sides.

    Raises:
        DataError: ``E_SCORES`` for NaN and infinity, ``E_SHAPE`` for statistics that are missing or do not fit.
        ConfigError: Unknown kind.

    Example:
        >>> sides = (np.array([0.0]), np.array([0.5])), (np.array([0.5]), np.array([0.25]))
        >>> normalize([1.0], "z", *sides).tolist(), normalize([1.0], "s", *sides).tolist()
        ([2.0], [2.0])
    """
    _check_kind(kind)
    raw = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(raw).all():
        raise DataError("expected finite scores, got NaN or infinity", "E_SCORES")
    if kind == "z":
        return _standard(raw, enrol, "enrolment")
    if kind == "t":
        return _standard(raw, test, "test")
    total = _standard(raw, enrol, "enrolment")
    total += _standard(raw, test, "test")
    total *= 0.5
    return total


def _standard(scores: NDArray, side: Statistics | None, name: str) -> NDArray:
    if side is None:
        raise DataError(f"this kind of normalisation needs cohort statistics of the {name} side, got none", "E_SHAPE")
    mean, std = (np.asarray(values, dtype=np.float64) for values in side)
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std >= 0).all()):
        raise DataError(f"expected finite statistics of the {name} side and standard deviations >= 0", "E_SCORES")
    try:
        fits = np.broadcast_shapes(scores.shape, mean.shape, std.shape) == scores.shape
    except ValueError:
        fits = False
    if not fits:
        raise DataError(f"scores {list(scores.shape)} do not fit the {name} side's statistics {list(mean.shape)}", "E_SHAPE")
    result = scores - mean
    result /= np.maximum(std, FLOOR)
    return result


def _picked(side: Statistics | None, index: ArrayLike) -> Statistics | None:
    if side is None:
        return None
    rows = as_index(index, len(side[0]))
    return side[0][rows], side[1][rows]


def _check_kind(kind: Any) -> None:
    if kind not in NORMS:
        raise ConfigError(f"unknown normalisation {kind!r}: {did_you_mean(str(kind), NORMS)}")
