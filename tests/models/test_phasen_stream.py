"""A causal PHASEN in chunks against the same net on the whole signal."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxid.errors import ModelError
from voxid.models.enhancement.phasen import Phasen

WIDTHS = {"channels": 4, "phase_channels": 3, "recurrent": 6, "dense": 7, "squeeze": 2}
SHAPES = {"50/20": (50, 20), "32/16": (32, 16), "30/30": (30, 30)}


def causal(shape="50/20", size="small", **more):
    torch.manual_seed(0)
    length, hop = SHAPES[shape]
    window = "hamming" if hop == length else "sine"
    net = Phasen(size, causal=True, window_length=length, hop=hop, n_fft=64, window=window, **WIDTHS, **more)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    return net.eval()


NETS = {shape: causal(shape) for shape in SHAPES} | {
    "paper": causal(size="paper", attention_channels=2),
    "huyanxin": causal(size="huyanxin", bounded=False),
}


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) - 0.5


def whole(net, x):
    with torch.inference_mode():
        return net(x[None])[0] if x.ndim == 1 else net(x)


@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(sorted(NETS)), sizes=st.lists(st.integers(0, 400), max_size=12), seed=st.integers(0, 99))
def test_chunks_give_the_samples_of_the_whole(name, sizes, seed):
    net, x = NETS[name], noise(sum(sizes), seed=seed)
    stream, hop = net.stream(), net.frames.hop
    parts = []
    for chunk in x.split(sizes) if sizes else []:
        parts.append(stream.push(chunk))
        heard = sum(len(chunk) for chunk in x.split(sizes)[: len(parts)])
        assert sum(map(len, parts)) == max(0, heard // hop * hop - stream.delay)  # the delay is what it is said to be
    clean = torch.cat([*parts, stream.flush()])
    assert clean.shape == x.shape
    if len(x):
        assert (clean - whole(net, x)).abs().max() < 1e-5


def test_level_forgets_in_a_stream_as_in_the_whole():
    """Longer than the 250 frames that the level is taken over, from loud to soft."""
    net = causal("30/30")
    x = noise(18_000) * torch.logspace(0, -3, 18_000)
    stream = net.stream()
    clean = torch.cat([*(stream.push(chunk) for chunk in x.split(1777)), stream.flush()])
    assert (clean - whole(net, x)).abs().max() < 1e-5
    # What was loud 10 s ago weighs nothing now: the last frames are those of the soft end alone, at its own scale.
    late = net.level(net.frames.analyse(x[None]))[0, 0, 0]
    assert late[-1] < late[0] / 100


def test_signals_run_side_by_side():
    net = causal()
    x = noise(3, 1000)
    stream = net.stream(batch=3)
    clean = torch.cat([stream.push(x[:, :333]), stream.push(x[:, 333:]), stream.flush()], dim=1)
    assert (clean - whole(net, x)).abs().max() < 1e-5


def test_streams_of_one_net_do_not_meet():
    net = causal()
    x, y = noise(2, 600)
    first, second = net.stream(), net.stream()
    parts = [(first.push(a), second.push(b)) for a, b in zip(x.split(100), y.split(100), strict=True)]
    clean = torch.cat([*(a for a, _ in parts), first.flush()])
    assert (clean - whole(net, x)).abs().max() < 1e-5


def test_flush_begins_anew():
    net = causal()
    stream = net.stream()
    stream.push(noise(777))
    stream.flush()
    x = noise(500, seed=1)
    assert (torch.cat([stream.push(x), stream.flush()]) - whole(net, x)).abs().max() < 1e-5
    assert stream.flush().shape == (0,)


def test_memory_does_not_grow():
    stream = causal().stream()

    def held():
        values = [*stream._state.values(), stream._waiting, stream._ahead]
        tensors = [item for value in values for item in (value if isinstance(value, tuple) else (value,))]
        return sum(tensor.untyped_storage().nbytes() for tensor in tensors)

    stream.push(noise(260 * 20))  # more than the level remembers
    before = held()
    for _ in range(20):
        stream.push(noise(400))
    assert held() == before


def test_a_broken_chunk_leaves_no_trace():
    net = causal()
    stream = net.stream()
    x = noise(400)
    parts = [stream.push(x[:170])]
    bad = {"E_NOT_FINITE": torch.tensor([0.1, float("nan")]), "E_SHAPE": torch.zeros(2, 10)}
    for code, chunk in bad.items():
        with pytest.raises(ModelError) as error:
            stream.push(chunk)
        assert error.value.code == code
    clean = torch.cat([*parts, stream.push(x[170:]), stream.flush()])
    assert (clean - whole(net, x)).abs().max() < 1e-5


def test_only_a_causal_net_at_rest_has_a_stream():
    for net in (Phasen("small", **WIDTHS).eval(), causal().train()):
        with pytest.raises(ModelError) as error:
            net.stream()
        assert error.value.code == "E_STREAM"


def test_hops_of_16_ms():
    net = Phasen("small", causal=True, **WIDTHS).eval()
    assert net.frames.hop / net.sample_rate == 0.016
    assert (net.delay + net.frames.hop) / net.sample_rate == 0.032
