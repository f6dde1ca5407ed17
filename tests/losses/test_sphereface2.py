"""SphereFace2 against a loop over items and classes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from voxid import registry
from voxid.errors import ConfigError
from voxid.losses.sphereface2 import SphereFace2


def by_loop(loss: SphereFace2, embedding: torch.Tensor, label: list[int], weights: list[float] | None) -> float:
    x, rows = embedding.double().numpy(), loss.weight.detach().double().numpy()
    losses = []
    for item, own in zip(x, label, strict=True):
        total = 0.0
        for number, row in enumerate(rows):
            cosine = item @ row / np.linalg.norm(item) / np.linalg.norm(row)
            sign = 1 if number == own else -1
            if loss.margin_type == "A":
                logit = loss.scale * (2 * ((math.cos(math.acos(cosine) + sign * loss.margin) + 1) / 2) ** loss.power - 1)
            else:
                logit = loss.scale * (2 * ((cosine + 1) / 2) ** loss.power - 1 - sign * loss.margin)
            share = loss.balance if number == own else 1 - loss.balance
            total += share * np.logaddexp(0, -sign * (logit + float(loss.bias.detach())))
        losses.append(total)
    return float(np.average(losses, weights=None if weights is None else [weights[k] for k in label]))


@pytest.mark.parametrize("margin_type", ["A", "C"])
@pytest.mark.parametrize("weights", [None, [1.0, 3.0, 0.5, 0.5]])
def test_every_class_is_a_binary_classification(margin_type: str, weights: list[float] | None) -> None:
    torch.manual_seed(1)
    loss = SphereFace2(5, 4, margin=0.15, scale=16.0, power=2.0, margin_type=margin_type, class_weights=weights)
    with torch.no_grad():
        loss.bias.fill_(0.7)
    embedding, label = torch.randn(24, 5), (torch.arange(24) % 4).tolist()
    expected = by_loop(loss, embedding, label, weights)
    assert float(loss(embedding, torch.tensor(label))[0].detach()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("margin_type", ["A", "C"])
@pytest.mark.parametrize("own", [True, False])
def test_a_nearer_class_never_has_a_lower_logit(margin_type: str, own: bool) -> None:
    loss = SphereFace2(2, 2, margin=0.3, margin_type=margin_type)
    cosine = torch.linspace(-1.0, 1.0, 4001, dtype=torch.float64)
    logits = loss._logits(cosine, own=own).detach()
    assert bool((logits.diff() >= -1e-5).all())  # the floor under the sine bends the very end by a millionth
    assert logits[-1] > logits[0] + 32.0


def test_far_and_equal_embeddings_have_finite_gradients() -> None:
    for margin_type in ("A", "C"):
        loss = SphereFace2(2, 3, margin_type=margin_type)
        with torch.no_grad():
            loss.weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]))
        embedding = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]], requires_grad=True)
        loss(embedding, torch.tensor([0, 0, 2]))[0].backward()
        assert torch.isfinite(embedding.grad).all()
        assert torch.isfinite(loss.weight.grad).all()


def test_logits_have_no_margin() -> None:
    loss = SphereFace2(2, 2, margin=0.3, scale=10.0)
    with torch.no_grad():
        loss.weight.copy_(torch.eye(2))
    torch.testing.assert_close(loss.logits(torch.tensor([[3.0, 0.0]])), torch.tensor([[10.0, -7.5]]))


@pytest.mark.parametrize("wrong", [{"margin_type": "B"}, {"power": 0.5}, {"balance": 2.0}, {"balance": -0.1}, {"scale": 0.0}])
def test_arguments_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        registry.build("loss", {"name": "sphereface2", **wrong}, embedding_dim=2, num_classes=3)
