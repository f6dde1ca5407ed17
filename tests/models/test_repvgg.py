"""RepVGG against a plain reading of the three branches in double precision, and deployed against trained."""

import pytest
import torch
from torch.nn import functional as F

from voxid import registry
from voxid.errors import ConfigError, ModelError
from voxid.models import checkpoint
from voxid.models.layers import frame_mask
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.models.speaker.repvgg import RepVGG, deploy

SMALL = {"size": "a1", "base_width": 8, "num_blocks": [1, 2, 3, 1]}


def shaken(net):
    """Norms of every size; the scales stay below 1 so that the sums of the branches do not grow from block to block."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.2, 0.8)
            torch.nn.init.normal_(module.bias, 0, 0.2)
    return net.eval()


def repvgg(seed=0, **options):
    torch.manual_seed(seed)
    return shaken(RepVGG(24, **(SMALL | options)))


def reference(weights, x):
    """Frames [C * F', N'] of one item [F, N] from a state dict. The first blocks of the last three stages halve both axes."""
    w = {name: value.double() for name, value in weights.items()}

    def norm(name, x):
        mean, variance, scale, shift = (w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, mean, variance, scale, shift, False, 0.0, 1e-5)

    x = x.double()[None, None]
    for name in dict.fromkeys(key.split(".rbr_")[0] for key in w):
        stride = 2 if name in ("stage2.0", "stage3.0", "stage4.0") else 1
        y = norm(f"{name}.rbr_dense.bn", F.conv2d(x, w[f"{name}.rbr_dense.conv.weight"], stride=stride, padding=1))
        picked = x[:, :, ::stride, ::stride]
        y = y + norm(f"{name}.rbr_1x1.bn", torch.einsum("oi,bifn->bofn", w[f"{name}.rbr_1x1.conv.weight"][:, :, 0, 0], picked))
        if f"{name}.rbr_identity.weight" in w:
            y = y + norm(f"{name}.rbr_identity", x)
        x = y.clamp(min=0)
    return x[0].flatten(0, 1)


@pytest.mark.parametrize("num_frames", [1, 2, 9, 50])
def test_the_same_weights_give_the_same_frames(num_frames):
    net, x = repvgg(), torch.randn(2, 24, num_frames)
    with torch.no_grad():
        ours = net(x)
    assert ours.shape == (2, net.output_dim, -(-num_frames // 8))
    for item in range(2):
        torch.testing.assert_close(ours[item].double(), reference(net.state_dict(), x[item]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("deployed", [False, True])
def test_a_padded_item_gives_the_same_frames(deployed):
    net, lengths = repvgg(), torch.tensor([50, 1, 8, 9, 31])
    weights = {name: value.clone() for name, value in net.state_dict().items()}
    if deployed:
        net.deploy()
    x = torch.randn(5, 24, 50)
    for item, length in enumerate(lengths):
        x[item, :, length:] = 100.0
    with torch.no_grad():
        ours = net(x, frame_mask(lengths, 50))
    for item, (length, left) in enumerate(zip(lengths, net.num_frames(lengths), strict=True)):
        expected = reference(weights, x[item, :, :length])
        torch.testing.assert_close(ours[item, :, :left].double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", [SMALL, {"size": "tiny_a0", "base_width": 16}, {"size": "a2", "base_width": 8}])
def test_deployed_is_trained(options):
    net, x = repvgg(**({"num_blocks": None} | options)), torch.randn(2, 24, 40)
    with torch.no_grad():
        trained = net(x)
        assert net.deploy() is net
        deployed = net(x)
    assert trained.abs().max() > 0.1
    torch.testing.assert_close(deployed, trained, atol=1e-5 * max(1.0, float(trained.abs().max())), rtol=0)
    assert all(name.endswith(("rbr_reparam.weight", "rbr_reparam.bias")) for name in net.state_dict())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in net.modules())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.deploy()  # a second time changes nothing
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_a_deployed_encoder_goes_through_a_checkpoint(tmp_path):
    torch.manual_seed(0)
    encoder = shaken(SpeakerEncoder({"name": "fbank", "num_mel_bins": 24}, {"name": "repvgg"} | SMALL, embedding_dim=16))
    waveform = torch.randn(1, 8000)
    single = deploy(encoder)
    checkpoint.save(single, tmp_path / "single.safetensors")
    again = checkpoint.load(tmp_path / "single.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(single(waveform), encoder(waveform), atol=1e-5, rtol=1e-4)
        assert torch.equal(again(waveform), single(waveform))
    assert again.spec["backbone"] == {"name": "repvgg", "deployed": True} | SMALL
    assert "deployed" not in encoder.spec["backbone"]
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in encoder.modules())  # the one given stays in training form


def test_another_backbone_cannot_be_deployed():
    with pytest.raises(ModelError, match="ECAPATDNN"):
        deploy(SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16}))


@pytest.mark.parametrize(
    ("size", "trained", "deployed", "width"),
    [
        ("tiny_a0", 5_522_816, 4_953_376, 2560),
        ("a0", 7_827_104, 7_027_520, 12800),
        ("a1", 12_810_112, 11_507_712, 12800),
        ("a2", 26_800_320, 24_089_792, 14080),
        ("b0", 14_535_808, 13_056_896, 12800),
        ("b1", 55_364_736, 49_779_328, 20480),
    ],
)
def test_parameters_are_those_of_wespeaker(size, trained, deployed, width):
    """Its nets with F = 80, statistics pooling and D = 256 have a Linear 2 * width -> 256 more: 6,264,352 (the 6.26 M of its
    table) for a deployed tiny_a0."""
    with torch.device("meta"):
        nets = [RepVGG(80, size), RepVGG(80, size, deployed=True)]
    assert [sum(parameter.numel() for parameter in net.parameters()) for net in nets] == [trained, deployed]
    assert nets[0].output_dim == nets[1].output_dim == width
    if size == "tiny_a0":
        assert deployed + (2 * width * 256 + 256) == 6_264_352


@pytest.mark.parametrize("bad", [{"size": "c0"}, {"num_blocks": [1, 1, 1]}, {"num_blocks": [1, 1, 0, 1]}])
def test_wrong_arguments_are_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        registry.build("backbone", {"name": "repvgg", "input_dim": 24} | bad)
