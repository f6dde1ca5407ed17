"""SuDoRM-RF: its promises and its published sizes."""

import pytest
import torch

from voxid.errors import ConfigError, ModelError
from voxid.models.complexity import parameters
from voxid.models.separation.sudormrf import VARIANTS, SuDoRMRF
from voxid.registry import build, names

SMALL = {"num_basis": 12, "channels": 8, "hidden": 16, "num_blocks": 2, "downsamplings": 3, "groups": 4}
EVERY = sorted(VARIANTS)
WHOLE = [variant for variant in EVERY if variant != "causal"]


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


@pytest.mark.parametrize(
    ("size", "count"), [("0.25x", 791_174), ("0.5x", 1_414_790), ("1.0x", 2_662_022), ("2.0x", 5_156_486), ("2.5x", 6_403_718)]
)
def test_sizes_have_the_published_number_of_parameters(size: str, count: int) -> None:
    with torch.device("meta"):
        assert parameters(build("separation", {"name": "sudormrf", "size": size})) == count


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"variant": "improved"}, 2_720_417),
        ({"variant": "improved", "channels": 256}, 5_016_353),
        ({"variant": "improved", "channels": 256, "num_basis": 2048}, 6_363_425),
        ({"variant": "improved", "channels": 512, "num_blocks": 36, "downsamplings": 5, "num_basis": 2048}, 23_239_241),
        ({"variant": "groupcomm", "channels": 256, "size": "0.5x"}, 507_177),
    ],
)
def test_the_authors_other_nets_have_their_number_of_parameters(options: dict, count: int) -> None:
    with torch.device("meta"):
        assert parameters(SuDoRMRF(**options)) == count


@pytest.mark.parametrize("variant", EVERY)
@pytest.mark.parametrize("num_sources", [2, 3, 5])
def test_softmax_masks_sum_to_one(variant: str, num_sources: int) -> None:
    net = small(variant, num_sources=num_sources, mask="softmax")
    masks = net.masks(noise(2, 500))
    assert masks.shape[:3] == (2, num_sources, 12)
    assert torch.allclose(masks.sum(dim=1), torch.ones(()), atol=1e-6)
    assert (masks >= 0).all()
    assert masks.std(dim=1).max() > 1e-3


def test_masks_of_the_variants_are_those_of_the_papers() -> None:
    assert small("original").spec["mask"] == "softmax"
    for variant in ("improved", "groupcomm"):
        masks = small(variant).masks(noise(1, 500))
        assert (masks >= 0).all()
        assert (masks.sum(dim=1) - 1).abs().max() > 0.1


def test_one_source_has_a_sigmoid_for_a_mask() -> None:
    net = small("original", num_sources=1)
    masks = net.masks(noise(1, 500))
    assert ((masks > 0) & (masks < 1)).all()
    assert masks.std() > 1e-3  # a softmax of one is 1 everywhere
    assert net(noise(1, 500)).shape == (1, 1, 500)


@pytest.mark.parametrize("variant", EVERY)
@pytest.mark.parametrize("gain", [1e-3, 30.0])
def test_the_output_scales_as_the_input(variant: str, gain: float) -> None:
    net, waveform = small(variant), 0.1 * noise(1, 3000)
    with torch.inference_mode():
        once, scaled = net(waveform), net(gain * waveform) / gain
        plain = small(variant, normalize=False)
        apart = (plain(gain * waveform) / gain - plain(waveform)).abs().max()
    assert torch.allclose(scaled, once, rtol=0, atol=2e-6 * float(once.abs().max()))
    if variant in ("original", "causal"):  # those with a bias before or between
        assert apart > 1e-2 * once.abs().max()


@pytest.mark.parametrize("variant", WHOLE)
def test_a_constant_offset_is_not_heard(variant: str) -> None:
    net, waveform = small(variant), 0.1 * noise(1, 3000)
    with torch.inference_mode():
        once = net(waveform)
        assert torch.allclose(net(waveform + 0.3), once, rtol=0, atol=2e-5 * float(once.abs().max()))


@pytest.mark.parametrize("variant", EVERY)
@pytest.mark.parametrize("options", [{}, {"mixture_consistency": True}, {"normalize": False}, {"sample_rate": 16000}])
def test_batch_is_single(variant: str, options: dict) -> None:
    net = small(variant, **options)
    items = [noise(samples, seed=samples) * 10.0**-place for place, samples in enumerate((1, 2111, 160, 401, 11))]
    lengths = torch.tensor([len(item) for item in items])
    for padding in (0.0, 7.0):
        batch = torch.nn.utils.rnn.pad_sequence(items, batch_first=True, padding_value=padding)
        with torch.inference_mode():
            together = net(batch, lengths)
        assert together.shape == (5, 2, 2111)
        for row, item in zip(together, items, strict=True):
            with torch.inference_mode():
                alone = net(item[None])[0]
            scale = float(alone.abs().max())
            assert torch.allclose(row[:, : len(item)], alone, rtol=0, atol=1e-5 * scale)
            assert not row[:, len(item) :].any()


