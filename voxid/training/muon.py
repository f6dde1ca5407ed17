"""Muon: matrices move by the nearest orthogonal matrix to their momentum, everything else by AdamW."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

# Of the quintic that pulls all singular values towards 1, and how often it is applied.
QUINTIC = (3.4445, -4.7750, 2.0315)
ROUNDS = 5
# An orthogonal matrix times this and the root of its larger side moves its elements as far as Adam does.
LIKE_ADAM = 0.2


class Muon(torch.optim.Optimizer):
    """Muon for matrices, pointwise convolutions among them; AdamW for all other weights, in one optimiser.

    Args:
        params: Parameters, or groups of them.
        lr: Rate of AdamW.
        matrix_gain: Rate of the matrices, as a multiple of `lr`.
        momentum: Of the matrices, by Nesterov.
        betas, eps: Of AdamW.
        weight_decay: Decoupled, of both.

    Raises:
        ValueError: A value out of range.

    Example:
        >>> weight = torch.nn.Parameter(torch.eye(2))
        >>> rule = Muon([weight], lr=0.1)
        >>> weight.grad = torch.tensor([[1.0, 0.0], [0.0, 100.0]])
        >>> rule.step()
        >>> bool((weight.diagonal() < 1).all()), bool(abs(weight[0, 0] - weight[1, 1]) < 0.02)
        (True, True)

    Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; scale after Liu et al., "Muon is scalable for
    LLM training", 2025.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        matrix_gain: float = 1.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not lr >= 0 or not matrix_gain >= 0 or not weight_decay >= 0 or not eps > 0:
            raise ValueError(
                f"lr, matrix_gain and weight_decay are 0 or more, eps above 0; got {lr}, {matrix_gain}, {weight_decay}, {eps}"
            )
        if not 0 <= momentum < 1 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"momentum and betas lie within 0 ... 1, got {momentum} and {tuple(betas)}")
        defaults = {
            "lr": lr,
            "matrix_gain": matrix_gain,
            "momentum": momentum,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; see `torch.optim.Optimizer.step`."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    (self._matrix if is_matrix(weight) else self._other)(weight, group)
        return loss

    def _matrix(self, weight: Tensor, group: dict[str, Any]) -> None:
        state, rate = self.state[weight], group["lr"] * group["matrix_gain"]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        past = state["momentum"].mul_(group["momentum"]).add_(weight.grad)
        ahead = weight.grad.add(past, alpha=group["momentum"])  # type: ignore[union-attr]
        flat = ahead.flatten(1)
        weight.mul_(1 - rate * group["weight_decay"])
        weight.sub_(orthogonal(flat).view_as(weight), alpha=rate * LIKE_ADAM * max(flat.shape) ** 0.5)

    def _other(self, weight: Tensor, group: dict[str, Any]) -> None:
        state, (first, second), grad = self.state[weight], group["betas"], weight.grad
        if not state:
            state["step"] = torch.zeros(())
            state["mean"], state["square"] = torch.zeros_like(weight), torch.zeros_like(weight)
        state["step"] += 1
        count = float(state["step"])
        mean = state["mean"].lerp_(grad, 1 - first)
        square = state["square"].mul_(second).addcmul_(grad, grad, value=1 - second)
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        size = (square / (1 - second**count)).sqrt_().add_(group["eps"])
        weight.addcdiv_(mean, size, value=-group["lr"] / (1 - first**count))


def is_matrix(weight: Tensor) -> bool:
    """Whether a weight mixes all of its inputs, and nothing else: a linear layer or a pointwise convolution.

    Example:
        >>> [is_matrix(torch.empty(shape)) for shape in ((8, 4), (8, 4, 1), (8, 1, 5), (8, 1, 1), (8,))]
        [True, True, False, False, False]
    """
    return weight.dim() > 1 and weight.shape[1] > 1 and all(size == 1 for size in weight.shape[2:])


def orthogonal(matrix: Tensor) -> Tensor:
    """A matrix [I, J] with about the singular vectors of `matrix` and all singular values near 1, by Newton and Schulz.

    Example:
        >>> values = torch.linalg.svdvals(orthogonal(torch.tensor([[3.0, 0.0, 1.0], [0.0, 0.1, 0.0]])))
        >>> bool(((values > 0.6) & (values < 1.3)).all())
        True
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.float().T if tall else matrix.float()
    x = x / x.norm().clamp(min=1e-7)
    linear, cubic, quintic = QUINTIC
    for _ in range(ROUNDS):
        gram = x @ x.T
        x = linear * x + (cubic * gram + quintic * gram @ gram) @ x
    return (x.T if tall else x).to(matrix.dtype)
