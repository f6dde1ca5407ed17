"""What every figure must pass: it renders without a warning, nothing is cut off, no tick label touches another."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="figures need the extra viz")


def _drawn(figure: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.canvas.draw()
    return figure


def _inside(figure: Any) -> None:
    box, (width, height) = figure.get_tightbbox(figure.canvas.get_renderer()), figure.get_size_inches()
    slack = 0.03  # of an inch: a line on the edge is half outside
    assert -slack <= box.x0
    assert box.x1 <= width + slack
    assert -slack <= box.y0
    assert box.y1 <= height + slack


def _apart(figure: Any) -> None:
    for axes in figure.axes:
        if axes.name == "3d":
            continue
        for axis, low, high in ((axes.xaxis, "x0", "x1"), (axes.yaxis, "y0", "y1")):
            shown = [tick.label1 for tick in axis._update_ticks() if tick.label1.get_visible() and tick.label1.get_text()]
            if any(text.get_rotation() not in (0, 90) for text in shown):
                continue
            boxes = sorted((text.get_window_extent() for text in shown), key=lambda box: getattr(box, low))
            for first, second in pairwise(boxes):
                assert getattr(first, high) <= getattr(second, low) + 1


@pytest.fixture
def readable() -> Callable[[Any], Any]:
    """Draw a figure and look that it can be read; answers the figure."""

    def look(figure: Any) -> Any:
        _drawn(figure)
        _inside(figure)
        _apart(figure)
        for axes in figure.axes:
            assert axes.get_xlabel() or axes.get_ylabel() or axes.get_shared_x_axes().get_siblings(axes) != [axes]
        return figure

    return look


@pytest.fixture
def draw() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def trials(draw: np.random.Generator) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Scores and labels of normal classes; their distance says how good the system is."""

    def make(distance: float = 3.0, targets: int = 200, nontargets: int = 2000) -> tuple[np.ndarray, np.ndarray]:
        scores = np.concatenate([draw.normal(distance, 1, targets), draw.normal(0, 1, nontargets)])
        return scores, np.arange(targets + nontargets) < targets

    return make
