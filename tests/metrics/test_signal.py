"""SNR, SI-SDR and SDR: against NumPy, SciPy and other packages, and what is defined where a ratio is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import toeplitz
from torch import Tensor

from voxid.errors import DataError
from voxid.metrics.signal import sdr, si_sdr, si_sdr_improvement, snr

RATIOS = (snr, si_sdr, sdr)


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


def noisy(*shape: int, noise: float = 0.3, seed: int = 0) -> tuple[NDArray, NDArray]:
    """An estimate that is its target through a short filter, with noise and an offset; and the target."""
    draw = np.random.default_rng(seed)
    target = draw.standard_normal(shape)
    blurred = target + 0.4 * np.roll(target, 1, axis=-1)
    return 0.7 * blurred + noise * draw.standard_normal(shape) + 0.05, target


@pytest.mark.parametrize("zero_mean", [True, False])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_si_sdr_is_that_of_torchmetrics(zero_mean: bool, kind: type) -> None:
    reference = pytest.importorskip("torchmetrics.functional.audio").scale_invariant_signal_distortion_ratio
    estimate, target = (torch.from_numpy(values.astype(kind)) for values in noisy(2, 3, 400))
    found = si_sdr(estimate, target, zero_mean=zero_mean)
    assert (found.shape, found.dtype) == ((2, 3), estimate.dtype)
    torch.testing.assert_close(found, reference(estimate, target, zero_mean=zero_mean), rtol=1e-4, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 60), st.integers(0, 99), st.sampled_from([-1e20, -3.0, 1e-20, 0.5]), st.floats(-5, 5))
def test_si_sdr_is_the_fit_of_a_line_whatever_level_sign_and_offset(size: int, seed: int, scale: float, offset: float) -> None:
    estimate, target = noisy(size, seed=seed)
    design = np.stack([target, np.ones(size)], axis=1)
    fit = np.linalg.lstsq(design, estimate, rcond=None)[0]
    wanted = fit[0] * (target - target.mean())
    expected = 10 * np.log10(np.sum(wanted**2) / np.sum((estimate - design @ fit) ** 2))
    found = si_sdr(scale * (estimate + offset), target + offset).item()
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("taps", [1, 3, 20])
def test_sdr_is_the_fit_of_a_filter(taps: int) -> None:
    estimate, target = noisy(50)
    delayed = toeplitz(np.r_[target, np.zeros(taps - 1)], np.r_[target[0], np.zeros(taps - 1)])  # column k: k samples late
    padded = np.r_[estimate, np.zeros(taps - 1)]
    wanted = delayed @ np.linalg.lstsq(delayed, padded, rcond=None)[0]
    expected = 10 * np.log10(np.sum(wanted**2) / np.sum((padded - wanted) ** 2))
    assert sdr(estimate, target, filter_length=taps).item() == pytest.approx(expected, abs=1e-6)


def test_sdr_is_that_of_other_packages() -> None:
    estimate, target = noisy(2, 2000)
    fast = pytest.importorskip("fast_bss_eval")
    np.testing.assert_allclose(
        sdr(estimate, target).numpy(), [fast.sdr(t[None], e[None])[0] for e, t in zip(estimate, target, strict=True)], atol=1e-4
    )


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_sdr_is_that_of_bss_eval() -> None:
    separation = pytest.importorskip("mir_eval.separation")
    estimate, target = noisy(2, 1500)
    expected = separation.bss_eval_sources(target, estimate, compute_permutation=False)[0]
    np.testing.assert_allclose(sdr(estimate, target).numpy(), expected, atol=1e-4)


def test_a_filter_is_no_distortion_for_sdr_and_one_for_si_sdr() -> None:
    draw = np.random.default_rng(0)
    target = np.r_[draw.standard_normal(3000), np.zeros(600)]
    room = draw.standard_normal(500) * np.exp(-np.arange(500) / 100)
    reverberant = np.convolve(target, room)[:3600]
    assert sdr(reverberant, target) > 80
    assert si_sdr(reverberant, target) < 0


def test_sdr_of_a_target_of_one_frequency_is_finite() -> None:
    tone = np.sin(0.1 * np.arange(2000))
    found = sdr(tone + 0.1 * np.random.default_rng(0).standard_normal(2000), tone).item()
    assert 15 < found < 30


@pytest.mark.parametrize("ratio", [si_sdr, sdr])
def test_nothing_of_the_target_is_the_least_ratio_and_never_minus_infinity(ratio: Callable[..., Tensor]) -> None:
    target = torch.tensor([1.0, -1.0, 0.0, 0.0]).expand(2, 4)
    estimate = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, -1.0, -1.0]])
    options = {"filter_length": 1} if ratio is sdr else {}
    assert ratio(estimate, target, **options).tolist() == [-100.0, -100.0]


@pytest.mark.parametrize("ratio", RATIOS)
def test_a_silent_or_endless_item_is_nan_and_spoils_no_other(ratio: Callable[..., Tensor]) -> None:
    estimate, target = (torch.from_numpy(values).float() for values in noisy(5, 100))
    alone = ratio(estimate[0], target[0])
    target[1], target[2, 3], estimate[3, 5] = 0.0, torch.nan, torch.inf
    found = ratio(estimate, target)
    assert torch.isnan(found).tolist() == [False, True, True, True, False]
    assert found[0].item() == pytest.approx(alone.item(), abs=1e-5)


def test_a_constant_target_is_silent_without_its_mean() -> None:
    estimate = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    assert torch.isnan(si_sdr(estimate, torch.full((1000,), 0.1)))
    assert si_sdr(torch.full((1000,), 0.1), estimate).item() == -100.0
    assert not torch.isnan(si_sdr(estimate, torch.full((1000,), 0.1), zero_mean=False))


def test_the_target_itself_is_beyond_all_ratios() -> None:
    target = torch.randn(50, generator=torch.Generator().manual_seed(0))
    assert si_sdr(target, target).item() == float("inf")
    assert si_sdr(0.3 * target, target) > 120
    assert sdr(target, target) > 120


@pytest.mark.parametrize("ratio", RATIOS)
def test_samples_behind_the_end_do_not_count(ratio: Callable[..., Tensor]) -> None:
    estimate, target = (torch.from_numpy(values) for values in noisy(2, 3, 90))
    ends = torch.tensor([40, 90])
    found = ratio(estimate, target, ends)
    alone = torch.stack([ratio(estimate[b, :, :end], target[b, :, :end]) for b, end in enumerate(ends.tolist())])
    torch.testing.assert_close(found, alone)
    estimate[0, :, 40:] = torch.nan
    torch.testing.assert_close(ratio(estimate, target, ends.numpy()), alone)


@pytest.mark.parametrize("ratio", RATIOS)
def test_arrays_count_as_tensors(ratio: Callable[..., Tensor]) -> None:
    estimate, target = noisy(60)
    target.setflags(write=False)
    expected = ratio(torch.from_numpy(estimate[::-1].copy()), torch.tensor(target))
    assert ratio(estimate[::-1], target).item() == pytest.approx(expected.item())


@pytest.mark.parametrize("ratio", RATIOS)
def test_ratios_have_gradients_uphill(ratio: Callable[..., Tensor]) -> None:
    estimate, target = (torch.from_numpy(values) for values in noisy(80))
    estimate.requires_grad_()
    before = ratio(estimate, target)
    (slope,) = torch.autograd.grad(before, estimate)
    assert ratio(estimate.detach() + 1e-4 * slope / slope.norm(), target) > before


def test_improvement_is_the_difference_for_each_source_of_a_mixture() -> None:
    estimate, target = (torch.from_numpy(values) for values in noisy(2, 3, 80))
    mixture = target.sum(1)
    expected = si_sdr(estimate, target) - torch.stack([si_sdr(mixture, target[:, s]) for s in range(3)], dim=1)
    torch.testing.assert_close(si_sdr_improvement(estimate, target, mixture), expected)
    torch.testing.assert_close(si_sdr_improvement(estimate, target, mixture[:, None].expand(2, 3, 80)), expected)


def test_improvement_is_nan_where_there_is_nothing_to_improve() -> None:
    target = torch.tensor([[1.0, -1.0, 0.5], [0.0, 0.0, 0.0]])
    assert torch.isnan(si_sdr_improvement(target + 0.1 * torch.eye(3)[:2], target, target[0])).tolist() == [True, True]


@pytest.mark.parametrize("mixture", [(4,), (3, 5), (2, 4)], ids=str)
def test_a_mixture_of_another_shape_is_refused(mixture: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="the mixture") as caught:
        si_sdr_improvement(torch.ones(2, 5), torch.ones(2, 5), torch.ones(mixture))
    assert caught.value.code == "E_SHAPE"


@pytest.mark.parametrize("lengths", [[0, 3], [1, 6], [1, 2, 3], [[1, 2], [1, 2]]], ids=str)
def test_lengths_that_do_not_fit_are_refused(lengths: list) -> None:
    with pytest.raises(DataError, match="lengths") as caught:
        snr(torch.ones(2, 5), torch.ones(2, 5), torch.tensor(lengths))
    assert caught.value.code == "E_LENGTHS"


def test_a_filter_without_taps_and_complex_waveforms_are_refused() -> None:
    with pytest.raises(DataError, match="filter_length"):
        sdr(torch.ones(3), torch.ones(3), filter_length=0)
    with pytest.raises(DataError, match="real"):
        snr(torch.ones(3, dtype=torch.complex64), torch.ones(3))
