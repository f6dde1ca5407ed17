"""The causal SuDoRM-RF: what it hears, and its stream."""

import math

import pytest
import torch

from voxid.errors import ModelError
from voxid.models.separation.causal import CausalBlock, RunningLevel
from voxid.models.separation.sudormrf import SuDoRMRF

SMALL = {"num_basis": 12, "channels": 8, "hidden": 16, "num_blocks": 2, "downsamplings": 3, "groups": 4}


def small(variant: str, **options: object) -> SuDoRMRF:
    """A net whose norms, slopes and gains are those of no fresh one."""
    torch.manual_seed(0)
    net = SuDoRMRF(variant=variant, **(SMALL | options))
    for parameter in net.parameters():
        if parameter.ndim <= 1 and parameter.requires_grad:
            torch.nn.init.uniform_(parameter, -0.8, 0.8)
    return net.eval()


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("when", [400, 1003])
def test_the_causal_net_hears_one_hop_ahead_at_most(when: int) -> None:
    net, waveform = small("causal"), noise(1, 1600)
    other = waveform.clone()
    other[:, when] += 1.0
    with torch.inference_mode():
        change = (net(other) - net(waveform)).abs().amax(dim=(0, 1))
    assert not change[: when - net.stream().delay].any()
    assert change[when - net.stream().delay : when + 1].any()
    with torch.inference_mode():
        whole = small("improved")
        assert (whole(other) - whole(waveform))[..., : when - 100].any()


@pytest.mark.parametrize(
    "options",
    [{}, {"mixture_consistency": True}, {"sample_rate": 16000}, {"normalize": False}, {"mask": "relu"}, {"downsamplings": 0}],
)
@pytest.mark.parametrize("sizes", [[3000], [1] * 25 + [10] * 30, [0, 7, 1000, 3, 333], [160] * 12])
def test_a_stream_gives_what_the_whole_gives(options: dict, sizes: list[int]) -> None:
    net = small("causal", **options)
    waveform = noise(sum(sizes)) * torch.linspace(0.01, 1, sum(sizes))
    stream, place, pieces = net.stream(), 0, []
    for size in sizes:
        pieces.append(stream.push(waveform[place : place + size]))
        place += size
        assert place - sum(piece.shape[1] for piece in pieces) <= stream.delay
    streamed = torch.cat([*pieces, stream.flush()], dim=1)
    with torch.inference_mode():
        whole = net(waveform[None])[0]
    assert streamed.shape == whole.shape
    assert torch.allclose(streamed, whole, rtol=0, atol=1e-5 * float(whole.abs().max()))


def test_streams_run_side_by_side_and_begin_anew() -> None:
    net, waveform = small("causal"), noise(3, 900)
    stream = net.stream(batch=3)
    assert stream.flush().shape == (3, 2, 0)
    for _ in range(2):
        out = torch.cat([stream.push(waveform[:, :333]), stream.push(waveform[:, 333:]), stream.flush()], dim=2)
        with torch.inference_mode():
            assert torch.allclose(out, net(waveform), atol=1e-5)


def test_a_stream_remembers_no_more_than_its_windows() -> None:
    net = small("causal", sample_rate=800, kernel_size=21)  # 320 frames of level: 3200 samples
    stream = net.stream()
    sizes = []
    for turn in range(6):
        stream.push(noise(2000, seed=turn))
        sizes.append(sum(value.numel() for value in stream._state.values()) + stream._waiting.numel())
    assert len(set(sizes)) == 1


def test_the_level_forgets_what_is_long_ago() -> None:
    net = small("causal", sample_rate=800, kernel_size=21)
    waveform = torch.cat([noise(8000), 1e-3 * noise(8000, seed=1)])
    stream = net.stream()
    streamed = torch.cat([*(stream.push(piece) for piece in waveform.split(700)), stream.flush()], dim=1)
    with torch.inference_mode():
        whole, quiet = net(waveform[None])[0], net(waveform[None, 8000:])[0]
    assert torch.allclose(streamed, whole, rtol=0, atol=1e-5 * float(whole.abs().max()))
    late = slice(-3000, None)
    assert torch.allclose(whole[:, late], quiet[:, late], rtol=0, atol=1e-3 * float(quiet.abs().max()))


def test_the_level_is_the_root_mean_square_of_the_last_samples() -> None:
    level, waveform = RunningLevel(hop=4, frames=5), noise(2, 1, 101)
    found = level(waveform)[:, 0]
    for n in range(found.shape[1]):
        heard = waveform[:, 0, max(0, n * 4 + 1 - 20) : n * 4 + 1]
        assert torch.allclose(found[:, n], heard.square().mean(dim=1).sqrt(), rtol=1e-5)
    assert found.shape == (2, math.ceil(101 / 4))


@pytest.mark.parametrize("variant", ["original", "improved", "groupcomm"])
def test_only_a_causal_net_has_a_stream(variant: str) -> None:
    with pytest.raises(ModelError, match="causal") as caught:
        small(variant).stream()
    assert caught.value.code == "E_STREAM"


def test_a_bad_chunk_leaves_a_stream_as_it_was() -> None:
    net, waveform = small("causal"), noise(500)
    stream = net.stream()
    first = stream.push(waveform[:200])
    for bad, code in (
        (torch.zeros(2, 5), "E_SHAPE"),
        (torch.zeros(5, dtype=torch.int16), "E_SHAPE"),
        (torch.tensor([math.nan]), "E_NOT_FINITE"),
    ):
        with pytest.raises(ModelError) as caught:
            stream.push(bad)
        assert caught.value.code == code
    out = torch.cat([first, stream.push(waveform[200:]), stream.flush()], dim=1)
    with torch.inference_mode():
        assert torch.allclose(out, net(waveform[None])[0], atol=1e-5)


def test_fresh_causal_blocks_change_nothing() -> None:
    x = noise(1, 8, 40)
    assert torch.equal(CausalBlock(8, 16, 2)(x), x)
