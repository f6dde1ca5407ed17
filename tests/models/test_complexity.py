"""Costs against the worked example of an article, torch's own counter, and figures that others published."""

import pytest
import torch
from torch import nn

from voxid.models.complexity import Cost, convolution, depthwise, macs, parameters, pointwise, separable
from voxid.registry import build


def test_the_worked_example() -> None:
    """12 x 12 x 3 in, 5 x 5 taps, 256 channels out: 8 x 8 x 256."""
    assert convolution(3, 256, (5, 5), (8, 8)) == Cost(19_200, 1_228_800)
    assert depthwise(3, (5, 5), (8, 8)) + pointwise(3, 256, (8, 8)) == Cost(843, 53_952)
    assert separable(3, 256, (5, 5), (8, 8)) == Cost(843, 53_952)


LAYERS = [
    (nn.Conv1d(6, 4, 3, bias=False), (2, 6, 11)),
    (nn.Conv1d(6, 9, 5, stride=2, groups=3), (1, 6, 20)),
    (nn.Conv2d(4, 8, (3, 2), groups=2), (1, 4, 7, 9)),
    (nn.Conv2d(5, 5, 3, groups=5, bias=False), (3, 5, 8, 8)),
    (nn.Conv3d(2, 3, (1, 2, 3)), (1, 2, 4, 4, 4)),
    (nn.ConvTranspose1d(4, 6, 5, stride=2, groups=2), (1, 4, 10)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS)
def test_a_layer_costs_what_torch_counts(layer: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.zeros(shape)
    steps = (x if isinstance(layer, nn.ConvTranspose1d) else layer(x)).shape[2:]
    cost = convolution(
        layer.in_channels, layer.out_channels, layer.kernel_size, steps, groups=layer.groups, bias=layer.bias is not None
    )
    assert cost.parameters == parameters(layer)
    assert cost.multiplications * shape[0] == macs(layer, x)


def test_a_net_costs_the_sum_of_its_layers() -> None:
    """Layer by layer, as hooks see them run, against the count of the whole."""
    with torch.device("meta"):
        net = build("separation", {"name": "sudormrf", "size": "0.5x", "variant": "improved"})
        waveform = torch.zeros(1, 8000)
    costs = []

    def note(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        steps = (inputs[0] if isinstance(layer, nn.ConvTranspose1d) else output).shape[2:]
        sizes = layer.in_channels, layer.out_channels, layer.kernel_size
        costs.append(convolution(*sizes, steps, groups=layer.groups, bias=layer.bias is not None))

    for module in net.modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            module.register_forward_hook(note)
    total = macs(net, waveform)
    assert sum(costs, Cost(0, 0)).multiplications == total
    norms = sum(parameters(module) for module in net.modules() if hasattr(module, "eps"))
    slopes = sum(parameters(module) for module in net.modules() if isinstance(module, nn.PReLU))
    assert sum(costs, Cost(0, 0)).parameters + norms + slopes == parameters(net)


@pytest.mark.parametrize(("size", "giga"), [("0.25x", 0.986), ("0.5x", 1.422), ("1.0x", 2.292), ("2.0x", 4.03), ("2.5x", 4.90)])
def test_a_second_of_a_separator_costs_what_was_counted_for_it(size: str, giga: float) -> None:
    """Giga-MACs for one second at 8 kHz of the authors' nets; theirs also multiply the taps that lie beyond the bases."""
    with torch.device("meta"):
        net, waveform = build("separation", {"name": "sudormrf", "size": size}), torch.zeros(1, 8000)
    assert macs(net, waveform) / 1e9 == pytest.approx(giga, rel=1.5e-3)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((3, 256, (0, 5), (8, 8)), "1 or more"),
        ((3, 256, (5, 5), (8,)), "axes"),
    ],
)
def test_what_makes_no_layer_is_refused(arguments: tuple, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        convolution(*arguments)
    with pytest.raises(ValueError, match="multiples of groups"):
        convolution(3, 256, (5, 5), (8, 8), groups=2)
