"""Waveform in and out: [..., T] float32 in [-1, 1], 16 kHz inside the house."""

from voxid.registry import modules_of

__getattr__ = modules_of(__name__)
