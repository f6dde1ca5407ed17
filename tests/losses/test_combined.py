"""Several losses as one."""

from __future__ import annotations

import pytest
import torch

from voxid import registry
from voxid.errors import ConfigError

PARTS = [{"name": "aam_softmax", "margin": 0.4}, "ge2e", "triplet"]


def test_it_is_the_weighted_sum_of_its_parts() -> None:
    torch.manual_seed(0)
    loss = registry.build(
        "loss", {"name": "combined", "parts": PARTS, "weights": [1.0, 0.5, 2.0]}, embedding_dim=6, num_classes=3
    )
    embedding, label = torch.randn(9, 6), torch.arange(9) % 3
    values = [float(part(embedding, label)[0].detach()) for part in loss.parts]
    value, hits = loss(embedding, label)
    assert float(value.detach()) == pytest.approx(values[0] + 0.5 * values[1] + 2.0 * values[2], rel=1e-6)
    assert hits.tolist() == loss.parts[0](embedding, label)[1].tolist()
    torch.testing.assert_close(loss.logits(embedding), loss.parts[0].logits(embedding))


def test_a_schedule_moves_the_margin_of_its_part() -> None:
    loss = registry.build("loss", {"name": "combined", "parts": PARTS}, embedding_dim=6, num_classes=3)
    embedding, label = torch.randn(9, 6), torch.arange(9) % 3
    assert loss.margin == 0.4
    wide = float(loss(embedding, label)[0].detach())
    loss.margin = 0.0
    assert float(loss(embedding, label)[0].detach()) < wide
    assert not hasattr(registry.build("loss", "combined", embedding_dim=6, num_classes=3), "margin")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"parts": ["ge2e", "softmax"]}, "the first of parts"),
        ({"parts": []}, "the first of parts"),
        ({"parts": ["softmax", "triplet"], "weights": [1.0]}, "each of the 2 parts"),
        ({"parts": ["aam_softmax", "am_softmax"]}, "only one of parts"),
        ({"parts": ["softmax", "tripled"]}, "did you mean 'triplet'"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(wrong: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        registry.build("loss", {"name": "combined", **wrong}, embedding_dim=2, num_classes=3)
