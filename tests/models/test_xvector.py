"""The x-vector net against a plain reading: layers without padding, one tap at a time, in double precision."""

import pytest
import torch

from voxid.models.layers import frame_mask
from voxid.models.speaker.xvector import XVector

LAYOUT = ((5, 1), (3, 2), (3, 3), (1, 1), (1, 1))  # kernel and dilation, after table 1 of the paper: 15 frames of context


def xvector(seed=0, **options):
    torch.manual_seed(seed)
    net = XVector(12, channels=16, output_dim=20, **options)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.normal_(module.bias, 0, 0.2)
    return net.eval()


def reference(weights, x):
    """Frames [C, N - 14] of one item [F, N] from a state dict."""
    w = {name: value.double() for name, value in weights.items()}
    x = x.double()
    for place, (kernel, dilation) in enumerate(LAYOUT, 1):
        name = f"frame_{place}"
        matrix = w[f"{name}.conv_1d.weight"]
        left = x.shape[1] - (kernel - 1) * dilation
        y = sum(matrix[:, :, tap] @ x[:, tap * dilation : tap * dilation + left] for tap in range(kernel))
        y = (y + w[f"{name}.conv_1d.bias"][:, None]).clamp(min=0)
        y = (y - w[f"{name}.bn.running_mean"][:, None]) / (w[f"{name}.bn.running_var"][:, None] + 1e-5) ** 0.5
        if f"{name}.bn.weight" in w:
            y = y * w[f"{name}.bn.weight"][:, None] + w[f"{name}.bn.bias"][:, None]
        x = y
    return x


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("num_frames", [15, 16, 90])
def test_the_same_weights_give_the_same_frames(affine, num_frames):
    net, x = xvector(affine=affine, padding=False), torch.randn(2, 12, num_frames)
    with torch.no_grad():
        ours = net(x)
    for item in range(2):
        torch.testing.assert_close(ours[item].double(), reference(net.state_dict(), x[item]), atol=1e-5, rtol=1e-5)


def test_padding_keeps_the_frames_inside_and_adds_seven_at_each_edge():
    net, x = xvector(), torch.randn(1, 12, 60)
    with torch.no_grad():
        ours = net(x)[0]
    assert ours.shape == (20, 60)
    torch.testing.assert_close(ours[:, 7:-7].double(), reference(net.state_dict(), x[0]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("padding", [True, False])
def test_a_batch_gives_each_item_the_frames_that_it_gets_alone(padding):
    net, lengths = xvector(padding=padding), torch.tensor([50, 1, 14, 15, 16, 33])
    x = torch.randn(6, 12, 50)
    for item, length in enumerate(lengths):
        x[item, :, length:] = 100.0
    with torch.no_grad():
        together = net(x, frame_mask(lengths, 50))
        for item, length in enumerate(lengths):
            alone = net(x[item : item + 1, :, :length])[0]
            assert alone.shape[1] == net.num_frames(lengths)[item]
            torch.testing.assert_close(together[item, :, : alone.shape[1]], alone, atol=1e-5, rtol=0)
    assert net.num_frames(lengths).tolist() == ([50, 1, 14, 15, 16, 33] if padding else [36, 1, 1, 1, 2, 19])


def test_a_short_item_without_padding_is_filled_with_zeros():
    net, x = xvector(padding=False), torch.randn(1, 12, 6)
    filled = torch.cat([x[0], torch.zeros(12, 9)], dim=1)
    with torch.no_grad():
        torch.testing.assert_close(net(x)[0].double(), reference(net.state_dict(), filled), atol=1e-5, rtol=1e-5)


def test_parameters_are_those_of_wespeaker():
    """wespeaker's XVEC with F = 80 and D = 512 has 4,610,524: these layers, Linear 3000 -> 512 and Linear 512 -> 512."""
    net = XVector(80)
    count = sum(parameter.numel() for parameter in net.parameters())
    assert count == 2_811_356
    assert count + (2 * net.output_dim * 512 + 512) + (512 * 512 + 512) == 4_610_524
    assert sum(parameter.numel() for parameter in XVector(80, affine=True).parameters()) == count + 2 * (4 * 512 + 1500)
