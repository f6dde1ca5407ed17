"""Enhancement nets. The promise: noisy waveforms [B, T] (and lengths [B]) -> clean waveforms [B, T], any T >= 1.

The output is as long as the input, sample for sample, and as loud: a net brings its input to a level of its own and takes that
back at the end. Padding behind `lengths` changes nothing, and is silent in the output: a padded batch gives each item what it
gets alone. A net tells its rate as `sample_rate`, how it is built as `spec`, and its `kind`, which is the name of this room; so a
model file can hold it. One that is causal also runs on a stream: ``net.stream()`` takes chunks as they come and gives the samples
that ``net(whole)`` would give, later by a delay that it states.
"""
