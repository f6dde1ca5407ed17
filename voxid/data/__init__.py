"""Corpora -> batches."""

from voxid import modules_of

__getattr__ = modules_of(__name__)
