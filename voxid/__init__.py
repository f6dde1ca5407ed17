"""voxid: who spoke, when, and can the answer be trusted?

>>> import voxid
>>> voxid.verify("samples/anna_1.opus", "samples/anna_2.opus").decision  # doctest: +SKIP
True
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voxid.data.prepare import prepare
    from voxid.evaluation.calibrate import calibrate
    from voxid.evaluation.evaluate import evaluate
    from voxid.evaluation.plot import plot
    from voxid.pipelines.embed import embed
    from voxid.pipelines.enhance import enhance
    from voxid.pipelines.info import info
    from voxid.pipelines.score import score
    from voxid.pipelines.separate import separate
    from voxid.pipelines.verify import verify
    from voxid.training.fit import train
    from voxid.zoo.load import load

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "calibrate",
    "embed",
    "enhance",
    "evaluate",
    "info",
    "load",
    "plot",
    "prepare",
    "score",
    "separate",
    "train",
    "verify",
]

# Verb -> where it lives; a verb is imported at its first use, so that `import voxid` costs nothing.
_VERBS = {
    "calibrate": "voxid.evaluation.calibrate",
    "embed": "voxid.pipelines.embed",
    "enhance": "voxid.pipelines.enhance",
    "evaluate": "voxid.evaluation.evaluate",
    "info": "voxid.pipelines.info",
    "load": "voxid.zoo.load",
    "plot": "voxid.evaluation.plot",
    "prepare": "voxid.data.prepare",
    "score": "voxid.pipelines.score",
    "separate": "voxid.pipelines.separate",
    "train": "voxid.training.fit",
    "verify": "voxid.pipelines.verify",
}
_ROOMS = ("audio", "data", "features", "losses", "metrics", "models", "plots", "registry", "scoring", "zoo")


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        value = getattr(importlib.import_module(_VERBS[name]), name)
    elif name in _ROOMS:
        value = importlib.import_module(f"voxid.{name}")
    else:
        raise AttributeError(f"module 'voxid' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_VERBS, *_ROOMS})
