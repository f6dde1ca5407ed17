"""Losses. A speaker loss takes embeddings [B, D] and labels [B] and returns the loss [] and its logits [B, K]."""

from voxid.registry import modules_of

__getattr__ = modules_of(__name__)
