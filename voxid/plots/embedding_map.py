"""Embeddings on a plane: whether recordings of one speaker lie together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError, DataError, did_you_mean
from voxid.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METHODS = ("pca", "tsne")
PERPLEXITY = 30.0
FEWEST = 3  # embeddings of a map


def embedding_map(
    embeddings: ArrayLike,
    speakers: Sequence[str] | None = None,
    *,
    method: Literal["pca", "tsne"] = "pca",
    top: int = 8,
    names: bool = True,
    kind: str = "speaker",
    seed: int = 0,
    title: str | None = None,
) -> Figure:
    """Embeddings as points on a plane, those of the `top` most frequent speakers coloured, all others grey.

    Rows are brought to unit length first, for it is their cosine that is scored.

    Args:
        embeddings: [n, D].
        speakers: A label of each [n]; None draws all points alike.
        method: "pca" keeps distances as far as two axes can, "tsne" keeps neighbours and no distances.
        top: How many speakers to colour.
        names: Tell who they are; False numbers them.
        kind: What the labels are, e.g. "language".
        seed: Of t-SNE.

    Raises:
        DataError: ``E_SHAPE``, or ``E_EMBEDDING`` for NaN, infinity or a row of zeros.
        ConfigError: An unknown method, or a `top` below 1.

    Example:
        >>> axes = embedding_map(np.eye(4), ["anna", "anna", "ben", "ben"]).axes[0]
        >>> axes.get_xlabel()
        'principal component 1 (33.3 % of the variance)'

    van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 2008.
    """
    rows = _checked(embeddings, speakers)
    if top < 1:
        raise ConfigError(f"top is a number of {kind}s, 1 or more, got {top}")
    places, labels = place(rows, method, seed)
    figure = style.new_figure(7.6, 5.4)
    axes = figure.add_subplot()
    _draw(axes, places, speakers, top, names, kind)
    style.label(axes, *labels, title or f"Embeddings of {len(rows):,} recordings, {'PCA' if method == 'pca' else 't-SNE'}")
    if method == "tsne":
        axes.set_xticks([])
        axes.set_yticks([])
    if speakers is not None:
        figure.legend(loc="outside right upper", fontsize=9, frameon=False, title=f"{kind}: recordings", alignment="left")
    return style.finish(figure)


def place(rows: NDArray, method: str, seed: int) -> tuple[NDArray, tuple[str, str]]:
    """Places [n, 2] of rows [n, D] on the plane, and what its two axes are.

    Raises:
        ConfigError: An unknown method.
    """
    if method == "pca":
        centred = rows - rows.mean(axis=0)
        left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
        shares = 100 * lengths**2 / max(float((lengths**2).sum()), 1e-30)
        first, second = (f"principal component {axis + 1} ({shares[axis]:.1f} % of the variance)" for axis in (0, 1))
        return left[:, :2] * lengths[:2], (first, second)
    if method == "tsne":
        from sklearn.manifold import TSNE  # seconds to import: only for those who ask

        perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
        net = TSNE(perplexity=perplexity, init="pca", random_state=seed)
        return net.fit_transform(rows), ("t-SNE axis 1 (no unit)", "t-SNE axis 2 (no unit)")
    raise ConfigError(f"unknown method {method!r}: {did_you_mean(method, METHODS)}")


def _checked(embeddings: ArrayLike, speakers: Sequence[str] | None) -> NDArray:
    rows = np.asarray(embeddings, np.float64)
    if rows.ndim != 2 or len(rows) < FEWEST or rows.shape[1] < 2:
        raise DataError(f"a map takes embeddings [n, D] with n >= {FEWEST} and D >= 2, got {list(rows.shape)}", "E_SHAPE")
    if speakers is not None and len(speakers) != len(rows):
        raise DataError(f"expected a speaker for each of {len(rows)} embeddings, got {len(speakers)}", "E_SHAPE")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if wrong.size:
        raise DataError(
            f"{wrong.size} of {len(rows)} embeddings are zero, NaN or infinite, row {wrong[0]} the first", "E_EMBEDDING"
        )
    return rows / lengths


def _draw(axes: style.Panel, places: NDArray, speakers: Sequence[str] | None, top: int, names: bool, kind: str) -> None:
    size = float(np.clip(12000 / len(places), 10, 55))
    if speakers is None:
        axes.scatter(*places.T, s=size, color=style.COLOURS[0], linewidth=0)
        return
    labels = np.array([str(speaker) for speaker in speakers])
    counts = Counter(labels.tolist())
    chosen = sorted(counts, key=lambda name: (-counts[name], name))[:top]
    for number, name in enumerate(chosen):
        own = labels == name
        text = style.shown(name, 24) if names else f"{kind} {number + 1}"
        colour, marker = style.COLOURS[number % len(style.COLOURS)], style.MARKERS[number % len(style.MARKERS)]
        look = {"color": colour, "marker": marker, "linewidth": 0.4, "edgecolor": "white"}
        axes.scatter(*places[own].T, s=size, label=f"{text}: {counts[name]}", **look)
    rest = ~np.isin(labels, chosen)
    if rest.any():
        text = f"{len(counts) - len(chosen)} other {kind}s: {int(rest.sum())}"
        axes.scatter(*places[rest].T, s=0.6 * size, color="#b8b8b8", linewidth=0, zorder=0.5, label=text)
