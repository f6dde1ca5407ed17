"""The section `loss` of a recipe: class weights out of the counts, and a trial of its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from voxid import registry
from voxid.losses.class_weights import class_weights

CLASSES = 100  # of a trial: more than any argument of a loss asks for


def weighted(loss: Mapping[str, Any], counts: Sequence[int]) -> dict[str, Any]:
    """The loss of a recipe with a scheme of class weights turned into the weights of these classes.

    Args:
        loss: Part of a recipe; its `class_weights` is null, a scheme or a list of weights.
        counts: Utterances of each class [K].

    Example:
        >>> weighted({"name": "softmax", "class_weights": "inverse"}, [1, 3])
        {'name': 'softmax', 'class_weights': [1.5, 0.5]}
    """
    # null goes nowhere: losses without the argument are called as ever
    ready = {key: value for key, value in loss.items() if key != "class_weights" or value is not None}
    if isinstance(scheme := ready.get("class_weights"), str):
        ready["class_weights"] = class_weights(counts, scheme)
    if isinstance(parts := ready.get("parts"), list):
        ready["parts"] = [weighted(part, counts) if isinstance(part, Mapping) else part for part in parts]
    return ready


def try_loss(loss: Mapping[str, Any], embedding_dim: int) -> None:
    """Build the loss once for classes that do not exist, so that a wrong value is told before hours of speech are decoded.

    Raises:
        ConfigError: What the loss refuses.
    """
    with torch.random.fork_rng(devices=[]):  # the weights of the training are drawn as if nothing had been tried
        registry.build("loss", weighted(_unlisted(loss), [1] * CLASSES), embedding_dim=embedding_dim, num_classes=CLASSES)


def _unlisted(loss: Mapping[str, Any]) -> dict[str, Any]:
    """Without lists of class weights: their length is that of the corpus."""
    ready = {key: value for key, value in loss.items() if key != "class_weights" or not isinstance(value, list)}
    if isinstance(parts := ready.get("parts"), list):
        ready["parts"] = [_unlisted(part) if isinstance(part, Mapping) else part for part in parts]
    return ready
