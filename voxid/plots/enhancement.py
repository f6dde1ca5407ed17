"""What enhancement did to a recording: before beside after, on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from voxid.errors import DataError
from voxid.plots import style
from voxid.plots.signal import AMPLITUDE, RANGE, bounds, draw_spectrogram, draw_waveform, named
from voxid.plots.spectrum import checked, highest, spectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def enhancement(
    before: ArrayLike,
    after: ArrayLike,
    rate: int,
    *,
    labels: Sequence[str] = (),
    max_frequency: float | None = None,
    dynamic_range: float = RANGE,
    title: str | None = None,
) -> Figure:
    """Waveforms above spectrograms in dBFS, before on the left and after on the right; one scale of amplitude, time and colour.

    Args:
        before, after: [T], at one rate in Hz; their lengths may differ.
        labels: Names of the two.
        max_frequency, dynamic_range: As of `spectrogram`.

    Raises:
        DataError: ``E_SHAPE``, ``E_NOT_FINITE``.

    Example:
        >>> [axes.get_title() for axes in enhancement(np.ones(800), np.zeros(800), 8000).axes[:2]]
        ['before', 'after']
    """
    pair = [checked(one, rate) for one in (before, after)]
    if any(one.ndim != 1 for one in pair):
        raise DataError(f"expected two waveforms [T], got {[list(one.shape) for one in pair]}", "E_SHAPE")
    names = named(labels, 2, ("before", "after"))
    spectra, top = [spectrum(one, rate) for one in pair], highest(max_frequency, rate)
    low, high = bounds(spectra, dynamic_range)
    figure = style.new_figure(9.6, 5.0)
    panels = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(1, 2))
    peak = max(float(np.abs(one).max()) for one in pair)
    for column in range(2):
        draw_waveform(panels[0, column], pair[column], rate, style.COLOURS[0], peak)
        style.label(panels[0, column], "", AMPLITUDE.partition(" ")[0] if column == 0 else "", names[column])
        image = draw_spectrogram(panels[1, column], spectra[column], top, low, high)
        panels[1, column].set_xlabel("time (s)")
    panels[0, 0].set_ylabel("amplitude\n(full scale = 1)")
    panels[1, 1].set_ylabel("")
    panels[1, 0].set_xlim(0, max(len(one) for one in pair) / rate)
    figure.colorbar(image, ax=list(panels[1]), label="level (dBFS)", pad=0.01)
    figure.suptitle(style.shown(title or "Before and after enhancement"), fontsize=11)
    return style.finish(figure)
