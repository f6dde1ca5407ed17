"""Closed-set identification by classification: models, recordings with known speakers -> accuracies, alone and together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from voxid.atomic import replacing
from voxid.data.feature_files import read_features
from voxid.data.manifest import Manifest
from voxid.data.manifests import read_manifests
from voxid.errors import ConfigError, DataError, ModelError
from voxid.metrics.identification import accuracy, top_k_accuracy, vote, wilson_interval
from voxid.models.speaker.classifier import SpeakerClassifier
from voxid.pipelines.embed import embed_files
from voxid.zoo.load import load_classifier


@dataclass(frozen=True)
class Accuracy:
    """Share of recordings whose speaker was named right.

    Args:
        name: The model, or the way several were joined.
        accuracy: Of the first choice.
        interval: 95 % (Wilson); it takes the recordings for independent.
        top5: Share whose speaker is among the first five; None for a vote.
    """

    name: str
    accuracy: float
    interval: tuple[float, float]
    top5: float | None


@dataclass(frozen=True)
class Identification:
    """Accuracies of models on one closed set; shares, higher is better.

    Args:
        rows: One a model, and of two models or more their vote and their mean posterior.
        num_recordings, num_speakers: What was asked; the models may know more speakers.
    """

    rows: tuple[Accuracy, ...]
    num_recordings: int
    num_speakers: int

    def describe(self) -> str:
        """A line a row; in per cent."""
        lines = [f"{self.num_recordings} recordings of {self.num_speakers} speakers"]
        for row in self.rows:
            low, high = (100 * value for value in row.interval)
            top5 = "" if row.top5 is None else f"   top 5 {100 * row.top5:.1f}%"
            lines.append(f"{row.name:<32}{100 * row.accuracy:6.2f}%   [{low:.1f}, {high:.1f}]{top5}")
        return "\n".join(lines)


def evaluate_identification(
    models: Sequence[str | Path | SpeakerClassifier],
    *,
    manifest: str | Path | Sequence[str | Path],
    root: str | Path | Sequence[str | Path] | None = None,
    where: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
    device: str = "auto",
    imports: bool = False,
    progress: bool = True,
) -> Identification:
    """Name the speaker of every recording of a manifest, by each model and by all of them together.

    Args:
        models: Classifiers that `voxid train` wrote (`classifier.safetensors` in the run folder), or their run folders.
        manifest, root, where: The recordings and who speaks in them, as in a recipe; files of features for a model that was
            trained on features.
        output: Where to write the result as JSON.
        device: "auto", "cpu", "cuda", ...
        imports: Allow a model file whose parts go by an import path. Importing runs code: only for files that you trust.
        progress: A bar on stderr.

    Raises:
        ConfigError: No model or no manifest.
        ModelError: A model that is no classifier, or models that know other speakers than the first.
        DataError: Recordings that cannot be read, or speakers that the models do not know.
    """
    if not models:
        raise ConfigError("identification: name one model or more")
    nets = [load_classifier(model, device=device, imports=imports) for model in models]
    rows = read_manifests(manifest, root=root, where=where)
    labels = _labels(nets, rows)
    tables = [posteriors(net, rows.paths, progress=progress) for net in nets]
    result = Identification(tuple(_rows(_names(models, nets), tables, labels)), len(rows), len(set(rows.speakers)))
    if output is not None:
        with replacing(output, DataError) as temporary:
            temporary.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    return result


def posteriors(net: SpeakerClassifier, paths: Sequence[str], *, progress: bool = True) -> NDArray[np.float64]:
    """Posteriors [M, K] of recordings, or of files of features where the model was trained on features."""
    if getattr(net.encoder.frontend, "input_ndim", 2) == 3:
        embeddings = np.concatenate([_embed_features(net, path) for path in paths])
    else:
        embeddings = embed_files(paths, model=net.encoder, progress=progress).embeddings
    with torch.inference_mode():
        rows = torch.from_numpy(embeddings).to(net.weight.device)
        return torch.softmax(net.classify(rows).double(), dim=1).cpu().numpy()


def _embed_features(net: SpeakerClassifier, path: str) -> NDArray[np.float32]:
    features = torch.from_numpy(read_features(path, net.encoder.frontend.num_bins).T.copy())
    with torch.inference_mode():
        return net.encoder(features[None].to(net.weight.device)).float().cpu().numpy()


def _labels(nets: Sequence[SpeakerClassifier], rows: Manifest) -> NDArray[np.int64]:
    known = {speaker: number for number, speaker in enumerate(nets[0].speakers)}
    if any(net.speakers != nets[0].speakers for net in nets[1:]):
        raise ModelError("the models know different speakers: train all of them on one closed set", "E_SPEAKERS")
    strange = sorted(set(rows.speakers) - set(known))
    if strange:
        raise DataError(
            f"{len(strange)} speakers of the manifest are not among the {len(known)} that the model knows, e.g. {strange[0]}; "
            "a closed set asks for known speakers only (voxid verify compares unknown ones)",
            "E_SPEAKERS",
        )
    return np.array([known[speaker] for speaker in rows.speakers])


def _names(models: Sequence[str | Path | SpeakerClassifier], nets: Sequence[SpeakerClassifier]) -> list[str]:
    shown = [
        str(model) if isinstance(model, str | Path) else str(net.card.get("name"))
        for model, net in zip(models, nets, strict=True)
    ]
    return [name if shown.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(shown, start=1)]


def _rows(names: Sequence[str], tables: Sequence[NDArray[np.float64]], labels: NDArray[np.int64]) -> list[Accuracy]:
    rows = [_row(name, accuracy(table, labels), table, labels) for name, table in zip(names, tables, strict=True)]
    if len(tables) > 1:
        voted = vote([table.argmax(axis=1) for table in tables], tables) == labels
        rows.append(_row(f"vote of {len(tables)}", float(voted.mean()), None, labels))
        mean = np.mean(tables, axis=0)
        rows.append(_row(f"mean posterior of {len(tables)}", accuracy(mean, labels), mean, labels))
    return rows


def _row(name: str, share: float, table: NDArray[np.float64] | None, labels: NDArray[np.int64]) -> Accuracy:
    hits = round(share * len(labels))
    top5 = None if table is None else top_k_accuracy(table, labels, 5)
    return Accuracy(name, share, wilson_interval(hits, len(labels)), top5)
