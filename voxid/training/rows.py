"""The manifests that a recipe names, as rows."""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

from voxid.data.manifest import Manifest, read_manifest
from voxid.errors import ConfigError

Paths = str | Sequence[str]


def listed(value: Paths | None) -> list[str]:
    """One path or several, as a list."""
    values = [] if value is None else [value] if isinstance(value, str) else [str(item) for item in value]
    if not all(values):
        raise ConfigError("an empty text where the path of a file or a folder is needed; null stands for none")
    return values


def read_each(
    manifest: Paths, root: Paths | None, where: Mapping[str, Any] | None, speaker: str | None = "speaker"
) -> list[Manifest]:
    """Each manifest on its own, with the rows that `where` takes."""
    manifests, roots = listed(manifest), listed(root)
    if not manifests:
        raise ConfigError("manifest: the list is empty; name one manifest or more")
    if roots and len(roots) != len(manifests):
        raise ConfigError(f"{len(manifests)} manifests and {len(roots)} roots; give one root a manifest, or none")
    folders: Sequence[str | None] = roots or [None] * len(manifests)
    return [
        read_manifest(path, root=folder, where=where, speaker=speaker) for path, folder in zip(manifests, folders, strict=True)
    ]


def joined(pieces: Sequence[Manifest], prefix_speakers: bool) -> Manifest:
    """One manifest of all; with `prefix_speakers` anna of the first is 0/anna."""
    if prefix_speakers:
        labels = [[f"{number}/{name}" for name in piece.speakers] for number, piece in enumerate(pieces)]
        pieces = [dataclasses.replace(piece, speakers=names) for piece, names in zip(pieces, labels, strict=True)]
    return functools.reduce(operator.add, pieces)
