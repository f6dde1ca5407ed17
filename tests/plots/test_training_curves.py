"""Curves of trainings: panels with units, runs that differ."""

from __future__ import annotations

import numpy as np
import pytest

from voxid.errors import DataError
from voxid.plots.training_curves import training_curves

STEPS = np.arange(1, 11) * 100


def run(scale: float) -> dict:
    return {"loss": (STEPS, scale * 10 / STEPS), "eer": (STEPS[4::5], [0.1 * scale, 0.05 * scale]), "lr": (STEPS, 1e-3 / STEPS)}


def test_rates_are_drawn_in_per_cent_over_steps(readable) -> None:
    loss, error, rate = readable(training_curves({"mine": run(1.0)})).axes
    assert loss.lines[0].get_xydata() == pytest.approx(np.column_stack([STEPS, 10 / STEPS]))
    assert error.lines[0].get_xydata() == pytest.approx(np.array([[500, 10.0], [1000, 5.0]]))
    assert error.lines[0].get_drawstyle() == "steps-post"
    labels = [axes.get_ylabel() for axes in (loss, error, rate)]
    assert labels == ["training loss", "EER, validation (%)", "learning rate"]
    assert rate.get_xlabel() == "training step"


def test_decibels_of_a_validation_have_a_panel_of_their_own(readable) -> None:
    curves = {"loss": (STEPS, -STEPS / 100), "si_sdr_improvement": (STEPS[4::5], [1.5, 3.0]), "pesq": (STEPS[4::5], [1.3, 1.5])}
    _, ratio, quality = readable(training_curves({"mine": curves})).axes
    assert ratio.lines[0].get_xydata() == pytest.approx(np.array([[500, 1.5], [1000, 3.0]]))
    assert "(dB)" in ratio.get_ylabel()
    assert quality.lines[0].get_xydata() == pytest.approx(np.array([[500, 1.3], [1000, 1.5]]))


def test_runs_keep_their_look_in_all_panels_though_one_lacks_a_curve(readable) -> None:
    short = {name: curve for name, curve in run(2.0).items() if name != "loss"}
    figure = readable(training_curves({"short": short, "one": run(1.0), "two": run(0.5)}))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two", "short"]
    for name in ("one", "two"):
        looks = {
            (line.get_color(), line.get_linestyle()) for axes in figure.axes for line in axes.lines if line.get_label() == name
        }
        assert len(looks) == 1


def test_many_runs_are_readable(readable) -> None:
    figure = readable(training_curves({f"run {number}": run(1 + number) for number in range(12)}))
    assert len(figure.legends[0].get_texts()) == 12


def test_a_single_epoch_is_seen(readable) -> None:
    line = readable(training_curves({"mine": {"loss": ([10], [3.0])}})).axes[0].lines[0]
    assert line.get_marker() == "o"


@pytest.mark.parametrize(
    "runs", [{}, {"mine": {}}, {"mine": {"other": ([1], [1])}}, {"mine": {"loss": ([], [])}}, {"mine": {"loss": ([1, 2], [1])}}]
)
def test_nothing_to_draw_is_an_error(runs) -> None:
    with pytest.raises(DataError) as caught:
        training_curves(runs)
    assert caught.value.code == "E_SHAPE"
