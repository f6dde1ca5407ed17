"""A name or a file -> a model: `load.load`."""

from voxid.registry import modules_of

__getattr__ = modules_of(__name__)
