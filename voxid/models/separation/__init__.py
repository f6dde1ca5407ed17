"""Separators. The promise: mixtures [B, T] (and lengths [B]) -> their sources [B, S, T], as long as it, in no fixed order.

A separator tells its `sample_rate` in Hz and its `num_sources` S, and its `spec` (name and arguments, plain data) builds an
equal one; its `kind` is the name of this room, so that a model file can hold it. It takes waveforms of any level: what it does
about the level is inside it, and undone on the way out. Padding behind `lengths` changes nothing, and the sources are zero
there. A causal one also has ``stream()``: what is pushed into it piece by piece comes out as if it had been given at once.
"""
