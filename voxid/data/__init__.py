"""Corpora -> batches."""
