"""From an encoder and its classification loss to a model that knows its speakers by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from voxid.errors import ConfigError
from voxid.losses.combined import Combined
from voxid.models.speaker.classifier import SpeakerClassifier
from voxid.models.speaker.encoder import SpeakerEncoder


@torch.no_grad()
def as_classifier(model: SpeakerEncoder, loss: nn.Module, speakers: Sequence[str]) -> SpeakerClassifier:
    """Encoder and class rows as one model, for the speakers at their own speed (the first K classes).

    Args:
        model: The trained encoder.
        loss: The loss it was trained with: linear classes (softmax, focal), or classes on the unit sphere. Of several
            (`combined`) the first one.
        speakers: Names of the K speakers, in the order of the classes.

    Raises:
        ConfigError: ``E_LOSS``, a loss that has no classes, or whose logits are of another kind.
    """
    while isinstance(loss, Combined):
        loss = loss.parts[0]
    linear: Any = getattr(loss, "linear", None)
    logits: Any = getattr(loss, "logits", None)
    weight: Tensor | None = getattr(loss if linear is None else linear, "weight", None)
    if logits is None or weight is None:
        raise ConfigError(_reason(loss), "E_LOSS")
    count = len(speakers)
    rows = weight[:count].cpu()
    rows = rows[:, None] if rows.ndim == 2 else rows
    net = SpeakerClassifier(
        {key: value for key, value in model.spec.items() if key != "name"},
        speakers,
        cosine=linear is None,
        scale=float(getattr(loss, "scale", 1.0)),
        sub_centers=rows.shape[1],
    )
    net.encoder.load_state_dict(model.state_dict())
    net.weight.copy_(rows)
    if linear is not None:
        net.bias.copy_(linear.bias[:count])
    probe = torch.randn(4, model.embedding_dim, generator=torch.Generator().manual_seed(0))
    if not torch.allclose(net.classify(probe), logits(probe.to(_device(loss)))[:, :count].cpu(), rtol=1e-3, atol=1e-3):
        raise ConfigError(_reason(loss), "E_LOSS")
    return net.eval()


def _device(loss: nn.Module) -> torch.device:
    """Where the class rows are."""
    return next(loss.parameters()).device


def _reason(loss: nn.Module) -> str:
    return (
        "classifier=true needs a loss whose logits are linear or scaled cosines (softmax, focal, am_softmax, aam_softmax), "
        f"not {type(loss).__name__}"
    )
