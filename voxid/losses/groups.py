"""The items of a batch sorted by class, for losses that compare items with each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from voxid.errors import ModelError


@dataclass(frozen=True, slots=True)
class Groups:
    """Classes of a batch that have two items or more, P of them with at most M items each.

    Args:
        rows: Where the items lie in the batch [P, M].
        present: False behind the last item of a class [P, M].
        size: Items of the batch, B.
    """

    rows: Tensor
    present: Tensor
    size: int

    def take(self, embedding: Tensor) -> Tensor:
        """Embeddings [P, M, D] of a batch [B, D], zeros where a class has no more items."""
        return embedding[self.rows] * self.present.unsqueeze(2)

    def own(self) -> Tensor:
        """The number of each item's class [P, M]."""
        return torch.arange(len(self.rows), device=self.rows.device)[:, None].expand_as(self.rows)

    def back(self, values: Tensor) -> Tensor:
        """Bool [B] from bool [P, M]; False for an item that is alone in its class."""
        batch = torch.zeros(self.size, dtype=torch.bool, device=values.device)
        return batch.index_put((self.rows[self.present],), values[self.present])


def groups(label: Tensor, loss: str) -> Groups:
    """The classes of a batch, whatever the order of its items; classes with one item are left out.

    Args:
        label: Class of each item [B].
        loss: Name of the loss that asks, for the error.

    Raises:
        ModelError: ``E_BATCH``, fewer than two classes with two items.

    Example:
        >>> groups(torch.tensor([7, 3, 7, 5, 3]), "ge2e").rows
        tensor([[1, 4],
                [0, 2]])
    """
    _, number, counts = label.unique(return_inverse=True, return_counts=True)
    order, start = number.argsort(stable=True), counts.cumsum(0) - counts
    enough = counts >= 2
    if int(enough.sum()) < 2:
        raise too_few(label, loss, "two speakers with two utterances each, or more")
    place = torch.arange(int(counts.max()), device=label.device)
    rows = order[(start[enough, None] + place).clamp(max=len(label) - 1)]
    return Groups(rows, place < counts[enough, None], len(label))


def too_few(label: Tensor, loss: str, needed: str) -> ModelError:
    """The error of a batch that has nothing to compare."""
    return ModelError(
        f"loss {loss}: needs {needed} in a batch, got {len(label)} utterances of {len(label.unique())} speakers; draw batches of "
        "P speakers x K utterances: data.speakers_per_batch=P data.utterances_per_speaker=K with K of 2 or more",
        "E_BATCH",
    )
