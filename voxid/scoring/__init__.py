"""Embeddings -> scores: pure maths, no files. Higher = same speaker."""

from voxid.registry import modules_of

__getattr__ = modules_of(__name__)
