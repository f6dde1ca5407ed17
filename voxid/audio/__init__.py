"""Waveform in and out: [..., T] float32 in [-1, 1], 16 kHz inside the house."""