@pytest.mark.parametrize("variant", EVERY)
def test_sources_are_as_long_as_the_mixture(variant: str) -> None:
    for options in ({}, {"sample_rate": 16000, "num_sources": 3}, {"kernel_size": 3, "downsamplings": 0}):
        net = small(variant, **options)
        for samples in (*range(1, 24), 159, 160, 161, 1000):
            with torch.inference_mode():
                assert net(noise(1, samples)).shape == (1, net.num_sources, samples)


HARD = {
    "silence": torch.zeros(1, 2000),
    "one sample": torch.tensor([[0.5]]),
    "constant": torch.full((1, 2000), 0.25),
    "full-scale noise": torch.sign(noise(1, 2000)),
    "a click": torch.nn.functional.one_hot(torch.tensor([800]), 2000).float(),
}


@pytest.mark.parametrize("variant", EVERY)
@pytest.mark.parametrize("name", HARD)
def test_finite_on_hard_input(variant: str, name: str) -> None:
    net, waveform = small(variant, num_sources=3), HARD[name].clone().requires_grad_()
    sources = net(waveform)
    (sources - noise(*sources.shape)).square().sum().backward()
    assert torch.isfinite(sources).all()
    assert torch.isfinite(waveform.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.requires_grad)
    if name == "silence":
        assert sources.abs().max() < 1e-4


@pytest.mark.parametrize("variant", EVERY)
def test_every_weight_is_trained(variant: str) -> None:
    net = small(variant, groups=2).train()
    net(noise(2, 1000)).square().sum().backward()
    idle = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()}
    # The authors' net stores a norm that it never applies.
    assert idle == ({"net.head.unused.weight", "net.head.unused.bias"} if variant == "original" else set())
    assert not any(net.get_parameter(name).requires_grad for name in idle)


@pytest.mark.parametrize("variant", EVERY)
def test_consistent_sources_sum_to_the_mixture(variant: str) -> None:
    waveform = 0.1 * noise(2, 1501) + 0.02
    with torch.inference_mode():
        free = small(variant, num_sources=3)(waveform)
        bound = small(variant, num_sources=3, mixture_consistency=True)(waveform)
    assert torch.allclose(bound.sum(dim=1), waveform, atol=1e-6)
    assert not torch.allclose(free.sum(dim=1), waveform, atol=1e-3)
    share = bound - free
    assert torch.allclose(share, share[:, :1].expand_as(share), atol=1e-6)


@pytest.mark.parametrize("variant", EVERY)
def test_the_spec_builds_an_equal_net(variant: str) -> None:
    net = small(variant, num_sources=3, sample_rate=16000)
    again = build("separation", net.spec).eval()
    again.load_state_dict(net.state_dict())
    with torch.inference_mode():
        assert torch.equal(net(noise(1, 700)), again(noise(1, 700)))
    assert again.spec == net.spec
    assert (net.sample_rate, net.num_sources) == (16000, 3)


def test_the_kernel_follows_the_rate() -> None:
    assert [SuDoRMRF(sample_rate=rate, **SMALL).spec["kernel_size"] for rate in (8000, 16000, 48000)] == [21, 41, 121]
    assert "sudormrf" in names("separation")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"size": "3x"}, "unknown size '3x'"),
        ({"variant": "improve"}, "did you mean 'improved'"),
        ({"mask": "sofmax"}, "did you mean 'softmax'"),
        ({"kernel_size": 20}, "kernel_size must be odd"),
        ({"num_basis": 13}, "num_basis must be even"),
        ({"num_sources": 0}, "num_sources must be 1 or more"),
        ({"downsamplings": -1}, "downsamplings must be 0 or more"),
        ({"variant": "groupcomm", "channels": 100}, "multiples of groups"),
        ({"depth": 5}, "unknown argument 'depth'"),
    ],
)
def test_what_makes_no_net_is_refused(options: dict, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        build("separation", {"name": "sudormrf", **options})


@pytest.mark.parametrize(
    "bad", [torch.zeros(160), torch.zeros(1, 1, 160), torch.zeros(1, 160, dtype=torch.int16), torch.zeros(2, 0)]
)
def test_a_wrong_shape_is_refused(bad: torch.Tensor) -> None:
    with pytest.raises(ModelError, match="waveform") as caught:
        small("original")(bad)
    assert caught.value.code == "E_SHAPE"
