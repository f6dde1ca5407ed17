"""Embeddings -> scores: pure maths, no files. Higher = same speaker."""
