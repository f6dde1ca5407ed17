"""Permutation-invariant training: which estimate is meant for which target is what costs least."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from voxid.errors import DataError
from voxid.registry import build, register

# Up to here all orders are tried, on the device; with one source more they are 720, and the Hungarian algorithm takes over.
FEW = 5


@register("signal_loss", "pit")
class Pit(nn.Module):
    """The least mean loss over all ways to give estimates to targets [B, S, T] -> [B]; lower is better.

    Args:
        loss: A signal loss by name, or with its arguments.

    Raises:
        DataError: ``E_SHAPE`` in `forward`.

    Example:
        >>> target = torch.tensor([[[1.0, -1.0, 1.0], [1.0, 1.0, -1.0]]])
        >>> loss, order = Pit("si_sdr").solve(target.flip(1), target)
        >>> [round(value) for value in loss.tolist()], order.tolist()
        ([-30], [[1, 0]])

    Yu et al., "Permutation invariant training of deep models for speaker-independent multi-talker speech separation", ICASSP
    2017; Kolbaek et al., IEEE/ACM TASLP 25(10), 2017.
    """

    def __init__(self, loss: str | Mapping[str, Any] = "si_sdr") -> None:
        super().__init__()
        self.loss = build("signal_loss", loss)

    def forward(self, estimate: Tensor, target: Tensor, lengths: Tensor | None = None, mixture: Tensor | None = None) -> Tensor:
        """The loss [B]; see `solve`."""
        return self.solve(estimate, target, lengths, mixture)[0]

    def solve(
        self, estimate: Tensor, target: Tensor, lengths: Tensor | None = None, mixture: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The loss [B], and for each target the number of its estimate [B, S], as `reorder` takes it.

        Args:
            estimate, target: [B, S, T].
            lengths: Samples of each item [B].
            mixture: [B, T]; the sum of the targets without it.
        """
        mixture = target.sum(1) if mixture is None else mixture
        return best_order(pairwise(self.loss, estimate, target, lengths, mixture))


def pairwise(
    loss: Callable[..., Tensor],
    estimate: Tensor,
    target: Tensor,
    lengths: Tensor | None = None,
    mixture: Tensor | None = None,
) -> Tensor:
    """The loss of every estimate (second axis) for every target (third) [B, S, S].

    Raises:
        DataError: ``E_SHAPE``.
    """
    if estimate.dim() != 3 or estimate.shape != target.shape or 0 in target.shape:
        raise DataError(
            f"expected as many estimates as targets [B, S, T], got {list(estimate.shape)} and {list(target.shape)}", "E_SHAPE"
        )
    return loss(estimate[:, :, None], target[:, None], lengths, mixture)


def best_order(cost: Tensor) -> tuple[Tensor, Tensor]:
    """The least mean cost over all assignments [B], and for each target the number of its estimate [B, S].

    Up to five sources by all orders, more by the Hungarian algorithm. A cost that is not finite never raises: it stays in the
    mean when it is chosen.

    Args:
        cost: Of every estimate (second axis) for every target (third) [B, S, S].

    Example:
        >>> best_order(torch.tensor([[[3.0, 1.0], [2.0, 5.0]]]))
        (tensor([1.5000]), tensor([[1, 0]]))
    """
    size = cost.shape[-1]
    order = _tried(cost.detach()) if size <= FEW else _hungarian(cost.detach())
    return cost.gather(1, order[:, None])[:, 0].mean(-1), order


def reorder(estimate: Tensor, order: Tensor) -> Tensor:
    """Estimates [B, S, ...] in the order of their targets, `order` [B, S] as `best_order` gives it.

    Example:
        >>> reorder(torch.tensor([[[1.0], [2.0], [3.0]]]), torch.tensor([[2, 0, 1]])).flatten().tolist()
        [3.0, 1.0, 2.0]
    """
    places = order.reshape(order.shape + (1,) * (estimate.dim() - 2))
    return estimate.gather(1, places.expand_as(estimate))


def _tried(cost: Tensor) -> Tensor:
    size = cost.shape[-1]
    orders = torch.tensor(list(itertools.permutations(range(size))), device=cost.device)
    totals = cost[:, orders, torch.arange(size, device=cost.device)].sum(-1)
    return orders[totals.argmin(-1)]


def _hungarian(cost: Tensor) -> Tensor:
    from scipy.optimize import linear_sum_assignment

    # It refuses NaN, which a diverged net gives: let the loss say so.
    tables = torch.nan_to_num(cost.float(), nan=1e30, posinf=1e30, neginf=-1e30).cpu().numpy()
    orders = [linear_sum_assignment(table.T)[1].tolist() for table in tables]
    return torch.tensor(orders, device=cost.device)
