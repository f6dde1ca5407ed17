"""GE2E against a loop over items and centroids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax

from voxid import registry
from voxid.errors import ConfigError
from voxid.losses.ge2e import GE2E

LABELS = [2, 0, 2, 1, 0, 2, 5, 1]  # speaker 5 is alone: left out


def by_loop(embedding: np.ndarray, variant: str) -> tuple[float, list[bool]]:
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    members = {speaker: [row for row, label in enumerate(LABELS) if label == speaker] for speaker in (0, 1, 2)}
    losses, hits = [], [False] * len(LABELS)
    for row, label in enumerate(LABELS):
        if label not in members:
            continue
        scores = []
        for rows in members.values():
            centroid = np.mean([unit[other] for other in rows if other != row], axis=0)
            scores.append(10 * unit[row] @ centroid / np.linalg.norm(centroid) - 5)
        wrong = [expit(score) for speaker, score in zip(members, scores, strict=True) if speaker != label]
        losses.append(-log_softmax(scores)[label] if variant == "softmax" else 1 - expit(scores[label]) + max(wrong))
        hits[row] = int(np.argmax(scores)) == label
    return float(np.mean(losses)), hits


@pytest.mark.parametrize("variant", ["softmax", "contrast"])
def test_ge2e_is_what_the_paper_says(variant: str) -> None:
    torch.manual_seed(4)
    embedding = torch.randn(len(LABELS), 5)
    value, hits = GE2E(5, 9, variant=variant)(embedding, torch.tensor(LABELS))
    expected, expected_hits = by_loop(embedding.double().numpy(), variant)
    assert float(value.detach()) == pytest.approx(expected, rel=1e-5)
    assert hits.tolist() == expected_hits
    assert 0 < sum(expected_hits) < 7  # both outcomes are met


def test_the_scale_stays_above_zero() -> None:
    loss = GE2E(2, 2)
    rule = torch.optim.SGD(loss.parameters(), lr=1.0)
    embedding, label = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 1.0]]), torch.tensor([0, 0, 1, 1])
    for _ in range(50):  # the labels are wrong: a smaller scale pays
        rule.zero_grad()
        loss(embedding, label)[0].backward()
        rule.step()
    slope = loss.similarity(torch.tensor(1.0)) - loss.similarity(torch.tensor(0.0))
    assert 0.0 < float(slope.detach()) < 1.0


@pytest.mark.parametrize("wrong", [{"variant": "hard"}, {"scale": 0.0}])
def test_arguments_that_make_no_sense_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        registry.build("loss", {"name": "ge2e", **wrong}, embedding_dim=2, num_classes=3)
