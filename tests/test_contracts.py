"""The promises of the house, held over every registered part: a new file is tested because it exists."""

from __future__ import annotations

import inspect

import pytest
import torch

from voxid import registry
from voxid.errors import ModelError
from voxid.models import checkpoint
from voxid.models.speaker.encoder import SpeakerEncoder

SMALL = {
    "ecapa_tdnn": {"channels": 16, "output_dim": 48},
    "transformer": {"d_model": 16, "ffn_dim": 16},
    "conformer": {"d_model": 16, "ffn_dim": 16, "num_layers": 1, "kernel_size": 7},
    "resnet": {"depth": 18, "channels": 4},
    "se_resnet": {"depth": 18, "channels": 4},
    "resnext": {"channels": 4, "groups": 2, "base_width": 32},
    "res2net": {"depth": 18, "channels": 4},
    "xvector": {"channels": 16, "output_dim": 24},
    "vgg": {"width": 0.0625, "output_dim": 16},
    "repvgg": {"base_width": 4, "num_blocks": [1, 1, 1, 1]},
    "campplus": {"channels": 8, "front_channels": 2, "growth": 4, "layers": [1, 2, 1]},
    "eres2net": {"channels": 2, "blocks": [1, 1, 1, 1]},
    "eres2netv2": {"channels": 4, "blocks": [1, 1, 1, 1]},
    "redimnet": {"size": "b3", "channels": 2, "group": 2, "stages": [[2, 1, 2, 10], [1, 1, 1, 0]]},
    "phasen": {"size": "small", "channels": 3, "phase_channels": 2, "recurrent": 4, "dense": 4, "hop": 128, "window_length": 256},
    "sudormrf": {"num_basis": 12, "channels": 8, "hidden": 16, "num_blocks": 2, "downsamplings": 3, "sample_rate": 16000},
}  # arguments that make a backbone, an enhancer or a separator quick to test
FRONTENDS = [name for name in registry.names("frontend") if getattr(registry.get("frontend", name), "input_ndim", 2) == 2]
BACKBONES = registry.names("backbone")
POOLINGS = registry.names("pooling")
LOSSES = registry.names("loss")
WAVEFORM_NETS = [(kind, name) for kind in ("enhancement", "separation") for name in registry.names(kind)]
RATE = 16000


def encoder(frontend: str = "fbank", backbone: str = "ecapa_tdnn", pooling: str = "asp") -> SpeakerEncoder:
    torch.manual_seed(0)
    return used(SpeakerEncoder(frontend, {"name": backbone} | SMALL.get(backbone, {}), pooling, embedding_dim=24)).eval()


def used(net: torch.nn.Module) -> torch.nn.Module:
    """The net with statistics that are not those of a fresh one."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2.0)
    return net


def waveform_net(kind: str, name: str) -> torch.nn.Module:
    """An enhancer or a separator."""
    torch.manual_seed(0)
    return used(registry.build(kind, {"name": name} | SMALL.get(name, {}))).eval()


def every_encoder() -> list[tuple[str, str, str]]:
    first = ("fbank", "ecapa_tdnn", "asp")
    return sorted(
        {(name, *first[1:]) for name in FRONTENDS}
        | {("fbank", name, "asp") for name in BACKBONES}
        | {(*first[:2], name) for name in POOLINGS}
    )


def voice(seconds: float, seed: int = 0) -> torch.Tensor:
    """Something like a voice [T]: harmonics under a slow envelope, and a little noise."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(round(seconds * RATE)) / RATE
    tone = sum(torch.sin(2 * torch.pi * (110 + 10 * seed) * k * time) / k for k in range(1, 9))
    return 0.1 * tone * (1 + torch.sin(2 * torch.pi * 3 * time)) + 0.01 * torch.randn(len(time), generator=generator)


