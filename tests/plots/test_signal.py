"""Waveforms and spectrograms: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import pytest

from voxid.errors import ConfigError, DataError
from voxid.plots.signal import PIXELS, spectrogram, spectrogram_3d, waveform
from voxid.plots.spectrum import spectrum

RATE = 16000


def test_a_short_waveform_is_a_line_through_its_samples(readable, draw) -> None:
    samples = draw.normal(0, 0.1, 1000)
    axes = readable(waveform(samples, RATE)).axes[0]
    assert axes.lines[0].get_xdata() == pytest.approx(np.arange(1000) / RATE)
    assert axes.lines[0].get_ydata() == pytest.approx(samples, abs=1e-7)
    assert axes.get_xlabel() == "time (s)"
    assert axes.figure.get_supylabel() == "amplitude (full scale = 1)"


def test_a_long_waveform_is_a_band_that_keeps_every_extreme(readable, draw) -> None:
    samples = draw.normal(0, 0.01, 10 * RATE)
    samples[12345], samples[70001] = 0.9, -0.8
    axes = readable(waveform(samples, RATE)).axes[0]
    edges = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (edges.max(), edges.min()) == pytest.approx((0.9, -0.8))
    assert len(edges) < 5 * PIXELS


def test_channels_have_a_panel_each_on_one_scale(readable, draw) -> None:
    samples = np.stack([draw.normal(0, 0.2, 500), draw.normal(0, 0.01, 500)])
    figure = readable(waveform(samples, RATE, labels=["near", "far"]))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["near", "far"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    with pytest.raises(ConfigError, match="expected 2"):
        waveform(samples, RATE, labels=["one"])


def test_eight_channels_and_silence_are_readable(readable) -> None:
    assert len(readable(waveform(np.zeros((8, 100)), RATE)).axes) == 8


@pytest.mark.parametrize(("top", "unit"), [(None, "kHz"), (4000, "kHz"), (1000, "Hz")])
def test_a_spectrogram_shows_the_levels_in_their_places(readable, draw, top: float | None, unit: str) -> None:
    samples = draw.normal(0, 0.1, 3 * RATE)
    axes, bar = readable(spectrogram(samples, RATE, max_frequency=top, dynamic_range=60)).axes
    made, image = spectrum(samples, RATE), axes.images[0]
    assert np.asarray(image.get_array()) == pytest.approx(made.levels)
    assert image.get_clim() == pytest.approx((made.levels.max() - 60, made.levels.max()))
    scale = 1000 if unit == "kHz" else 1
    left, right, bottom, upper = image.get_extent()
    # The centre of the first and of the last cell lie at the first and the last time and frequency.
    width, height = (right - left) / made.levels.shape[1], (upper - bottom) / made.levels.shape[0]
    assert (left + width / 2, right - width / 2) == pytest.approx((made.seconds[0], made.seconds[-1]))
    assert (bottom + height / 2, upper - height / 2) == pytest.approx((0, RATE / 2 / scale), abs=1e-9)
    assert axes.get_ylim() == (0, (top or RATE / 2) / scale)
    assert (axes.get_ylabel(), axes.get_xlabel()) == (f"frequency ({unit})", "time (s)")
    assert bar.get_ylabel() == "level (dBFS)"


def test_a_surface_has_heights_in_db_and_labels_with_units(readable, draw) -> None:
    axes = readable(spectrogram_3d(draw.normal(0, 0.1, 2 * RATE), RATE)).axes[0]
    labels = (axes.get_xlabel(), axes.get_ylabel(), axes.get_zlabel())
    assert labels == ("time (s)", "frequency (kHz)", "level (dBFS)")
    low, high = axes.get_zlim()
    assert high - low == pytest.approx(75)


@pytest.mark.parametrize("samples", [np.zeros(1), np.zeros(4000), np.ones(200)])
@pytest.mark.parametrize("plot", [waveform, spectrogram, spectrogram_3d])
def test_silence_and_single_samples_are_drawn(readable, plot, samples: np.ndarray) -> None:
    readable(plot(samples, RATE))


@pytest.mark.parametrize("plot", [waveform, spectrogram, spectrogram_3d])
def test_nothing_to_draw_is_an_error(plot) -> None:
    with pytest.raises(DataError, match=r"got float64 \[0\]"):
        plot(np.empty(0), RATE)


def test_a_range_is_above_zero() -> None:
    with pytest.raises(ConfigError, match="dynamic_range"):
        spectrogram(np.ones(4000), RATE, dynamic_range=0)
