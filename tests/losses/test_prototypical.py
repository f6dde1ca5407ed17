"""Prototypical losses against a loop over turns, queries and prototypes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from voxid.losses.prototypical import AngularPrototypical, Prototypical

LABELS = [2, 0, 2, 1, 0, 2, 5, 1]  # speaker 5 is alone: left out; speaker 2 has a turn more than the others
MEMBERS = {0: [1, 4], 1: [3, 7], 2: [0, 2, 5]}


def by_loop(embedding: np.ndarray, angular: bool) -> tuple[float, list[bool]]:
    losses, hits = [], [False] * len(LABELS)
    for turn in range(3):
        prototypes = [np.mean([embedding[row] for m, row in enumerate(rows) if m != turn], axis=0) for rows in MEMBERS.values()]
        for own, rows in MEMBERS.items():
            if turn >= len(rows):
                continue
            query = embedding[rows[turn]]
            if angular:
                scores = [10 * query @ p / np.linalg.norm(query) / np.linalg.norm(p) - 5 for p in prototypes]
            else:
                scores = [-np.sum((query - p) ** 2) for p in prototypes]
            losses.append(-log_softmax(scores)[own])
            hits[rows[turn]] = int(np.argmax(scores)) == own
    return float(np.mean(losses)), hits


@pytest.mark.parametrize("kind", [Prototypical, AngularPrototypical])
def test_every_item_is_the_query_once(kind: type[Prototypical] | type[AngularPrototypical]) -> None:
    torch.manual_seed(2)
    embedding = torch.randn(len(LABELS), 5)
    value, hits = kind(5, 9)(embedding, torch.tensor(LABELS))
    expected, expected_hits = by_loop(embedding.double().numpy(), kind is AngularPrototypical)
    assert float(value.detach()) == pytest.approx(expected, rel=1e-5)
    assert hits.tolist() == expected_hits
    assert 0 < sum(expected_hits) < 7  # both outcomes are met


def test_an_item_alone_in_its_class_has_no_gradient() -> None:
    embedding = torch.randn(len(LABELS), 5, requires_grad=True)
    Prototypical(5, 9)(embedding, torch.tensor(LABELS))[0].backward()
    assert (embedding.grad.abs().sum(dim=1) > 0).tolist() == [label != 5 for label in LABELS]


def test_small_distances_of_far_embeddings_keep_their_digits() -> None:
    embedding = 1000.0 + torch.tensor([[0.0, 0.0], [0.0, 0.5], [0.0, 2.0], [0.0, 2.5]])
    value, hits = Prototypical(2, 2)(embedding, torch.tensor([0, 0, 1, 1]))
    near, far = [0.25, 0.25, 0.25, 0.25], [6.25, 2.25, 2.25, 6.25]  # squared: to the own other item, to that of the other speaker
    expected = np.mean([np.log1p(np.exp(n - f)) for n, f in zip(near, far, strict=True)])
    assert float(value) == pytest.approx(expected, rel=1e-3)
    assert hits.all()
