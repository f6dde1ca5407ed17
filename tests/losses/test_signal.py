"""Losses of waveforms: against the metrics, torchmetrics and NumPy; padding, silence and what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import stft
from torch import Tensor, nn

from voxid import registry
from voxid.errors import ConfigError, DataError
from voxid.losses.signal import PhasenLoss, SiSdr, Snr
from voxid.metrics.signal import si_sdr, snr
from voxid.models.separation.mixture import mixture_consistency

NAMES = registry.names("signal_loss")
ARGUMENTS = {"sum": {"parts": ["si_sdr", "phasen"]}}  # what a loss cannot be built without


def loss_named(name: str) -> Callable[..., Tensor]:
    """A loss with one value per waveform [B, S, T], whatever the kind."""
    loss: nn.Module = registry.build("signal_loss", {"name": name} | ARGUMENTS.get(name, {}))
    return loss


def waveforms(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    target = 0.3 * torch.randn(shape, generator=draw)
    return 0.8 * target + 0.1 * torch.randn(shape, generator=draw) + 0.02, target


def test_there_are_losses() -> None:
    assert {"phasen", "pit", "si_sdr", "snr", "sum"} <= set(NAMES)


@pytest.mark.parametrize("zero_mean", [True, False])
def test_si_sdr_is_the_metric_turned_around(zero_mean: bool) -> None:
    estimate, target = waveforms(2, 3, 500)
    found = SiSdr(zero_mean=zero_mean)(estimate, target)
    torch.testing.assert_close(found, -si_sdr(estimate, target, zero_mean=zero_mean), rtol=1e-4, atol=1e-3)


def test_si_sdr_is_that_of_torchmetrics() -> None:
    reference = pytest.importorskip("torchmetrics.functional.audio").scale_invariant_signal_noise_ratio
    estimate, target = waveforms(4, 300)
    torch.testing.assert_close(SiSdr()(estimate, target), -reference(estimate, target), rtol=1e-4, atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["si_sdr", "snr"]), st.sampled_from([1e-3, 0.1, 100.0]), st.integers(0, 50))
def test_ratios_do_not_hear_the_level_of_a_recording(name: str, scale: float, seed: int) -> None:
    estimate, target = waveforms(200, seed=seed)
    loss, mixture = loss_named(name), target + 0.1
    expected = loss(estimate, target, mixture=mixture)
    torch.testing.assert_close(loss(scale * estimate, scale * target, mixture=scale * mixture), expected, rtol=1e-3, atol=1e-2)


def test_si_sdr_ends_at_its_bounds() -> None:
    target = torch.tensor([1.0, -1.0, 1.0, -1.0])
    other = torch.tensor([1.0, 1.0, -1.0, -1.0])
    assert SiSdr()(torch.stack([target, other]), torch.stack([target, target])).tolist() == [-30.0, 30.0]
    assert SiSdr()(torch.zeros(4), target).item() == pytest.approx(30, abs=1e-4)
    assert SiSdr(clamp=None)(target + 1e-3 * other, target).item() == pytest.approx(-60, abs=0.01)


def test_a_silent_target_costs_nothing_in_si_sdr_and_moves_nothing() -> None:
    estimate = torch.randn(2, 50, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = SiSdr()(estimate, torch.stack([torch.zeros(50), torch.full((50,), 0.2)]))
    loss.sum().backward()
    assert loss.tolist() == [0.0, 0.0]
    assert estimate.grad.abs().sum() == 0


def test_snr_is_the_metric_below_its_ceiling() -> None:
    estimate, target = waveforms(3, 200)
    wide = Snr(max_snr=120.0)(estimate, target, mixture=target)
    torch.testing.assert_close(wide, -snr(estimate, target), rtol=1e-4, atol=1e-3)
    soft = 10 ** (-snr(estimate, target).double() / 10) + 1e-2
    torch.testing.assert_close(
        Snr(max_snr=20.0)(estimate, target, mixture=target).double(), 10 * soft.log10(), rtol=1e-4, atol=1e-3
    )


def test_snr_of_a_silent_target_is_what_is_left_of_the_mixture() -> None:
    mixture = torch.randn(300, generator=torch.Generator().manual_seed(0))
    for left in (1.0, 0.1, 0.0):
        expected = 10 * np.log10(left**2 + 1e-3)
        assert Snr()(left * mixture, 0 * mixture, mixture=mixture).item() == pytest.approx(expected, abs=1e-3)
    # 41 dB below the mixture is silent, 39 dB is not: then the target itself is what the estimate should be
    for level, silent in ((41, True), (39, False)):
        quiet = 10 ** (-level / 20) * mixture
        loss = Snr()(quiet, quiet, mixture=mixture).item()
        assert loss == pytest.approx(10 * np.log10(10 ** (-level / 10) + 1e-3) if silent else -30.0, abs=1e-2)


def test_snr_asks_for_the_mixture() -> None:
    with pytest.raises(DataError, match="wants the mixture") as caught:
        Snr()(torch.ones(3), torch.ones(3))
    assert caught.value.code == "E_MIXTURE"


def test_phasen_is_its_formula_on_scipys_spectra() -> None:
    estimate, target = (waveform.double().numpy() for waveform in waveforms(1600))
    weight, power = 0.3, 0.4
    spectra = []
    for waveform in (estimate, target):
        padded = np.pad(waveform, (240, 320))  # the first of 12 frames ends with the first hop
        whole = stft(padded, window="hann", nperseg=400, noverlap=240, nfft=512, boundary=None, padded=False)[2] * 200
        spectra.append(np.abs(whole) ** power * np.exp(1j * np.angle(whole)))
    amplitude = np.mean((np.abs(spectra[0]) - np.abs(spectra[1])) ** 2)
    expected = weight * amplitude + (1 - weight) * np.mean(np.abs(spectra[0] - spectra[1]) ** 2)
    loss = PhasenLoss(amplitude_weight=weight, power=power)
    assert loss(*waveforms(1600)).item() == pytest.approx(expected, rel=1e-3)


def test_phasen_hears_amplitude_and_phase_apart() -> None:
    _, target = waveforms(2, 1600)
    assert PhasenLoss(amplitude_weight=1.0)(-target, target).abs().max() < 1e-9
    assert PhasenLoss(amplitude_weight=0.0)(-target, target).min() > 0.1
    assert PhasenLoss()(target, target).tolist() == [0.0, 0.0]


def test_phasen_takes_spectra_as_they_are() -> None:
    estimate, target = waveforms(2, 1600)
    loss, ends = PhasenLoss(), torch.tensor([700, 1600])
    spectra = [loss.frames.analyse(waveform) for waveform in (estimate, target)]
    torch.testing.assert_close(loss.spectral(*spectra), loss(estimate, target))
    cut = [torch.where(torch.arange(1600) < ends[:, None], waveform, 0.0) for waveform in (estimate, target)]
    frames = loss.frames.num_frames(ends)
    torch.testing.assert_close(loss.spectral(*map(loss.frames.analyse, cut), frames), loss(estimate, target, ends))


@pytest.mark.parametrize("name", NAMES)
def test_an_item_of_a_padded_batch_costs_what_it_costs_alone(name: str) -> None:
    estimate, target = waveforms(3, 2, 900)
    target[2, 1] = 0.0
    mixture, ends, loss = target.sum(1) + 0.1, torch.tensor([900, 401, 50]), loss_named(name)
    alone = [
        loss(estimate[b : b + 1, :, :end], target[b : b + 1, :, :end], mixture=mixture[b : b + 1, :end])
        for b, end in enumerate(ends)
    ]
    for padding in (0.0, 5.0, torch.nan):
        for waveform in (estimate, target, mixture[:, None]):
            waveform[torch.arange(900).expand_as(waveform) >= ends[:, None, None]] = padding
        torch.testing.assert_close(loss(estimate, target, ends, mixture), torch.cat(alone), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "what", ["silent estimate", "silent target", "both silent", "equal", "full scale", "one sample", "faint"]
)
def test_losses_and_gradients_are_finite(name: str, what: str) -> None:
    estimate, target = waveforms(2, 2, 1 if what == "one sample" else 600)
    if what == "full scale":
        estimate, target = estimate.sign(), target.sign()
    estimate = {"silent estimate": 0 * estimate, "both silent": 0 * estimate, "equal": target, "faint": 1e-20 * estimate}.get(
        what, estimate
    )
    target = 0 * target if what in ("silent target", "both silent") else target
    estimate = estimate.clone().requires_grad_()
    loss = loss_named(name)(estimate, target, mixture=target.sum(1))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(estimate.grad).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_step_downhill_costs_less(name: str) -> None:
    estimate, target = waveforms(1, 2, 600)
    estimate.requires_grad_()
    loss, mixture = loss_named(name), target.sum(1)
    before = loss(estimate, target, mixture=mixture).sum()
    (slope,) = torch.autograd.grad(before, estimate)
    assert loss(estimate.detach() - 0.01 * slope / slope.norm(), target, mixture=mixture).sum() < before


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("broken", ["estimate", "target"])
def test_what_is_not_a_number_does_not_hide(name: str, broken: str) -> None:
    estimate, target = waveforms(1, 2, 600)
    {"estimate": estimate, "target": target}[broken][0, :, 3] = torch.nan
    assert torch.isnan(loss_named(name)(estimate, target, mixture=torch.ones(1, 600))).all()


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_goes_in_and_float32_comes_out(name: str) -> None:
    estimate, target = waveforms(1, 2, 600)
    loss, mixture = loss_named(name), target.sum(1)
    expected = loss(estimate.bfloat16().float(), target, mixture=mixture)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(estimate.bfloat16(), target, mixture=mixture)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "si_sdr", "clamp": 0.0},
        {"name": "snr", "max_snr": float("nan")},
        {"name": "phasen", "power": 0.0},
        {"name": "phasen", "amplitude_weight": 1.5},
        {"name": "phasen", "hop": 500},
    ],
    ids=str,
)
def test_arguments_out_of_range_are_refused(spec: dict) -> None:
    with pytest.raises(ConfigError, match=spec["name"]):
        registry.build("signal_loss", spec)


@pytest.mark.parametrize(("estimate", "target"), [((2, 5), (2, 6)), ((5,), (2, 5)), ((0,), (0,))], ids=str)
def test_waveforms_that_do_not_go_together_are_refused(estimate: tuple[int, ...], target: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="alike") as caught:
        SiSdr()(torch.ones(estimate), torch.ones(target))
    assert caught.value.code == "E_SHAPE"


@pytest.mark.parametrize("weighted", [False, True])
def test_consistent_estimates_sum_to_the_mixture_and_move_least(weighted: bool) -> None:
    estimate, target = waveforms(2, 3, 50)
    mixture = target.sum(1)
    weights = torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]) if weighted else None
    found = mixture_consistency(estimate, mixture, weights)
    torch.testing.assert_close(found.sum(1), mixture)
    torch.testing.assert_close(mixture_consistency(found, mixture, weights), found)
    if weighted:
        torch.testing.assert_close(found[1, 1:], estimate[1, 1:])
    else:  # the nearest point of the plane of estimates that sum to the mixture
        moved = (found - estimate).flatten(2)
        torch.testing.assert_close(moved, moved.mean(1, keepdim=True).expand_as(moved))