@pytest.mark.parametrize("parts", every_encoder())
def test_batch_is_single(parts: tuple[str, str, str]) -> None:
    net = encoder(*parts)
    items = [voice(seconds, seed) for seed, seconds in enumerate((0.3, 12.0, 1.0, 0.31337, 4.2))]
    lengths = torch.tensor([len(item) for item in items])
    with torch.inference_mode():
        together = net(torch.nn.utils.rnn.pad_sequence(items, batch_first=True), lengths)
        alone = torch.cat([net(item[None]) for item in items])
    scale = alone.abs().max()
    assert torch.allclose(together, alone, atol=1e-5 * max(1.0, float(scale)), rtol=0)
    assert alone.shape == (5, 24)


@pytest.mark.parametrize("parts", every_encoder())
def test_padding_is_not_heard(parts: tuple[str, str, str]) -> None:
    net = encoder(*parts)
    item = voice(1.0)
    lengths = torch.tensor([RATE])
    with torch.inference_mode():
        quiet = net(torch.cat([item, torch.zeros(RATE)])[None], lengths)
        loud = net(torch.cat([item, torch.randn(RATE)])[None], lengths)
    assert torch.allclose(quiet, loud, atol=1e-5)


@pytest.mark.parametrize("parts", every_encoder())
def test_gradients_reach_the_waveform(parts: tuple[str, str, str]) -> None:
    waveform = voice(0.5)[None].requires_grad_()
    encoder(*parts)(waveform).square().sum().backward()
    assert torch.isfinite(waveform.grad).all()
    assert (waveform.grad.abs() > 0).float().mean() > 0.9


HARD = {
    "silence": torch.zeros(1, RATE),
    "one sample": torch.tensor([[0.5]]),
    "constant": torch.full((1, RATE), 0.25),
    "full-scale noise": torch.sign(torch.randn(1, RATE, generator=torch.Generator().manual_seed(0))),
    "a click": torch.nn.functional.one_hot(torch.tensor([800]), RATE).float(),
}


@pytest.mark.parametrize("parts", every_encoder())
@pytest.mark.parametrize("name", HARD)
def test_finite_on_hard_input(parts: tuple[str, str, str], name: str) -> None:
    waveform = HARD[name].clone().requires_grad_()
    embedding = encoder(*parts)(waveform)
    embedding.square().sum().backward()
    assert torch.isfinite(embedding).all()
    assert torch.isfinite(waveform.grad).all()


@pytest.mark.parametrize("parts", every_encoder())
def test_a_checkpoint_rebuilds_the_model(parts: tuple[str, str, str], tmp_path) -> None:
    net = encoder(*parts)
    checkpoint.save(net, tmp_path / "m.safetensors", card={"name": "test"})
    again = checkpoint.load(tmp_path / "m.safetensors")
    waveform = voice(1.0)[None]
    with torch.inference_mode():
        assert torch.equal(net(waveform), again(waveform))
    assert again.card["name"] == "test"
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True))


@pytest.mark.parametrize("parts", every_encoder())
def test_the_same_input_gives_the_same_embedding(parts: tuple[str, str, str]) -> None:
    waveform = voice(0.7)[None]
    with torch.inference_mode():
        assert torch.equal(encoder(*parts)(waveform), encoder(*parts)(waveform))


@pytest.mark.parametrize("parts", every_encoder())
def test_half_precision_is_near(parts: tuple[str, str, str]) -> None:
    net, waveform = encoder(*parts), voice(1.0)[None]
    with torch.inference_mode():
        whole = net(waveform)
        with torch.autocast("cpu", torch.bfloat16):
            half = net(waveform).float()
    assert torch.isfinite(half).all()
    assert torch.nn.functional.cosine_similarity(whole, half) > 0.98


