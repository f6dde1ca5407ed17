"""How loud a separated source is: a net that was trained by SI-SDR tells its form, but neither its level nor its sign."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# How strongly the gains hold together, against the energy of all sources: what is 20 dB below the others says nothing of its own.
TOGETHER = 0.01
MOST_SIGNS = 8  # sources up to which all their signs are tried: 256 of them


class SourceLevels:
    """Gives sources the gains with which they add up to their mixture best, by least squares over all that was heard so far.

    Sources that add up to the mixture stay as they are. The gains are held together a little: of a source that is hardly there
    they could not be told.

    Example:
        >>> sources = np.random.default_rng(0).normal(size=(2, 8000)).astype(np.float32)
        >>> levels = SourceLevels(2)
        >>> found = levels.apply(sources * [[0.2], [-0.5]], sources.sum(axis=0))
        >>> levels.gains.round(1).tolist(), found.std(axis=1).round(1).tolist()
        ([4.9, -2.0], [1.0, 1.0])
    """

    def __init__(self, num_sources: int) -> None:
        self._products = np.zeros((num_sources, num_sources))
        self._targets = np.zeros(num_sources)

    @property
    def gains(self) -> NDArray:
        """Of each source [S]; 1 before any was heard."""
        energy = float(np.trace(self._products))
        if energy <= 0:
            return np.ones(len(self._targets))
        signs = self._signs()
        common = signs * float(signs @ self._targets) / max(float(signs @ self._products @ signs), 1e-12 * energy)
        tie = TOGETHER * energy / len(signs)
        return np.linalg.solve(self._products + tie * np.eye(len(signs)), self._targets + tie * common)

    def _signs(self) -> NDArray:
        """The signs [S] with which the sources, all with one gain, come nearest to the mixture."""
        count = len(self._targets)
        if count > MOST_SIGNS:
            return np.ones(count)
        signs = 1.0 - 2.0 * (np.arange(2 ** (count - 1))[:, None] >> np.arange(count) & 1)
        signs = np.concatenate([signs, -signs])
        power = np.einsum("ps,st,pt->p", signs, self._products, signs)
        fit = (signs @ self._targets).clip(min=0) ** 2 / np.maximum(power, 1e-12 * np.trace(self._products))
        return signs[int(np.argmax(fit))]

    def apply(self, sources: NDArray[np.float32], mixture: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sources [S, T] at their levels in the mixture [T] that they are of."""
        whole = sources.astype(np.float64)
        self._products += whole @ whole.T
        self._targets += whole @ mixture.astype(np.float64)
        return sources * self.gains.astype(np.float32)[:, None]
