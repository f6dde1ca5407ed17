"""A file of embeddings and who speaks in its recordings -> a map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from voxid.data.embeddings import read_vectors
from voxid.data.speaker_labels import speaker_labels
from voxid.evaluation.plotted import DPI, Plotted, check_output, written
from voxid.plots.embedding_map import embedding_map


def plot_embedding_map(
    embeddings: str | Path,
    *,
    output: str | Path,
    manifest: str | Path | Sequence[str | Path] = (),
    by: str = "speaker",
    method: Literal["pca", "tsne"] = "pca",
    top: int = 8,
    names: bool = True,
    seed: int = 0,
    title: str | None = None,
    dpi: float = DPI,
) -> Plotted:
    """Embeddings on a plane, coloured by speaker.

    Args:
        embeddings: What `voxid embed` wrote, or another file that `read_vectors` knows.
        output: The file to write: .png, .svg or .pdf.
        manifest: Who speaks in the recordings, as `speaker_labels` takes it; without it all points are alike.
        by: The column of the manifest to colour by.
        method: "pca" keeps distances as far as two axes can, "tsne" keeps neighbours.
        top: How many speakers to colour, the most frequent ones; the rest is grey.
        names: Tell who they are; False numbers them.
        seed: Of t-SNE.
        title: Above the figure.
        dpi: Pixels an inch.

    Raises:
        DataError: Files that cannot be read, or recordings that the manifest does not have.
    """
    check_output(output, dpi)
    read = read_vectors(embeddings)
    speakers = speaker_labels(read.names, manifest, column=by) if manifest else None
    figure = embedding_map(read.embeddings, speakers, method=method, top=top, names=names, kind=by, seed=seed, title=title)
    return written("embedding_map", figure, output, dpi)
