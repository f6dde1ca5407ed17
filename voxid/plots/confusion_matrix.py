"""Who was taken for whom: the confusion matrix, readable from two classes to hundreds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import DataError
from voxid.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WRITTEN = 16  # classes whose cells hold their numbers
NAMED = 48  # classes that all have their names beside the matrix
LISTED = 6  # confusions that are told in words where cells are too small to be read
DARK = 0.45  # of the scale, above which a number is written in white


def confusion_matrix(
    matrix: ArrayLike, *, names: Sequence[str] = (), normalize: bool = False, title: str | None = None
) -> Figure:
    """Counts by true class (rows) and predicted class (columns), or the share of each row in per cent; empty cells are white.

    Up to 16 classes the numbers are written into the cells; above, the most frequent confusions are told under the matrix.

    Args:
        matrix: Counts [K, K], as `voxid.metrics.identification.confusion_matrix` gives them.
        names: Of the classes [K].
        normalize: Share of each row instead of counts, so that frequent classes do not drown the others.

    Raises:
        DataError: ``E_SHAPE``: no square matrix of counts, nothing in it, or another number of names.

    Example:
        >>> confusion_matrix([[3, 1], [0, 4]], names=["anna", "ben"]).axes[0].get_xlabel()
        'predicted class'
    """
    counts = _checked(matrix)
    labels = [str(name) for name in names] or [str(number) for number in range(len(counts))]
    if len(labels) != len(counts):
        raise DataError(f"expected {len(counts)} names of classes, got {len(labels)}", "E_SHAPE")
    rows = counts.sum(axis=1, keepdims=True)
    values = 100 * np.divide(counts, rows, out=np.zeros_like(counts), where=rows > 0) if normalize else counts
    side = float(np.clip(3.4 + 0.16 * len(counts), 4.4, 8.6))
    figure = style.new_figure(side + 1.2, side)
    axes = figure.add_subplot()
    unit = "share of the true class (%)" if normalize else "recordings"
    _draw(axes, values, unit, 100.0 if normalize else float(values.max()))
    if len(counts) <= WRITTEN:
        _write(axes, values, "{:.1f}" if normalize else "{:.0f}")
    _name(axes, labels)
    hits = 100 * float(np.trace(counts)) / float(counts.sum())
    style.label(axes, "predicted class", "true class", title or f"Confusion matrix: {hits:.2f} % right", grid=False)
    if len(counts) > WRITTEN:
        axes.set_xlabel(f"predicted class\n{_worst(counts, labels)}")
    return style.finish(figure)


def _checked(matrix: ArrayLike) -> NDArray[np.float64]:
    counts = np.asarray(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.dtype.kind not in "fiu" or not counts.size:
        raise DataError(f"expected counts [K, K], got {counts.dtype} {list(counts.shape)}", "E_SHAPE")
    counts = counts.astype(np.float64)
    if not (np.isfinite(counts).all() and (counts >= 0).all() and counts.sum() > 0):
        raise DataError("a confusion matrix holds counts, 0 or more, and at least one item", "E_SHAPE")
    return counts


def _draw(axes: style.Panel, values: NDArray, unit: str, most: float) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap
    from matplotlib.ticker import MaxNLocator

    # From the light end, and not from its very beginning: the palest colour must differ from the white of an empty cell.
    colours = ListedColormap(colormaps[f"{style.MAP}_r"](np.linspace(0.06, 1.0, 256)))
    image = axes.imshow(np.ma.masked_equal(values, 0), cmap=colours, vmin=0, vmax=max(most, 1.0), interpolation="nearest")
    bar = axes.figure.colorbar(image, ax=axes, label=unit, shrink=0.8, pad=0.02)
    bar.locator = MaxNLocator(nbins=6, integer=True)


def _write(axes: style.Panel, values: NDArray, form: str) -> None:
    most = max(float(values.max()), 1.0)
    for (row, column), value in np.ndenumerate(values):
        if value > 0:
            colour = "white" if value / most > DARK else "black"
            axes.text(column, row, form.format(value), ha="center", va="center", color=colour, fontsize=8)


def _name(axes: style.Panel, labels: Sequence[str]) -> None:
    """Names at every class, or where they would touch each other numbers at some."""
    if len(labels) > NAMED:
        axes.set_xlabel("predicted class (number)")
        return
    texts = [style.shown(label, 20) for label in labels]
    size = 9 if len(labels) <= 24 else 6.5
    turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, labels)) > 2 else {}
    axes.set_xticks(range(len(labels)), texts, fontsize=size, **({"rotation": 90} if len(labels) > 24 else turned))
    axes.set_yticks(range(len(labels)), texts, fontsize=size)


def _worst(counts: NDArray, labels: Sequence[str]) -> str:
    wrong = counts - np.diag(np.diag(counts))
    order = np.argsort(wrong, axis=None, kind="stable")[::-1][:LISTED]
    cells = [(int(place // len(counts)), int(place % len(counts))) for place in order if wrong.flat[place] > 0]
    if not cells:
        return "no confusion"
    told = [
        f"{style.shown(labels[row], 16)} → {style.shown(labels[column], 16)}: {wrong[row, column]:.0f}" for row, column in cells
    ]
    lines = [";  ".join(told[first : first + 2]) for first in range(0, len(told), 2)]
    return "most frequent confusions, true → predicted:\n" + "\n".join(lines)
