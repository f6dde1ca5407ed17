"""Heavy-tailed PLDA: the noise of a recording is t-distributed, so a strange recording says less; higher = same speaker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, ModelError
from voxid.registry import register
from voxid.scoring.checks import as_codes, as_counts, as_pairs, as_rows, not_fitted
from voxid.scoring.heavy_tailed_em import variational_bayes
from voxid.scoring.plda import model_of
from voxid.scoring.speaker_statistics import check_shrinkage, speaker_statistics
from voxid.scoring.two_covariance import TwoCovariance

# Pairs scored at one time: their temporaries [CHUNK, R] stay in cache.
CHUNK = 2_048


@register("scorer", "heavy_tailed_plda")
class HeavyTailedPlda:
    """PLDA with noise from a t-distribution: embedding = mean + F z + noise / sqrt(precision), precision ~ Gamma(nu/2, nu/2).

    Scoring is that of the paper: what a row tells of its speaker's factors z is a Gaussian whose precision is
    b = (nu + D - R) / (nu + q) times that of Gaussian PLDA; q is the squared length of the row outside the speaker subspace. The
    score is the log-likelihood ratio of these Gaussians, in natural log: exact where nu is infinite, an approximation otherwise.
    An enrolment row that is the mean of n recordings (``counts``) is taken as n recordings of one common precision.

    Training is mean-field variational Bayes (`variational_bayes`). The paper's own differs in one thing: it takes the precisions
    of its scoring, b above, for the training rows too.

    Leave rows as long as they are, without length normalisation: the length is what tells of the precision.

    Args:
        nu: Degrees of freedom, above 0; 2 as in the paper. The larger, the nearer to Gaussian PLDA.
        rank: Speaker factors R. None = half of D, and no more than speakers less one.
        iterations: Of variational Bayes.
        shrinkage: As of `Plda`. More than is needed hurts here: it raises b of rows that vary little outside the subspace, and
            scores grow too sure.

    Attributes:
        model: The parameters as two covariances, once fitted or restored (`TwoCovariance`).
        bounds: Lower bound of the training rows' log-likelihood before the first and after each iteration; None otherwise.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> speakers = np.repeat(np.arange(100), 5)
        >>> rows = np.pad(rng.normal(size=(100, 1)) * 3, [(0, 0), (0, 3)])[speakers] + rng.normal(size=(500, 4))
        >>> scorer = HeavyTailedPlda(nu=2, rank=1).fit(rows, speakers)
        >>> plain, strange = [3.0, 0, 0, 0], [3.0, 9, 9, 9]
        >>> scorer.score_trials([plain], [plain, strange], [0, 0], [0, 1]).round(1).tolist()
        [1.8, 0.1]

    Silnova, Brummer, Garcia-Romero, Snyder and Burget, "Fast variational Bayes for heavy-tailed PLDA applied to i-vectors and
    x-vectors", Interspeech 2018; Brummer et al., "Gaussian meta-embeddings for efficient scoring of a heavy-tailed PLDA model",
    Odyssey 2018.
    """

    def __init__(self, nu: float = 2.0, rank: int | None = None, iterations: int = 10, shrinkage: float | None = None) -> None:
        if not 0.0 < nu < float("inf"):
            raise ConfigError(f"heavy_tailed_plda: nu must be a number above 0, got {nu!r}; for infinity take the scorer 'plda'")
        if iterations < 0 or (rank is not None and rank < 1):
            raise ConfigError(f"heavy_tailed_plda: iterations must be 0 or more and rank 1 or more, got {iterations} and {rank}")
        check_shrinkage(shrinkage)
        self.nu, self.rank, self.iterations, self.shrinkage = nu, rank, iterations, shrinkage
        self.bounds: NDArray | None = None
        self._model: TwoCovariance | None = None

    @property
    def model(self) -> TwoCovariance:
        """The parameters; the noise of a recording of precision 1 is `within`.

        Raises:
            ModelError: ``E_NOT_FITTED``.
        """
        if self._model is None:
            raise not_fitted("heavy_tailed_plda")
        return self._model

    def fit(self, embeddings: ArrayLike, speakers: ArrayLike) -> Self:
        """Learn from labelled embeddings [n, D], speakers [n].

        Raises:
            DataError: ``E_SHAPE``, ``E_EMBEDDING``, ``E_SPEAKERS`` (see `speaker_statistics`).
            ConfigError: `rank` of D or more: a subspace must leave something outside.
        """
        rows = as_rows(embeddings)
        statistics = speaker_statistics(rows, speakers, self.shrinkage)
        codes, classes = as_codes(speakers, len(rows))
        rank = min(max(rows.shape[1] // 2, 1), classes - 1) if self.rank is None else self.rank
        if rank >= rows.shape[1]:
            raise ConfigError(f"heavy_tailed_plda: rank must be below {rows.shape[1]}, the dimensions of the rows, got {rank}")
        subspace, self.bounds = variational_bayes(rows, codes, statistics, rank, self.nu, self.iterations)
        self._model = subspace.diagonal()
        return self

    def state(self) -> dict[str, NDArray]:
        """What `fit` found: mean [D], transform [D, D], psi [D]; psi is 0 outside the speaker subspace."""
        return {"mean": self.model.mean, "transform": self.model.transform, "psi": self.model.psi}

    def restore(self, state: Mapping[str, NDArray]) -> Self:
        """Take what `state` gave.

        Raises:
            ModelError: ``E_FORMAT``.
        """
        model = model_of(state)
        if (model.psi > 0).all():
            raise ModelError("heavy_tailed_plda: psi must be 0 outside the speaker subspace, got none that is", "E_FORMAT")
        self._model, self.bounds = model, None
        return self

    def score_trials(
        self,
        enrol: ArrayLike,
        test: ArrayLike,
        enrol_index: ArrayLike,
        test_index: ArrayLike,
        counts: ArrayLike | None = None,
    ) -> NDArray:
        """Scores of listed trials [N] float64; higher = same speaker.

        Args:
            enrol, test: Rows of the two sides [n, D] and [m, D].
            enrol_index, test_index: The row of each trial's sides [N].
            counts: How many recordings each enrolment row is the mean of [n]; None = 1 each.

        Raises:
            DataError: ``E_SHAPE``, ``E_INDEX``, or ``E_EMBEDDING`` for NaN and infinity.
        """
        left, right = self._sides(enrol, test, counts)
        first, second = as_pairs(enrol_index, test_index, len(left.counts), len(right.counts))
        scores = np.empty(len(first))
        for begin in range(0, len(first), CHUNK):
            part = slice(begin, begin + CHUNK)
            scores[part] = _ratio(left.rows(first[part]), right.rows(second[part]), self._active)
        return scores

    def score_matrix(self, enrol: ArrayLike, test: ArrayLike, counts: ArrayLike | None = None) -> NDArray:
        """Scores of every enrolment row [n, D] with every test row [m, D]: [n, m] float32; higher = same speaker.

        It costs as much as n m trials: the scores are no dot products.

        Raises:
            DataError: ``E_SHAPE``, or ``E_EMBEDDING`` for NaN and infinity.
        """
        left, right = self._sides(enrol, test, counts)
        scores = np.empty((len(left.counts), len(right.counts)), dtype=np.float32)
        for begin in range(0, scores.shape[1], CHUNK):
            part = slice(begin, begin + CHUNK)
            block = right.rows(part)
            for row in range(len(scores)):
                scores[row, part] = _ratio(left.rows(slice(row, row + 1)), block, self._active)
        return scores

    @property
    def _active(self) -> NDArray:
        return self.model.psi[self.model.psi > 0]

    def _sides(self, enrol: ArrayLike, test: ArrayLike, counts: ArrayLike | None) -> tuple[_Evidence, _Evidence]:
        dim = self.model.mean.size
        rows, other = as_rows(enrol, dim, "enrolment rows"), as_rows(test, dim, "test rows")
        return self._evidence(rows, as_counts(counts, len(rows))), self._evidence(other, np.ones(len(other)))

    def _evidence(self, rows: NDArray, counts: NDArray) -> _Evidence:
        vectors, inside = self.model.project(rows), self.model.psi > 0
        outside = vectors[:, ~inside]
        # n recordings of one precision: their mean has n times that precision.
        length = counts * np.einsum("nd,nd->n", outside, outside)
        precision = counts * (1.0 + outside.shape[1] / self.nu) / (1.0 + length / self.nu)
        sums = precision[:, None] * vectors[:, inside]
        return _Evidence(sums, precision, _log_evidence(sums, precision, self._active))


@dataclass(frozen=True)
class _Evidence:
    """What rows tell of their speakers' place: sums [n, R] of precision times row, precisions [n], and the evidence alone [n]."""

    sums: NDArray
    counts: NDArray
    alone: NDArray

    def rows(self, index: NDArray | slice) -> _Evidence:
        return _Evidence(self.sums[index], self.counts[index], self.alone[index])


def _ratio(left: _Evidence, right: _Evidence, psi: NDArray) -> NDArray:
    both = _log_evidence(left.sums + right.sums, left.counts + right.counts, psi)
    return both - left.alone - right.alone


def _log_evidence(sums: NDArray, counts: NDArray, psi: NDArray) -> NDArray:
    """Log of the evidence [n] that rows come from one speaker whose place is ~ N(0, diag(psi)), noise alone apart."""
    spread = 1.0 + counts[:, None] * psi
    inner = sums * sums
    inner *= psi
    inner /= spread
    inner -= np.log(spread, out=spread)
    return 0.5 * inner.sum(axis=1)
