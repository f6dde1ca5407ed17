"""Lists -> tables: trial lists through the pipelines and the metrics."""
