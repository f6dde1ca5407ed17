"""Encoder and class rows as one model: it answers as encoder and loss did in training."""

from __future__ import annotations

import pytest
import torch

from voxid import registry
from voxid.config import load_recipe
from voxid.errors import ConfigError
from voxid.models import checkpoint
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.training.classifier import as_classifier

ENCODER = {"backbone": {"name": "ecapa_tdnn", "channels": 16, "output_dim": 48}, "embedding_dim": 12}
NAMES = ["ann", "ben", "eve"]
LOSSES = [
    *("softmax", "focal", "am_softmax", "aam_softmax", {"name": "aam_softmax", "sub_centers": 3}),
    *("combined", {"name": "combined", "parts": [{"name": "aam_softmax", "sub_centers": 2}, "ge2e"]}),
]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("speeds", [1, 3])
def test_it_answers_as_in_training(loss, speeds: int, tmp_path) -> None:
    torch.manual_seed(0)
    encoder = SpeakerEncoder(**ENCODER).eval()
    trained = registry.build("loss", loss, embedding_dim=12, num_classes=3 * speeds)
    net = as_classifier(encoder, trained, NAMES)
    waveform = torch.randn(4, 8000)
    with torch.inference_mode():
        expected = trained.logits(encoder(waveform))[:, :3]
        assert torch.allclose(net(waveform), expected, atol=1e-4)
    checkpoint.save(net, tmp_path / "c.safetensors")
    again = checkpoint.load(tmp_path / "c.safetensors")
    assert again.speakers == NAMES
    with torch.inference_mode():
        assert torch.equal(again(waveform), net(waveform))


@pytest.mark.parametrize("loss", ["triplet", "sphereface2", {"name": "combined", "parts": ["sphereface2", "ge2e"]}])
def test_a_loss_of_another_kind_cannot_name_anybody(loss) -> None:
    with pytest.raises(ConfigError, match="scaled cosines") as caught:
        as_classifier(SpeakerEncoder(**ENCODER), registry.build("loss", loss, embedding_dim=12, num_classes=3), NAMES)
    assert caught.value.code == "E_LOSS"


def test_a_loss_of_ones_own_without_class_rows_cannot_either() -> None:
    class Own(torch.nn.Module):
        def logits(self, embedding: torch.Tensor) -> torch.Tensor:
            return embedding[:, :3]

    with pytest.raises(ConfigError, match="not Own") as caught:
        as_classifier(SpeakerEncoder(**ENCODER), Own(), NAMES)
    assert caught.value.code == "E_LOSS"


@pytest.mark.parametrize(
    ("recipe", "parameters"),
    [
        ("hw4_transformer_1layer", 125_896),
        ("hw4_transformer_3layers_bn", 1_097_624),
        ("hw4_conformer", 1_923_608),
    ],
)
def test_the_ladder_has_the_sizes_that_its_homework_states(recipe: str, parameters: int) -> None:
    """With the 600 speakers of the homework; the counts were taken of its sample code and of a student's report."""
    settings = load_recipe(f"speaker/{recipe}", ["manifest=m.csv"])
    encoder = registry.build("speaker", settings["model"])
    loss = registry.build("loss", settings["loss"], embedding_dim=encoder.embedding_dim, num_classes=600)
    assert sum(value.numel() for part in (encoder, loss) for value in part.parameters()) == parameters
