"""Learned nets. Each sub-room states its promise in its own docstring."""
