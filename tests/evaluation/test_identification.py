"""Classifiers of a closed set: alone and together, and what they cannot be asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from voxid.errors import ConfigError, DataError, ModelError
from voxid.evaluation.identification import evaluate_identification, posteriors
from voxid.models import checkpoint
from voxid.models.speaker.classifier import SpeakerClassifier
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.pipelines.embed import embed
from voxid.zoo.load import load, load_classifier

ENCODER = {"backbone": {"name": "ecapa_tdnn", "channels": 16, "output_dim": 48}, "embedding_dim": 12}
NAMES = ["ann", "ben", "eve"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("closed")
    draw = np.random.default_rng(0)
    rows = ["path,speaker,duration,set"]
    for number, speaker in enumerate(NAMES):
        for take in range(2):
            time = np.arange(8000) / 16000
            voice = sum(np.sin(2 * np.pi * (100 + 60 * number) * k * time) / k for k in range(1, 6))
            soundfile.write(folder / f"{speaker}{take}.wav", 0.1 * voice + 0.003 * draw.normal(size=8000), 16000)
            rows.append(f"{speaker}{take}.wav,{speaker},0.5,{'train' if take == 0 else 'test'}")
    (folder / "m.csv").write_text("\n".join(rows) + "\n")
    return folder


def classifier(corpus: Path, seed: int = 0, **options) -> SpeakerClassifier:
    """A net whose class weights are the embeddings of the training recordings: it knows them by their cosine."""
    torch.manual_seed(seed)
    net = SpeakerClassifier(ENCODER, NAMES, **options).eval()
    rows = torch.from_numpy(np.stack([embed(str(corpus / f"{name}0.wav"), model=net.encoder) for name in NAMES]))
    with torch.no_grad():
        net.weight.copy_(rows[:, None])
    return net


def test_the_posterior_is_the_softmax_of_the_scaled_cosines(corpus: Path) -> None:
    net = classifier(corpus, scale=20.0)
    path = str(corpus / "ben1.wav")
    one = embed(path, model=net.encoder).astype(float)
    rows = net.weight[:, 0].detach().double().numpy()
    cosine = rows @ one / np.linalg.norm(rows, axis=1) / np.linalg.norm(one)
    expected = np.exp(20 * cosine) / np.exp(20 * cosine).sum()
    assert posteriors(net, [path], progress=False)[0] == pytest.approx(expected, rel=1e-3)


def test_sub_centres_count_by_the_nearest() -> None:
    net = SpeakerClassifier(ENCODER, NAMES, sub_centers=2)
    with torch.no_grad():
        net.weight.normal_()
    embedding = torch.randn(5, 12)
    each = torch.nn.functional.cosine_similarity(embedding[:, None, None], net.weight[None], dim=3)
    assert torch.allclose(net.classify(embedding), 30 * each.amax(dim=2), atol=1e-4)


def test_linear_logits_are_those_of_a_linear_layer() -> None:
    net = SpeakerClassifier(ENCODER, NAMES, cosine=False)
    linear = torch.nn.Linear(12, 3)
    with torch.no_grad():
        net.weight.copy_(linear.weight[:, None])
        net.bias.copy_(linear.bias)
    embedding = torch.randn(5, 12)
    assert torch.allclose(net.classify(embedding), linear(embedding), atol=1e-6)


def test_models_alone_and_together(corpus: Path, tmp_path: Path) -> None:
    nets = [classifier(corpus, seed) for seed in range(3)]
    for number, net in enumerate(nets):
        folder = tmp_path / f"run{number}"
        folder.mkdir()
        checkpoint.save(net, folder / "classifier.safetensors", card={"name": f"net{number}"})
    result = evaluate_identification(
        [tmp_path / f"run{number}" for number in range(3)],
        manifest=corpus / "m.csv",
        where={"set": "test"},
        output=tmp_path / "out.json",
        progress=False,
    )
    paths, labels = [str(corpus / f"{name}1.wav") for name in NAMES], np.arange(3)
    tables = np.stack([posteriors(net, paths, progress=False) for net in nets])
    alone = [float((table.argmax(axis=1) == labels).mean()) for table in tables]
    assert [row.accuracy for row in result.rows[:3]] == alone
    assert result.rows[4].accuracy == float((tables.mean(axis=0).argmax(axis=1) == labels).mean())
    assert result.rows[3].name == "vote of 3"
    assert (result.num_recordings, result.num_speakers) == (3, 3)
    assert json.loads((tmp_path / "out.json").read_text())["rows"][0]["accuracy"] == alone[0]
    assert result.describe().count("\n") == 5


def test_training_recordings_are_recognised(corpus: Path) -> None:
    result = evaluate_identification([classifier(corpus)], manifest=corpus / "m.csv", where={"set": "train"}, progress=False)
    assert result.rows[0].accuracy == 1.0


def test_a_classifier_serves_as_an_encoder(corpus: Path, tmp_path: Path) -> None:
    net = classifier(corpus)
    checkpoint.save(net, tmp_path / "c.safetensors", card={"name": "closed"})
    encoder = load(tmp_path / "c.safetensors")
    assert isinstance(encoder, SpeakerEncoder)
    assert encoder.card["name"] == "closed"
    assert np.array_equal(embed(str(corpus / "eve1.wav"), model=encoder), embed(str(corpus / "eve1.wav"), model=net.encoder))


def test_what_cannot_be_asked_is_one_line(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one model"):
        evaluate_identification([], manifest=corpus / "m.csv")
    with pytest.raises(ModelError, match="classifier=true"):
        load_classifier(SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16}))
    stranger = SpeakerClassifier(ENCODER, ["zoe", "ann", "ben"])
    with pytest.raises(DataError, match="eve") as caught:
        evaluate_identification([stranger], manifest=corpus / "m.csv", progress=False)
    assert caught.value.code == "E_SPEAKERS"
    with pytest.raises(ModelError, match="closed set"):
        evaluate_identification([classifier(corpus), stranger], manifest=corpus / "m.csv", progress=False)
    with pytest.raises(ConfigError, match="roots"):
        evaluate_identification([stranger], manifest=[corpus / "m.csv"], root=[corpus, corpus])
    with pytest.raises(ModelError) as missing:
        load_classifier(tmp_path)
    assert missing.value.code == "E_NOT_FOUND"


def test_speakers_with_a_dot_in_their_names_are_no_import_paths(tmp_path) -> None:
    names = ["anna.b", "os.system", "carl"]
    checkpoint.save(SpeakerClassifier(ENCODER, names), tmp_path / "c.safetensors")
    assert load_classifier(tmp_path / "c.safetensors", device="cpu").speakers == names
