"""Learned nets. Each sub-room states its promise in its own docstring."""

from voxid.registry import modules_of

__getattr__ = modules_of(__name__)
