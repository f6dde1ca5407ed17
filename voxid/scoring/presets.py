"""Back-ends that go by one name: plain data, as `Backend` takes it.

A back-end is mostly fitted on recordings that the embedding model was trained on, and there a speaker varies less than speakers
who are new to the model. Hence the wide shrinkage of what is learnt within speakers; 0.5 was chosen on development speakers.
"""

from __future__ import annotations

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "cosine": {},
    "centered_cosine": {"transforms": ["center"]},
    "lda": {"transforms": ["center", "length_norm", {"name": "lda", "dim": 128, "shrinkage": 0.5}]},
    "wccn": {"transforms": ["center", "length_norm", {"name": "wccn", "shrinkage": 0.5}]},
    "gplda": {"transforms": ["center", "length_norm"], "scorer": {"name": "plda", "shrinkage": 0.5}},
    "lda_gplda": {
        "transforms": ["center", "length_norm", {"name": "lda", "dim": 128, "shrinkage": 0.5}, "length_norm"],
        "scorer": "plda",
    },
    # Without length normalisation: how long a row is tells how sure it is.
    "heavy_tailed_plda": {"transforms": ["center"], "scorer": "heavy_tailed_plda"},
}
