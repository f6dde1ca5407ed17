"""Results -> figures: each function returns a matplotlib Figure, and `style.save` writes one to a file."""

from voxid.registry import modules_of

__getattr__ = modules_of(__name__)
