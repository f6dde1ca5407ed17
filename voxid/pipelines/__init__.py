"""The verbs: a file or a waveform -> a small frozen result. One verb, one file."""
