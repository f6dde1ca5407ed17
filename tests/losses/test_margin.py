"""Margins against their definition by arc cosines, and against pytorch-metric-learning with the same weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from voxid import registry
from voxid.errors import ConfigError
from voxid.losses.margin import AAMSoftmax, AMSoftmax, Softmax


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


def drawn(batch: int = 32, dim: int = 6, classes: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(batch, dim, generator=generator), torch.randint(classes, (batch,), generator=generator)


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


@pytest.mark.parametrize("name", ["ArcFaceLoss", "CosFaceLoss", "SubCenterArcFaceLoss"])
def test_margins_equal_those_of_another_package(name: str) -> None:
    pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning import losses

    embedding, label = drawn()
    embedding.requires_grad_()
    if name == "CosFaceLoss":
        own: AAMSoftmax | AMSoftmax = AMSoftmax(6, 9, margin=0.35, scale=24.0)
        theirs = losses.CosFaceLoss(num_classes=9, embedding_size=6, margin=0.35, scale=24.0)
    else:
        own = AAMSoftmax(6, 9, margin=0.3, scale=24.0, sub_centers=4 if "Sub" in name else 1)
        more = {"sub_centers": 4} if "Sub" in name else {}
        theirs = getattr(losses, name)(num_classes=9, embedding_size=6, margin=math.degrees(0.3), scale=24.0, **more)
    with torch.no_grad():
        theirs.W.copy_(own.weight.reshape(-1, 6).T)  # they keep the classes as columns, sub-centres beside each other
    mine, other = own(embedding, label)[0], theirs(embedding, label)
    assert float(mine.detach()) == pytest.approx(float(other.detach()), rel=1e-5)
    gradients = [torch.autograd.grad(value, embedding, retain_graph=True)[0] for value in (mine, other)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("moved", [0.3, 0.15])  # a schedule half way: the penalty follows the margin
def test_the_nearest_other_classes_come_nearer(moved: float) -> None:
    embedding, label = drawn()
    loss = AAMSoftmax(6, 9, margin=0.3, scale=20.0, topk=3, topk_margin=0.06)
    loss.margin = moved
    cosine = loss.cosine(embedding).detach().double().numpy()
    expected = 0.0
    for row, own in zip(cosine, label.tolist(), strict=True):
        logits = row.copy()
        logits[own] = math.cos(math.acos(row[own]) + moved)
        for rival in sorted(set(range(9)) - {own}, key=lambda k: -row[k])[:3]:
            logits[rival] = math.cos(math.acos(row[rival]) - 0.06 * moved / 0.3)
        expected -= log_softmax(20.0 * logits)[own] / len(label)
    assert float(loss(embedding, label)[0].detach()) == pytest.approx(expected, rel=1e-5)


def test_the_penalty_raises_the_loss_and_copes_with_few_classes() -> None:
    embedding, label = drawn(classes=3)
    torch.manual_seed(0)
    plain = AAMSoftmax(6, 3)
    hard = AAMSoftmax(6, 3, topk=5)
    hard.load_state_dict(plain.state_dict())
    assert float(hard(embedding, label)[0].detach()) > float(plain(embedding, label)[0].detach())


def test_class_rows_keep_the_class_first() -> None:
    loss = AAMSoftmax(6, 9, sub_centers=3)
    assert {name: tuple(value.shape) for name, value in loss.state_dict().items()} == {"weight": (9, 3, 6)}
    embedding = drawn(batch=4)[0]
    nearest = torch.nn.functional.cosine_similarity(embedding[:, None, None], loss.weight[None], dim=3).amax(dim=2)
    torch.testing.assert_close(loss.logits(embedding), 30.0 * nearest)


@pytest.mark.parametrize("name", ["softmax", "am_softmax", "aam_softmax"])
def test_class_weights_are_those_of_the_weighted_mean(name: str) -> None:
    embedding, label = drawn(classes=4)
    weights = [0.5, 2.0, 1.0, 0.25]
    torch.manual_seed(0)
    loss = registry.build("loss", {"name": name, "class_weights": weights}, embedding_dim=6, num_classes=4)
    torch.manual_seed(0)
    alike = registry.build("loss", name, embedding_dim=6, num_classes=4)
    each = [float(alike(embedding[[row]], label[[row]])[0].detach()) for row in range(len(label))]
    expected = np.average(each, weights=[weights[k] for k in label])
    assert float(loss(embedding, label)[0].detach()) == pytest.approx(expected, rel=1e-5)
    assert loss.state_dict().keys() == alike.state_dict().keys()  # they are the corpus's, not the model's


def test_the_gradient_is_finite_where_the_arc_cosine_has_none() -> None:
    for arguments in ({}, {"sub_centers": 2}, {"topk": 1}):
        loss = AAMSoftmax(2, 2, margin=0.3, **arguments)
        with torch.no_grad():
            loss.weight.copy_(torch.eye(2) if loss.weight.ndim == 2 else torch.eye(2)[:, None])
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


@pytest.mark.parametrize(
    "wrong", [{"sub_centers": 0}, {"topk": -1}, {"class_weights": [1.0, 2.0]}, {"class_weights": [1, 1, -1]}]
)
def test_arguments_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        registry.build("loss", {"name": "aam_softmax", **wrong}, embedding_dim=2, num_classes=3)
