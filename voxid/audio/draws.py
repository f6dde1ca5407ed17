"""Draws for a batch: each item its own, or one for all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Draw:
    """What chance decides about the items of a batch.

    Args:
        generator: On the CPU, so that the draws are the same on every device.
        items: B.
        same: One draw for all items.

    Example:
        >>> draw = Draw(torch.Generator().manual_seed(0), 4, same=True)
        >>> chosen = draw.chance(1.0)
        >>> draw.uniform((5.0, 5.0), chosen)
        tensor([5.])
    """

    def __init__(self, generator: torch.Generator, items: int, same: bool) -> None:
        self.generator, self.items, self.same = generator, items, same

    def chance(self, share: float) -> Tensor:
        """Who is chosen [B]. A share of 0 draws nothing: an effect that is off leaves the draws of the others as they are."""
        if share == 0:
            return torch.zeros(self.items, dtype=torch.bool)
        return self.one_each() < share

    def one_each(self) -> Tensor:
        """A number within 0 ... 1 for each item [B]."""
        return torch.rand(1 if self.same else self.items, generator=self.generator).expand(self.items)

    def count(self, chosen: Tensor) -> int:
        """How many draws the chosen items need."""
        number = int(chosen.sum())
        return min(number, 1) if self.same else number

    def integer(self, low: int, high: int) -> int:
        """low ... high - 1."""
        return int(torch.randint(low, high, (), generator=self.generator))

    def index(self, size: int, chosen: Tensor) -> Tensor:
        """An index below `size` for each of the chosen [C], or one for all of them [1]; none, undrawn, without any."""
        count = self.count(chosen)
        return torch.randint(size, (count,), generator=self.generator) if count else torch.zeros(0, dtype=torch.long)

    def uniform(self, limits: Sequence[float], chosen: Tensor, *shape: int) -> Tensor:
        """A number within the limits for each of the chosen [C, ...], or one for all of them [1, ...]."""
        low, high = limits
        return low + (high - low) * torch.rand(self.count(chosen), *shape, generator=self.generator)

    def others(self, chosen: Tensor, low: int, high: int) -> Tensor:
        """For each of the chosen, `low` ... `high` other items of the batch, as weights of 0 and 1 [C, B].

        With one draw for all, an item that is among the drawn ones is left out for itself.
        """
        rows = chosen.nonzero()[:, 0]
        weights = torch.zeros(len(rows), self.items)
        if self.same:
            weights[:, self._some(self.items, low, high)] = 1.0
            weights[torch.arange(len(rows)), rows] = 0.0
            return weights
        for weight, item in zip(weights, rows.tolist(), strict=True):
            voices = self._some(self.items - 1, low, high)
            weight[voices + (voices >= item)] = 1.0
        return weights

    def _some(self, among: int, low: int, high: int) -> Tensor:
        count = min(self.integer(low, high + 1), among)
        return torch.randperm(among, generator=self.generator)[:count]
