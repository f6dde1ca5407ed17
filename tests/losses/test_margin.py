"""The margin against its definition by arc cosines."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from voxid.losses.margin import AAMSoftmax, Softmax


def by_definition(embedding: np.ndarray, weight: np.ndarray, label: np.ndarray, margin: float, scale: float, easy: bool) -> float:
    cosine = (embedding / np.linalg.norm(embedding, axis=1, keepdims=True)) @ (
        weight / np.linalg.norm(weight, axis=1, keepdims=True)
    ).T
    total = 0.0
    for row, own in zip(cosine.copy(), label, strict=True):
        angle = math.acos(row[own])
        if easy:
            row[own] = math.cos(angle + margin) if angle < math.pi / 2 else row[own]
        else:
            row[own] = math.cos(angle + margin) if angle <= math.pi - margin else row[own] - margin * math.sin(margin)
        total -= log_softmax(scale * row)[own]
    return total / len(label)


@pytest.mark.parametrize("margin", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("easy", [False, True])
def test_aam_is_the_margin_on_the_angle(margin: float, easy: bool) -> None:
    draw = np.random.default_rng(1)
    embedding, weight, label = draw.normal(size=(64, 3)), draw.normal(size=(7, 3)), draw.integers(7, size=64)
    embedding[0] = -weight[label[0]]  # the far side, where the margin must not wrap around
    loss = AAMSoftmax(3, 7, margin=margin, scale=16.0, easy_margin=easy).double()
    with torch.no_grad():
        loss.weight.copy_(torch.from_numpy(weight))
    value, hits = loss(torch.from_numpy(embedding).float(), torch.from_numpy(label))
    logits = loss.logits(torch.from_numpy(embedding).float())
    assert hits.tolist() == (logits.argmax(dim=1).numpy() == label).tolist()
    assert float(value.detach()) == pytest.approx(by_definition(embedding, weight, label, margin, 16.0, easy), rel=1e-4)
    assert float(logits.detach().abs().max()) <= 16.001


def test_the_gradient_is_finite_where_the_arc_cosine_has_none() -> None:
    loss = AAMSoftmax(2, 2, margin=0.3)
    with torch.no_grad():
        loss.weight.copy_(torch.eye(2))
    embedding = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.0]], requires_grad=True)
    loss(embedding, torch.tensor([0, 0, 1]))[0].backward()
    assert torch.isfinite(embedding.grad).all()
    assert torch.isfinite(loss.weight.grad).all()


def test_softmax_is_cross_entropy() -> None:
    torch.manual_seed(0)
    loss = Softmax(4, 3)
    embedding, label = torch.randn(5, 4), torch.tensor([0, 1, 2, 0, 1])
    value, _ = loss(embedding, label)
    expected = -log_softmax(loss.logits(embedding).detach().numpy(), axis=1)[np.arange(5), label.numpy()].mean()
    assert float(value.detach()) == pytest.approx(expected, rel=1e-5)
