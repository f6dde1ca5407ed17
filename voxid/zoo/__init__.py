"""A name or a file -> a model: `load.load`."""