@pytest.mark.parametrize("name", BACKBONES)
def test_every_weight_of_a_backbone_is_trained(name: str) -> None:
    net = encoder(backbone=name).train()
    net(torch.stack([voice(1.0, seed) for seed in range(3)])).square().sum().backward()
    idle = [
        key for key, parameter in net.named_parameters() if parameter.grad is None or not torch.isfinite(parameter.grad).all()
    ]
    assert not idle


@pytest.mark.parametrize(
    "bad", [torch.zeros(16000), torch.zeros(1, 1, 16000), torch.zeros(1, 16000, dtype=torch.int16), torch.zeros(2, 0)]
)
def test_a_wrong_shape_is_refused(bad: torch.Tensor) -> None:
    with pytest.raises(ModelError, match="waveform") as caught:
        encoder()(bad)
    assert caught.value.code == "E_SHAPE"


@pytest.mark.parametrize("lengths", [[0, 5], [5, 17], [5], [1.0, 2.0]])
def test_wrong_lengths_are_refused(lengths: list[float]) -> None:
    with pytest.raises(ModelError, match="lengths"):
        encoder()(torch.zeros(2, 16), torch.tensor(lengths))


@pytest.mark.parametrize("name", FRONTENDS)
def test_frontends_tell_their_shape(name: str) -> None:
    frontend = registry.build("frontend", name)
    lengths = torch.tensor([1, 399, 400, 401, 4000, 15999])
    for length in lengths:
        features = frontend(torch.randn(2, int(length)))
        assert features.shape == (2, frontend.num_bins, int(frontend.num_frames(length[None])))
    assert frontend.sample_rate == RATE


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_finite_and_learn(name: str) -> None:
    torch.manual_seed(0)
    loss = registry.build("loss", name, embedding_dim=8, num_classes=5)
    embedding, label = torch.randn(16, 8, requires_grad=True), torch.arange(16) % 5
    rule = torch.optim.Adam([embedding, *loss.parameters()], lr=0.05)
    before = None
    for _ in range(100):
        value, hits = loss(embedding, label)
        before = float(value.detach()) if before is None else before
        rule.zero_grad()
        value.backward()
        rule.step()
    assert hits.shape == (16,)
    assert hits.dtype == torch.bool
    assert value.ndim == 0
    assert torch.isfinite(value)
    assert float(value.detach()) < 0.5 * before
    assert loss(embedding, label)[1].float().mean() > 0.9


