"""SNR: against NumPy in float64, and what is defined where a ratio is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voxid.errors import DataError
from voxid.metrics.signal import snr


@pytest.mark.parametrize("shape", [(50,), (3, 50), (2, 3, 1)])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_it_is_the_ratio_of_the_powers(shape: tuple[int, ...], scale: float) -> None:
    draw = np.random.default_rng(0)
    target = (scale * draw.standard_normal(shape)).astype(np.float32)
    estimate = (target * (1 + 0.1 * draw.standard_normal(shape))).astype(np.float32)
    noise = estimate.astype(np.float64) - target
    wanted = 10 * np.log10((target.astype(np.float64) ** 2).sum(-1) / (noise**2).sum(-1))
    found = snr(torch.from_numpy(estimate), torch.from_numpy(target))
    assert (found.shape, found.dtype) == (shape[:-1], torch.float32)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5)


def test_scale_and_offset_count_as_noise() -> None:
    target = torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert snr(0.9 * target, target).item() == pytest.approx(20.0, abs=1e-4)
    assert snr(target + 0.1, target).item() == pytest.approx(20.0, abs=1e-4)


def test_only_a_silent_target_or_one_that_is_not_finite_has_no_ratio() -> None:
    target = torch.tensor([[1.0, 2.0], [0.0, 0.0], [1.0, torch.nan], [torch.inf, 1.0], [1.0, 2.0], [1.0, 2.0]])
    estimate = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [-torch.inf, 1.0], [torch.nan, 1.0]])
    assert torch.isnan(snr(estimate, target)).tolist() == [False, True, True, True, True, True]
    assert torch.isnan(snr(torch.zeros(3), torch.zeros(3)))


def test_equal_waveforms_have_no_noise_and_silence_is_as_loud_as_its_noise() -> None:
    target = torch.tensor([0.5, -0.25])
    assert snr(target, target).item() == float("inf")
    assert snr(torch.zeros(2), target).item() == 0.0


def test_it_has_a_gradient() -> None:
    target = torch.tensor([1.0, -1.0, 0.5])
    estimate = torch.tensor([0.8, -1.0, 0.4], requires_grad=True)
    snr(estimate, target).backward()
    assert estimate.grad is not None
    assert torch.isfinite(estimate.grad).all()
    assert estimate.grad[0] > 0


def test_integers_count_as_numbers() -> None:
    assert snr(torch.tensor([110, -90]), torch.tensor([100, -100])).item() == pytest.approx(20.0, abs=1e-4)


@pytest.mark.parametrize(
    ("estimate", "target"), [((3,), (4,)), ((2, 3), (3,)), ((), ()), ((0,), (0,)), ((2, 0), (2, 0))], ids=str
)
def test_shapes_that_do_not_go_together_are_refused(estimate: tuple[int, ...], target: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="of one shape") as caught:
        snr(torch.ones(estimate), torch.ones(target))
    assert caught.value.code == "E_SHAPE"
