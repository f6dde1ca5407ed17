"""The focal loss against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax

from voxid.losses.focal import Focal
from voxid.losses.margin import Softmax


@pytest.mark.parametrize("weights", [None, [2.0, 0.5, 1.0]])
def test_easy_items_count_less(weights: list[float] | None) -> None:
    torch.manual_seed(0)
    loss = Focal(4, 3, gamma=1.5, class_weights=weights)
    embedding, label = 4 * torch.randn(20, 4), torch.arange(20) % 3
    posterior = softmax(loss.logits(embedding).detach().double().numpy(), axis=1)[np.arange(20), label.numpy()]
    each = [-((1 - p) ** 1.5) * np.log(p) for p in posterior]
    expected = np.average(each, weights=None if weights is None else [weights[k] for k in label])
    assert float(loss(embedding, label)[0].detach()) == pytest.approx(expected, rel=1e-4)


def test_without_gamma_it_is_the_softmax() -> None:
    focal, plain = Focal(4, 3, gamma=0.0), Softmax(4, 3)
    plain.load_state_dict(focal.state_dict())
    embedding, label = torch.randn(7, 4), torch.arange(7) % 3
    torch.testing.assert_close(focal(embedding, label), plain(embedding, label))


@pytest.mark.parametrize("gamma", [0.25, 2.0])
def test_certain_items_have_a_finite_gradient(gamma: float) -> None:
    loss = Focal(2, 2, gamma=gamma)
    with torch.no_grad():
        loss.linear.weight.copy_(torch.eye(2))
    embedding = torch.tensor([[500.0, -500.0], [-500.0, 500.0], [20.0, 0.0]], requires_grad=True)
    loss(embedding, torch.tensor([0, 0, 0]))[0].backward()  # right beyond doubt, wrong beyond doubt, and in between
    assert torch.isfinite(embedding.grad).all()
    assert embedding.grad[1].abs().sum() > 0.1
