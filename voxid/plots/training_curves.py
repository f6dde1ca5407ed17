"""How trainings went: loss, error rate and learning rate over their steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import DataError
from voxid.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curve = tuple[ArrayLike, ArrayLike]
# What is drawn, from the top: name, label with its unit, factor, how points are joined. What a validation found holds until the
# next one.
PANELS: tuple[tuple[str, str, float, dict[str, Any]], ...] = (
    ("loss", "training loss", 1.0, {}),
    ("accuracy", "training accuracy (%)", 100.0, {}),
    ("eer", "EER, validation (%)", 100.0, {"drawstyle": "steps-post"}),
    ("si_sdr_improvement", "SI-SDR improvement,\nvalidation (dB)", 1.0, {"drawstyle": "steps-post"}),
    ("pesq", "PESQ, validation", 1.0, {"drawstyle": "steps-post"}),
    ("lr", "learning rate", 1.0, {}),
)


def training_curves(runs: Mapping[str, Mapping[str, Curve]], *, title: str | None = None) -> Figure:
    """A panel a figure of merit, a line a run, over training steps: loss, accuracy, what validations found, learning rate.

    Args:
        runs: Name of a run -> name of a curve ("loss", "accuracy", "eer", "si_sdr_improvement", "pesq", "lr") -> (steps [N],
            values [N]); accuracies and EERs are fractions, ratios in dB. Panels that no run has a curve for are left out.

    Raises:
        DataError: ``E_SHAPE``: no run, no curve, or steps and values of different lengths.

    Example:
        >>> figure = training_curves({"mine": {"loss": ([100, 200], [5.1, 3.2]), "eer": ([200], [0.08])}})
        >>> [axes.get_ylabel() for axes in figure.axes]
        ['training loss', 'EER, validation (%)']
    """
    names = style.names_of(runs, "its curves")
    shown = [panel for panel in PANELS if any(panel[0] in curves for curves in runs.values())]
    if not shown:
        known = ", ".join(panel[0] for panel in PANELS)
        raise DataError(f"the runs hold no curve that is drawn here: {known}", "E_SHAPE")
    figure = style.new_figure(7.2, 0.9 + 1.75 * len(shown) + 0.2 * len(names))
    panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (curve, label, factor, join) in zip(panels, shown, strict=True):
        for number, name in enumerate(names):
            if curve in runs[name]:
                steps, values = _checked(name, curve, runs[name][curve])
                _draw(axes, steps, factor * values, style.look(number) | join, style.shown(name))
        style.label(axes, "", label)
        if curve != "lr":
            axes.set_ylim(bottom=0 if curve in ("eer", "accuracy") else None)
    panels[-1].set_xlabel("training step")
    panels[-1].xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    figure.align_ylabels(panels)
    figure.suptitle(style.shown(title or "Training"), fontsize=11)
    _legend(figure, panels)
    return style.finish(figure)


def _draw(axes: style.Panel, steps: NDArray, values: NDArray, look: dict[str, Any], name: str) -> None:
    few = len(steps) <= 60
    axes.plot(steps, values, linewidth=1.6, marker="o" if few else "", markersize=3.5, label=name, **look)


def _legend(figure: style.Panel, panels: Any) -> None:
    """One legend of all runs, though a run may lack the first panel."""
    handles: dict[str, Any] = {}
    for axes in panels:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", fontsize=9, frameon=False, handlelength=3.5)


def _checked(run: str, curve: str, points: Curve) -> tuple[NDArray, NDArray]:
    steps, values = (np.asarray(column, np.float64) for column in points)
    if steps.ndim != 1 or steps.shape != values.shape or not steps.size:
        raise DataError(
            f"run {run!r}, {curve}: expected steps [N] and values [N], got {list(steps.shape)} and {list(values.shape)}",
            "E_SHAPE",
        )
    return steps, values
