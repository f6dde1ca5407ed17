"""What the mixtures of a training are drawn from, as a few words for its checkpoints."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from voxid.errors import ConfigError


def digest(groups: Sequence[Sequence[str]]) -> str:
    """How many files, and a digest of their names in the folder that those of a group share: a moved corpus has the same.

    Args:
        groups: Paths, those of each manifest or folder together.

    Example:
        >>> digest([["/a/x/1.wav", "/a/y/2.wav"]]) == digest([["/b/c/y/2.wav", "/b/c/x/1.wav"]])
        True
        >>> digest([["/a/x/1.wav", "/a/y/2.wav"]]) == digest([["/a/x/1.wav", "/a/y/3.wav"]])
        False
    """
    names = sorted(name for group in groups for name in _relative(group))
    return f"{len(names)} files {hashlib.sha256(chr(10).join(names).encode(errors='surrogateescape')).hexdigest()[:16]}"


def check_origin(path: Path, began: Mapping[str, object], now: Mapping[str, object]) -> None:
    """Raise `ConfigError` when the run of a checkpoint drew from something else; what it does not tell is not compared."""
    for key in (key for key in now if began.get(key, now[key]) != now[key]):
        raise ConfigError(
            f"{path}: this run began with {key}: {began[key]}, and now there are {now[key]}, of which other batches are drawn; "
            "resume with what it began with, or start from its weights: init=FILE.ckpt with another output"
        )


def _relative(paths: Sequence[str]) -> list[str]:
    absolute = [os.path.abspath(path) for path in paths]  # noqa: PTH100 - links stay as they are named
    if not absolute:
        return []
    folder = os.path.commonpath({os.path.dirname(path) for path in absolute})  # noqa: PTH120
    return [os.path.relpath(path, folder) for path in absolute]
