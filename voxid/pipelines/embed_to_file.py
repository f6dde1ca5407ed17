"""embed, as the shell has it: recordings, or manifests of them -> one file of embeddings."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from voxid.audio.source import AudioLike, printable
from voxid.data.embeddings import check_embeddings_place, save_embeddings
from voxid.data.manifest import Where
from voxid.data.manifests import Paths, read_manifests
from voxid.data.table import CODE
from voxid.errors import ConfigError, DataError
from voxid.pipelines.embed import embed_files


@dataclass(frozen=True)
class EmbeddedFile:
    """What `embed_to_file` wrote.

    Args:
        output: The .safetensors file.
        num_recordings: Its rows.
        embedding_dim: D.
        model: Facts about the model.
        failed: Recording -> reason, of those that were left out with on_error="skip".
    """

    output: str
    num_recordings: int
    embedding_dim: int
    model: Mapping[str, Any]
    failed: Mapping[str, str]

    def describe(self) -> str:
        """The result as text, a line for each recording that was left out."""
        by = self.model.get("name") or "an unnamed model"
        lines = [f"{self.output}: {self.num_recordings} embeddings of {self.embedding_dim} numbers by {by}"]
        return "\n".join(lines + [f"left out: {_naming(name, reason)}" for name, reason in self.failed.items()])


def embed_to_file(
    paths: Iterable[AudioLike] = (),
    *,
    output: str | Path,
    manifest: Paths = (),
    root: Paths | None = None,
    where: Where | None = None,
    model: str | Path | nn.Module | None = None,
    device: str = "auto",
    imports: bool = False,
    on_error: Literal["raise", "skip"] = "raise",
    progress: bool = True,
) -> EmbeddedFile:
    """Embeddings of recordings as one .safetensors file, whole or not at all; see `voxid.data.embeddings.save_embeddings`.

    A file that is named twice, as a path or in a manifest, is taken once. The rows are named by the paths as they are given,
    those of a manifest by their absolute paths; `voxid score` also finds them by the end of a path.

    Args:
        paths: Recordings, each as in `embed`.
        output: The file to write.
        manifest: One manifest or several, whose recordings come after `paths`.
        root: The folder that the paths of the manifests are relative to: one for all, or one each; None = each manifest's own.
        where: The rows to take of each manifest, e.g. ``{"split": "train"}``.
        model, device, imports, on_error, progress: As in `embed_files`.

    Raises:
        DataError: Recordings or manifests that cannot be used, or a file that cannot be written; the latter is found before any
            work.
        ConfigError: No recordings, or a value out of its range.
    """
    check_embeddings_place(Path(output))
    items = _once([*paths, *_of_manifests(manifest, root, where)])
    if not items:
        raise ConfigError("no recording to embed: name recordings, or a manifest of them (--manifest FILE)")
    done = embed_files(items, model=model, device=device, imports=imports, on_error=on_error, progress=progress)
    if not done.names:
        name, reason = next(iter(done.failed.items()))
        raise DataError(f"none of {len(items)} recordings can be used, the first: {_naming(name, reason)}", "E_AUDIO")
    save_embeddings(output, done.names, done.embeddings, done.model)
    return EmbeddedFile(str(output), len(done.names), done.embeddings.shape[1], done.model, done.failed)


def _of_manifests(manifest: Paths, root: Paths | None, where: Where | None) -> list[str]:
    if not manifest:
        if root or where:
            raise ConfigError("root and where go with a manifest; recordings that are named themselves need neither")
        return []
    rows = read_manifests(manifest, root=root, where=where)
    if "start" in rows.extra and len(set(rows.paths)) < len(rows):
        raise DataError("the manifest holds pieces of recordings (column start), embed takes whole ones; cut them first", CODE)
    return rows.paths


def _once(items: list[AudioLike]) -> list[AudioLike]:
    """The recordings without files that came before."""
    files: dict[str | int, AudioLike] = {}
    for place, item in enumerate(items):
        if isinstance(item, str | bytes | os.PathLike):
            files.setdefault(os.path.abspath(os.fsdecode(item)), item)  # noqa: PTH100 - a million times
        else:
            files[place] = item
    return list(files.values())


def _naming(name: str, reason: str) -> str:
    shown = printable(name)
    return reason if shown in reason else f"{shown}: {reason}"
