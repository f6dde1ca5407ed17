"""Waveform -> frames, differentiable modules: [B, T] -> [B, F, N] (time last), padding given by `lengths` [B] in samples.

A front-end tells its height F as `num_bins`, its rate as `sample_rate`, and the frames of a length as `num_frames`. One that
takes features [B, F, N] in place of waveforms says `input_ndim` = 3; its lengths are frames.
"""

from voxid.registry import modules_of

__getattr__ = modules_of(__name__)