@pytest.mark.parametrize("name", LOSSES)
def test_losses_compute_in_float32_under_amp(name: str) -> None:
    loss = registry.build("loss", name, embedding_dim=8, num_classes=5)
    embedding, label = torch.randn(4, 8), torch.tensor([0, 0, 1, 1])
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(embedding, label)[0]
    assert value.dtype == torch.float32
    assert float(value.detach()) == pytest.approx(float(loss(embedding, label)[0].detach()), rel=1e-6)
    if hasattr(loss, "logits"):
        assert loss.logits(embedding.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("name", LOSSES)
def test_losses_have_the_gradient_of_their_value(name: str) -> None:
    torch.manual_seed(2)
    loss = registry.build("loss", name, embedding_dim=6, num_classes=4)
    embedding, label = torch.randn(8, 6, requires_grad=True), torch.arange(8) % 4
    loss(embedding, label)[0].backward()
    direction = torch.randn(8, 6, dtype=torch.float64)
    step = 1e-3
    with torch.no_grad():
        ends = [float(loss((embedding.double() + sign * step * direction).float(), label)[0]) for sign in (1, -1)]
    slope = float((embedding.grad.double() * direction).sum())
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(slope, rel=0.02, abs=2e-3)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_finite_on_hard_embeddings(name: str) -> None:
    for hard in (torch.zeros(4, 8), torch.full((4, 8), 1e4), torch.ones(4, 8)):
        loss, embedding = registry.build("loss", name, embedding_dim=8, num_classes=5), hard.clone().requires_grad_()
        loss(embedding, torch.tensor([0, 0, 1, 1]))[0].backward()
        assert torch.isfinite(embedding.grad).all()


@pytest.mark.parametrize(
    "name", [name for name in LOSSES if hasattr(registry.build("loss", name, embedding_dim=2, num_classes=2), "margin")]
)
def test_a_wider_margin_never_lowers_the_loss(name: str) -> None:
    torch.manual_seed(0)
    loss = registry.build("loss", name, embedding_dim=8, num_classes=5)
    embedding, label = torch.randn(20, 8), torch.arange(20) % 5
    values = []
    for margin in (0.0, 0.1, 0.2, 0.3, 0.4):
        loss.margin = margin
        values.append(float(loss(embedding, label)[0].detach()))
    assert values == sorted(values)
    assert values[-1] > values[0]


@pytest.mark.parametrize("name", [name for name in LOSSES if name.endswith("_softmax")])
def test_without_margin_and_scale_a_loss_is_the_softmax_of_the_cosines(name: str) -> None:
    torch.manual_seed(0)
    loss = registry.build("loss", {"name": name, "margin": 0.0, "scale": 1.0}, embedding_dim=8, num_classes=5)
    softmax = registry.build("loss", "softmax", embedding_dim=8, num_classes=5)
    softmax.load_state_dict({"linear.weight": torch.nn.functional.normalize(loss.weight.detach()), "linear.bias": torch.zeros(5)})
    embedding, label = torch.randn(20, 8), torch.arange(20) % 5
    value, hits = loss(embedding, label)
    expected, expected_hits = softmax(torch.nn.functional.normalize(embedding), label)
    assert float(value.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert hits.tolist() == expected_hits.tolist()


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_keeps_its_classes_as_rows(name: str) -> None:
    """A new training takes over the rows of the speakers that it knows, and single numbers as they are."""
    loss = registry.build("loss", name, embedding_dim=8, num_classes=5)
    assert all(value.ndim == 0 or len(value) == 5 for value in loss.state_dict().values())


@pytest.mark.parametrize("name", [n for n in LOSSES if "class_weights" in inspect.signature(registry.get("loss", n)).parameters])
def test_equal_class_weights_change_nothing(name: str) -> None:
    values = []
    for weights in (None, [2.0] * 5):
        torch.manual_seed(0)
        loss = registry.build("loss", {"name": name, "class_weights": weights}, embedding_dim=8, num_classes=5)
        values.append(float(loss(torch.randn(20, 8), torch.arange(20) % 5)[0].detach()))
        assert "class_weights" not in loss.state_dict()
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def sources(net: torch.nn.Module, waveform: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
    """What a net gives [B, S, T]; of an enhancer S is 1."""
    out = net(waveform, lengths)
    assert out.shape == (len(waveform), *([net.num_sources] if net.kind == "separation" else []), waveform.shape[1])
    return out.reshape(len(waveform), -1, waveform.shape[1])


@pytest.mark.parametrize(("kind", "name"), WAVEFORM_NETS)
def test_any_length_comes_out_as_it_went_in(kind: str, name: str) -> None:
    net = waveform_net(kind, name)
    assert isinstance(net.sample_rate, int)
    with torch.inference_mode():
        for samples in (1, 2, 3, 7, 19, 20, 21, 127, 128, 129, 255, 256, 257, 1000, 4321):
            out = sources(net, voice(1.0)[None, :samples])
            assert out.dtype == torch.float32
            assert torch.isfinite(out).all()


@pytest.mark.parametrize(("kind", "name"), WAVEFORM_NETS)
def test_a_padded_batch_of_waveforms_is_single(kind: str, name: str) -> None:
    net = waveform_net(kind, name)
    items = [voice(seconds, seed) for seed, seconds in enumerate((0.03, 0.3, 0.1, 0.031337, 1 / RATE))]
    lengths = torch.tensor([len(item) for item in items])
    for padding in (0.0, 0.9):  # it is not heard
        batch = torch.nn.utils.rnn.pad_sequence(items, batch_first=True, padding_value=padding)
        with torch.inference_mode():
            together, alone = sources(net, batch, lengths), [sources(net, item[None])[0] for item in items]
        for row, one in zip(together, alone, strict=True):
            assert torch.allclose(row[:, : one.shape[1]], one, rtol=0, atol=1e-5 * float(one.abs().max()))
            assert one.any()
            assert not row[:, one.shape[1] :].any()


@pytest.mark.parametrize(("kind", "name"), WAVEFORM_NETS)
@pytest.mark.parametrize("hard", HARD)
def test_waveforms_and_gradients_are_finite_on_hard_input(kind: str, name: str, hard: str) -> None:
    net = waveform_net(kind, name)
    for training in (False, True):
        waveform = HARD[hard][:, :3000].clone().requires_grad_()
        out = sources(net.train(training), waveform)
        out.square().sum().backward()
        assert torch.isfinite(out).all()
        assert torch.isfinite(waveform.grad).all()
        assert all(torch.isfinite(parameter.grad).all() for parameter in net.parameters() if parameter.grad is not None)


@pytest.mark.parametrize(("kind", "name"), WAVEFORM_NETS)
def test_gradients_reach_every_weight_of_a_waveform_net(kind: str, name: str) -> None:
    net, waveform = waveform_net(kind, name).train(), torch.stack([voice(0.2, seed) for seed in range(2)]).requires_grad_()
    sources(net, waveform).square().sum().backward()
    assert (waveform.grad.abs() > 0).float().mean() > 0.9
    assert not [key for key, value in net.named_parameters() if value.requires_grad and value.grad is None]


@pytest.mark.parametrize(("kind", "name"), WAVEFORM_NETS)
def test_a_waveform_net_is_as_loud_as_its_input(kind: str, name: str) -> None:
    net, waveform = waveform_net(kind, name), voice(0.2)[None]
    with torch.inference_mode():
        once = sources(net, waveform)
        for gain in (0.01, 30.0):
            assert torch.allclose(sources(net, gain * waveform) / gain, once, rtol=0, atol=1e-4 * float(once.abs().max()))


@pytest.mark.parametrize(("kind", "name"), WAVEFORM_NETS)
def test_the_same_waveform_gives_the_same_waveforms(kind: str, name: str) -> None:
    net, waveform = waveform_net(kind, name), voice(0.2)[None]
    with torch.inference_mode():
        first = net(waveform)
        assert torch.equal(first, net(waveform))
        assert torch.equal(first, waveform_net(kind, name)(waveform))


@pytest.mark.parametrize(("kind", "name"), WAVEFORM_NETS)
def test_a_model_file_rebuilds_a_waveform_net(kind: str, name: str, tmp_path) -> None:
    net, waveform = waveform_net(kind, name), voice(0.2)[None]
    checkpoint.save(net, tmp_path / "m.safetensors", card={"name": "test"})
    again = checkpoint.load(tmp_path / "m.safetensors")
    assert (again.kind, again.spec, again.sample_rate, again.card["name"]) == (kind, net.spec, net.sample_rate, "test")
    with torch.inference_mode():
        assert torch.equal(net(waveform), again(waveform))


@pytest.mark.parametrize(("kind", "name"), WAVEFORM_NETS)
def test_a_waveform_net_refuses_wrong_shapes(kind: str, name: str) -> None:
    net = waveform_net(kind, name)
    for bad in (torch.zeros(160), torch.zeros(1, 1, 160), torch.zeros(1, 160, dtype=torch.int16), torch.zeros(2, 0)):
        with pytest.raises(ModelError, match="waveform"):
            net(bad)
    for lengths in ([0, 5], [5, 17], [5], [1.0, 2.0]):
        with pytest.raises(ModelError, match="lengths"):
            net(torch.zeros(2, 16), torch.tensor(lengths))
