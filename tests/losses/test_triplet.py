"""Triplets against a loop, and against pytorch-metric-learning."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from voxid import registry
from voxid.errors import ConfigError
from voxid.losses.triplet import Triplet

LABELS = [0, 1, 0, 2, 1, 0, 3, 2, 2, 1]


def drawn() -> torch.Tensor:
    return torch.randn(len(LABELS), 4, generator=torch.Generator().manual_seed(5))


def by_loop(embedding: np.ndarray, margin: float, mining: str, soft: bool) -> float:
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    distance = np.linalg.norm(unit[:, None] - unit[None], axis=2)
    gaps = []
    for anchor, label in enumerate(LABELS):
        positives = [distance[anchor, k] for k, other in enumerate(LABELS) if other == label and k != anchor]
        negatives = [distance[anchor, k] for k, other in enumerate(LABELS) if other != label]
        if positives and mining == "hard":
            gaps.append(max(positives) - min(negatives) + margin)
        elif mining == "semihard":
            for positive in positives:
                farther = [negative for negative in negatives if negative > positive]
                gaps.append(positive - (min(farther) if farther else max(negatives)) + margin)
    return float(np.mean([math.log1p(math.exp(gap)) if soft else max(gap, 0.0) for gap in gaps]))


@pytest.mark.parametrize("mining", ["hard", "semihard"])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("margin", [0.05, 0.6])
def test_triplets_are_mined_as_the_papers_say(mining: str, soft: bool, margin: float) -> None:
    value, _ = Triplet(4, 4, margin=margin, mining=mining, soft_margin=soft)(drawn(), torch.tensor(LABELS))
    assert float(value) == pytest.approx(by_loop(drawn().double().numpy(), margin, mining, soft), rel=1e-5)


@pytest.mark.parametrize("soft", [False, True])
def test_the_hardest_triplets_are_those_of_another_package(soft: bool) -> None:
    pytest.importorskip("pytorch_metric_learning")
    from pytorch_metric_learning import losses, miners, reducers

    embedding, label = drawn().requires_grad_(), torch.tensor(LABELS)
    theirs = losses.TripletMarginLoss(margin=0.4, smooth_loss=soft, reducer=reducers.MeanReducer())
    mine, other = (
        Triplet(4, 4, margin=0.4, soft_margin=soft)(embedding, label)[0],
        theirs(embedding, label, miners.BatchHardMiner()(embedding, label)),
    )
    assert float(mine.detach()) == pytest.approx(float(other.detach()), rel=1e-5)
    gradients = [torch.autograd.grad(value, embedding, retain_graph=True)[0] for value in (mine, other)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-6)


def test_a_hit_has_its_nearest_neighbour_in_its_class() -> None:
    angle = torch.tensor([0.0, 0.1, 0.3, 1.0, 1.5, 3.0])
    hits = Triplet(2, 3)(torch.stack([angle.cos(), angle.sin()], dim=1), torch.tensor([0, 0, 1, 1, 2, 1]))[1]
    assert hits.tolist() == [True, True, False, False, False, False]


def test_no_schedule_takes_the_margin_away() -> None:
    assert not hasattr(Triplet(2, 2), "margin")


@pytest.mark.parametrize("mining", ["hard", "semihard"])
def test_equal_embeddings_have_a_finite_gradient(mining: str) -> None:
    embedding = torch.ones(4, 3, requires_grad=True)
    value = Triplet(3, 2, margin=0.3, mining=mining)(embedding, torch.tensor([0, 0, 1, 1]))[0]
    value.backward()
    assert float(value.detach()) == pytest.approx(0.3)
    assert torch.isfinite(embedding.grad).all()


def test_unknown_mining_is_refused() -> None:
    with pytest.raises(ConfigError, match="mining"):
        registry.build("loss", {"name": "triplet", "mining": "easy"}, embedding_dim=2, num_classes=3)
