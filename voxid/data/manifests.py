"""Several manifests as one: what the verbs take as ``--manifest``, ``--root`` and ``--where``."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from pathlib import Path

from voxid.data.manifest import Manifest, Where, read_manifest
from voxid.errors import ConfigError

Paths = str | Path | Sequence[str | Path]


def read_manifests(manifest: Paths, *, root: Paths | None = None, where: Where | None = None) -> Manifest:
    """The rows of one manifest or several, one after the other.

    Args:
        manifest: CSV or JSON lines, as in `read_manifest`.
        root: The folder that their paths are relative to: one for all, or one each; None = each manifest's own.
        where: The rows to take of each.

    Raises:
        ConfigError: No manifest, or another number of roots.
        DataError: What `read_manifest` raises.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("a", "b"):
        ...         _ = Path(folder, f"{name}.csv").write_text(f"path,speaker,duration\\n{name}.wav,{name},1\\n")
        ...     read_manifests([f"{folder}/a.csv", f"{folder}/b.csv"], root="/corpus").paths
        ['/corpus/a.wav', '/corpus/b.wav']
    """
    files = _listed(manifest)
    folders: list[str | Path | None] = [*_listed(root)] or [None]
    if not files or len(folders) not in (1, len(files)):
        raise ConfigError(f"{len(files)} manifests and {len(folders)} roots; give one root for all, one each, or none")
    folders = folders if len(folders) == len(files) else folders * len(files)
    return functools.reduce(
        operator.add, (read_manifest(file, root=folder, where=where) for file, folder in zip(files, folders, strict=True))
    )


def _listed(paths: Paths | None) -> list[str | Path]:
    return [] if paths is None else [paths] if isinstance(paths, str | Path) else list(paths)
