"""Recordings as pictures: the waveform and its spectrogram, flat and in three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid.errors import ConfigError
from voxid.plots import style
from voxid.plots.spectrum import Spectrum, checked, highest, spectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PIXELS = 2000  # columns of a waveform; with more samples, each column shows its lowest and its highest
RANGE = 75.0  # dB below the loudest that the colours tell apart
SURFACE = (90, 150)  # bins and columns of the surface: finer ones are a grey mass
AMPLITUDE = "amplitude (full scale = 1)"


def waveform(samples: ArrayLike, rate: int, *, labels: Sequence[str] = (), title: str | None = None) -> Figure:
    """Amplitude over time in s, a panel a channel, all on one scale.

    Args:
        samples: [T] or [C, T], full scale is 1.
        rate: In Hz.
        labels: Names of the channels.

    Raises:
        DataError: ``E_SHAPE``, ``E_NOT_FINITE``.

    Example:
        >>> len(waveform(np.zeros((2, 800)), 8000).axes)
        2
    """
    channels = np.atleast_2d(checked(samples, rate))
    names = named(labels, len(channels), [f"channel {number + 1}" for number in range(len(channels))])
    figure = style.new_figure(8.0, 1.4 + 1.5 * len(channels))
    panels = figure.subplots(len(channels), 1, sharex=True, squeeze=False)[:, 0]
    for number, (axes, channel) in enumerate(zip(panels, channels, strict=True)):
        draw_waveform(axes, channel, rate, style.COLOURS[number % len(style.COLOURS)], float(np.abs(channels).max()))
        style.label(axes, "", "", None)
        if len(channels) > 1:
            axes.set_title(style.shown(names[number]), fontsize=9, loc="left")
    panels[-1].set_xlabel("time (s)")
    figure.supylabel(AMPLITUDE, fontsize=10)
    figure.suptitle(style.shown(title or "Waveform"), fontsize=11)
    return style.finish(figure)


def draw_waveform(axes: style.Panel, channel: NDArray, rate: int, colour: str, peak: float) -> None:
    """One channel [T]: a line, or where samples outnumber pixels the band from the lowest to the highest."""
    if len(channel) <= 2 * PIXELS:
        axes.plot(np.arange(len(channel)) / rate, channel, color=colour, linewidth=0.8)
    else:
        starts = np.linspace(0, len(channel), PIXELS, endpoint=False).astype(int)
        low, high = np.minimum.reduceat(channel, starts), np.maximum.reduceat(channel, starts)
        axes.fill_between(starts / rate, low, high, color=colour, linewidth=0.4, step="post")
    axes.set_xlim(0, len(channel) / rate)
    bound = 1.08 * peak if peak > 0 else 1.0
    axes.set_ylim(-bound, bound)


def spectrogram(
    samples: ArrayLike, rate: int, *, max_frequency: float | None = None, dynamic_range: float = RANGE, title: str | None = None
) -> Figure:
    """Level in dBFS over time in s and frequency; a sine of full scale is at 0 dBFS.

    Args:
        samples: [T]; of several channels [C, T], the first.
        rate: In Hz.
        max_frequency: Where the figure ends, in Hz; half the rate by default.
        dynamic_range: Decibels below the loudest point that the colours tell apart.

    Raises:
        DataError: ``E_SHAPE``, ``E_NOT_FINITE``.
        ConfigError: A frequency or a range that makes no sense.

    Example:
        >>> spectrogram(np.ones(8000), 8000).axes[0].get_xlabel()
        'time (s)'
    """
    made, top = spectrum(samples, rate), highest(max_frequency, rate)
    low, high = bounds([made], dynamic_range)
    figure = style.new_figure(8.0, 4.0)
    axes = figure.add_subplot()
    image = draw_spectrogram(axes, made, top, low, high)
    axes.set_xlim(0, np.shape(samples)[-1] / rate)
    axes.set_xlabel("time (s)")
    axes.set_title(style.shown(title or "Spectrogram"), fontsize=11)
    figure.colorbar(image, ax=axes, label="level (dBFS)", pad=0.01)
    return style.finish(figure)


def draw_spectrogram(axes: style.Panel, made: Spectrum, top: float, low: float, high: float) -> Any:
    """The picture of a spectrum below `top` Hz, coloured from `low` to `high` dBFS."""
    unit, name = frequency_unit(top)
    half = made.frequencies[1] / 2
    column = (made.seconds[-1] - made.seconds[0]) / (len(made.seconds) - 1)
    extent = (
        made.seconds[0] - column / 2,
        made.seconds[-1] + column / 2,
        -half / unit,
        (made.frequencies[-1] + half) / unit,
    )
    image = axes.imshow(
        made.levels, origin="lower", aspect="auto", extent=extent, cmap=style.MAP, vmin=low, vmax=high, interpolation="nearest"
    )
    axes.set_ylim(0, top / unit)
    axes.set_ylabel(f"frequency ({name})")
    return image


def spectrogram_3d(
    samples: ArrayLike, rate: int, *, max_frequency: float | None = None, dynamic_range: float = RANGE, title: str | None = None
) -> Figure:
    """Level in dBFS as a surface over time in s and frequency, coloured by its height; arguments as of `spectrogram`.

    Example:
        >>> spectrogram_3d(np.ones(8000), 8000).axes[0].name
        '3d'
    """
    top = highest(max_frequency, rate)
    unit, name = frequency_unit(top)
    made = _coarse(spectrum(samples, rate, columns=SURFACE[1]), top)
    low, high = bounds([made], dynamic_range)
    figure = style.new_figure(7.6, 5.2)
    figure.set_layout_engine("none")  # it cuts the labels of a box off
    axes = figure.add_axes((0.0, 0.03, 0.95, 0.95), projection="3d")
    x, y = np.meshgrid(made.seconds, made.frequencies / unit)
    levels = np.clip(made.levels, low, high)
    surface = axes.plot_surface(
        x, y, levels, cmap=style.MAP, vmin=low, vmax=high, rcount=SURFACE[0], ccount=SURFACE[1], linewidth=0, antialiased=False
    )
    surface.set_rasterized(True)
    axes.set_xlabel("time (s)", labelpad=8)
    axes.set_ylabel(f"frequency ({name})", labelpad=8)
    axes.set_zlabel("level (dBFS)", labelpad=6)
    axes.set_box_aspect((1.5, 1.0, 0.6), zoom=1.12)
    axes.zaxis.set_ticks(np.arange(-200, 200, 20))
    axes.set_zlim(low, high)
    axes.view_init(elev=38, azim=-62)
    figure.suptitle(style.shown(title or "Spectrogram"), fontsize=11)
    return style.finish(figure)


def _coarse(made: Spectrum, top: float) -> Spectrum:
    """The bins below `top` in at most as many bands as a surface takes: the loudest of each."""
    kept = made.frequencies <= top
    levels, frequencies = made.levels[kept], made.frequencies[kept]
    starts = np.arange(0, len(levels), -(-len(levels) // SURFACE[0]))
    counts = np.diff(np.append(starts, len(levels)))
    centres = np.add.reduceat(frequencies, starts) / counts
    return Spectrum(np.maximum.reduceat(levels, starts), centres, made.seconds)


def bounds(spectra: Sequence[Spectrum], dynamic_range: float = RANGE) -> tuple[float, float]:
    """One scale of colours in dBFS for several spectra: down from the loudest.

    Raises:
        ConfigError: A range that is no number above 0.
    """
    if not 0 < dynamic_range < np.inf:
        raise ConfigError(f"dynamic_range is a number of decibels above 0, got {dynamic_range}")
    high = max(float(made.levels.max()) for made in spectra)
    return high - dynamic_range, high


def frequency_unit(top: float) -> tuple[float, str]:
    """Hz up to 2 kHz, kHz above.

    Example:
        >>> frequency_unit(8000), frequency_unit(500)
        ((1000.0, 'kHz'), (1.0, 'Hz'))
    """
    return (1000.0, "kHz") if top > 2000 else (1.0, "Hz")


def named(labels: Sequence[str], count: int, defaults: Sequence[str]) -> list[str]:
    """The labels, or the defaults where there are none.

    Raises:
        ConfigError: Another number of labels than of things.
    """
    if not labels:
        return list(defaults)
    if len(labels) != count:
        raise ConfigError(f"labels: expected {count}, one for each, got {len(labels)}")
    return list(labels)
