"""voxid.features.precomputed: features from elsewhere, alone and in a speaker encoder."""

from __future__ import annotations

import pytest
import torch

from voxid import registry
from voxid.errors import ConfigError, ModelError
from voxid.features.fbank import Fbank
from voxid.features.precomputed import Precomputed
from voxid.models import checkpoint
from voxid.models.speaker.encoder import SpeakerEncoder

SMALL = {"name": "ecapa_tdnn", "channels": 16, "output_dim": 48}


def net(**options) -> SpeakerEncoder:
    torch.manual_seed(0)
    return SpeakerEncoder({"name": "precomputed", "num_bins": 40} | options, SMALL, embedding_dim=24).eval()


def test_features_pass_through_and_are_normalised_where_asked():
    features, lengths = torch.randn(3, 40, 50), torch.tensor([50, 1, 20])
    assert torch.equal(Precomputed(40)(features), features)
    assert not Precomputed(40)(features, lengths)[1, :, 1:].any()
    assert torch.equal(Precomputed(40).num_frames(lengths), lengths)
    normalized = Precomputed(40, normalize="mean_var")(features, lengths)
    torch.testing.assert_close(normalized[2, :, :20].mean(dim=1), torch.zeros(40), atol=1e-6, rtol=0)
    torch.testing.assert_close(normalized[2, :, :20].var(dim=1, correction=0), torch.ones(40), atol=1e-4, rtol=0)
    sliding = Precomputed(40, normalize="sliding", cmn_window=5)(features)
    torch.testing.assert_close(sliding[0, :, 10], features[0, :, 10] - features[0, :, 8:13].mean(dim=1))


def test_float32_whatever_surrounds_it():
    features = torch.randn(1, 40, 9)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(Precomputed(40).bfloat16()(features), features)
    assert Precomputed(40)(features.half()).dtype == torch.float32
    assert Precomputed().state_dict() == {}


def test_an_encoder_on_features_equals_the_one_on_waveforms():
    frontend = Fbank(num_mel_bins=40)
    torch.manual_seed(0)
    whole = SpeakerEncoder({"name": "fbank", "num_mel_bins": 40}, SMALL, embedding_dim=24).eval()
    behind = net()
    behind.load_state_dict(whole.state_dict())
    x, lengths = torch.randn(3, 16000), torch.tensor([16000, 400, 9000])
    with torch.inference_mode():
        features = frontend(x, lengths)
        assert torch.equal(whole(x, lengths), behind(features, frontend.num_frames(lengths)))
    assert behind.sample_rate == 16000


def test_batch_is_single_and_gradients_are_finite():
    lengths = [30, 1, 12, 300]
    features = torch.randn(4, 40, 300, requires_grad=True)
    model = net(normalize="mean_var")
    together = model(features, torch.tensor(lengths))
    alone = torch.cat([model(item[None, :, :size]) for item, size in zip(features, lengths, strict=True)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    for hard in (torch.zeros(1, 40, 50), torch.ones(1, 40, 1), torch.full((1, 40, 9), 1e4)):
        leaf = hard.clone().requires_grad_()
        model(leaf).square().sum().backward()
        assert torch.isfinite(leaf.grad).all()


def test_a_checkpoint_rebuilds_the_model(tmp_path):
    model, features = net(frame_rate=50, normalize="mean"), torch.randn(1, 40, 30)
    checkpoint.save(model, tmp_path / "m.safetensors")
    again = checkpoint.load(tmp_path / "m.safetensors")
    with torch.inference_mode():
        assert torch.equal(model(features), again(features))
    assert again.frontend.frame_rate == 50


@pytest.mark.parametrize(
    "bad",
    [torch.zeros(2, 16000), torch.zeros(40, 30), torch.zeros(2, 30, 40), torch.zeros(1, 40, 0), torch.zeros(1, 40, 9).int()],
)
def test_what_is_no_features_is_refused(bad):
    for model in (net(), Precomputed(40)):
        with pytest.raises(ModelError, match=r"expected float features \[B, 40, N\].*got torch\.\w+ \[.*elsewhere") as error:
            model(bad)
        assert error.value.code == "E_SHAPE"


@pytest.mark.parametrize("lengths", [[0, 5], [5, 17], [5], [1.0, 2.0]])
def test_wrong_lengths_are_refused(lengths):
    with pytest.raises(ModelError, match="lengths") as error:
        net()(torch.zeros(2, 40, 16), torch.tensor(lengths))
    assert "samples" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_bins": 0}, "num_bins must be at least 1"),
        ({"frame_rate": 0}, "frame_rate must be above 0"),
        ({"normalize": "means"}, "unknown normalize 'means': did you mean 'mean'"),
        ({"bins": 3}, "unknown argument 'bins'"),
        ({"num_bins": "80"}, "num_bins must be an integer"),
    ],
)
def test_a_wrong_option_is_named(options, words):
    with pytest.raises(ConfigError) as error:
        registry.build("frontend", {"name": "precomputed"} | options)
    assert words in str(error.value)
