"""The decoder of separators: torch's transposed convolution by another way."""

import pytest
import torch
from torch import nn

from voxid.models.separation.decoder import Decoder
from voxid.models.separation.sudormrf import SuDoRMRF, WholeNet
from voxid.registry import build


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("kernel_size", [3, 21, 161])
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_equals_the_transposed_convolution(separate: bool, kernel_size: int, frames: int) -> None:
    decoder = Decoder(6, 2, kernel_size, separate=separate, bias=separate).double()
    x = torch.randn(3, 12, frames, dtype=torch.double, requires_grad=True)
    ours, theirs = decoder(x), nn.ConvTranspose1d.forward(decoder, x)
    assert ours.shape == (3, 2, frames * (kernel_size // 2))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    weights = torch.randn_like(ours)
    for found, expected in zip(
        torch.autograd.grad(ours, (x, decoder.weight), weights),
        torch.autograd.grad(theirs, (x, decoder.weight), weights),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", ["improved", "groupcomm"])
def test_a_fourier_basis_gives_the_mixture_back(variant: str) -> None:
    net = SuDoRMRF(variant=variant, num_basis=64, kernel_size=41, channels=16, hidden=32, num_blocks=1, basis="fourier", groups=4)
    assert isinstance(net.net, WholeNet)
    x = torch.randn(2, 1013)
    frames, _, level = net.net.encode(x, None)
    out = net.net.decoder(torch.cat([frames, 0 * frames], dim=1))[:, :, : x.shape[1]]
    heard = x - x.mean(1, keepdim=True)
    whole = 1000  # behind the centre of the last frame, no second one overlaps it
    torch.testing.assert_close((out[:, 0] * level)[:, :whole], heard[:, :whole], rtol=0, atol=2e-5)
    assert not out[:, 1].any()
    assert build("separation", net.spec).spec == net.spec


@pytest.mark.parametrize("variant", ["original", "causal"])
def test_a_basis_that_a_variant_has_not_is_refused(variant: str) -> None:
    with pytest.raises(ValueError, match="improved and groupcomm"):
        SuDoRMRF(variant=variant, num_basis=64, channels=16, hidden=32, num_blocks=1, basis="fourier")
