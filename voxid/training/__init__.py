"""One loop, many tasks: a recipe -> a trained model. Needs the extra `train`."""
