"""A name, a file or a folder -> a model, ready to use."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from voxid.errors import ConfigError, ModelError, did_you_mean
from voxid.models import checkpoint
from voxid.models.speaker.classifier import SpeakerClassifier
from voxid.models.speaker.encoder import SpeakerEncoder

DEFAULT = "ecapa_tdnn_small"


def bundled() -> dict[str, Path]:
    """Our own trained models that come with the package: file by name."""
    folder = Path(str(resources.files("voxid") / "zoo" / "weights"))
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def load(
    model: str | Path | nn.Module | None = None,
    *,
    device: str = "auto",
    runtime: Literal["torch"] = "torch",
    imports: bool = False,
) -> SpeakerEncoder:
    """A speaker model in eval mode; its card is the attribute `card`, its back-end, or None, `backend`.

    Args:
        model: A name of `bundled`, a .safetensors file, a run folder of `voxid train`; None = the bundled model.
            Of a classifier (`load_classifier`) it is the encoder. A model that is loaded already passes through; with the device
            ``auto`` it stays where it is.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        runtime: What runs the model; ``torch`` is the only one so far.
        imports: Allow parts that go by an import path. Importing runs code: only for files that you trust.

    Raises:
        ModelError: Unknown name, no such file, a file that is not a model of voxid, or a model of another kind.
        ConfigError: A device that torch does not have here, or another runtime.

    Example:
        >>> load().sample_rate
        16000
    """
    if runtime != "torch":
        raise ConfigError(f"unknown runtime {runtime!r}: models run with 'torch' only so far")
    loaded = isinstance(model, nn.Module)
    net = model if isinstance(model, nn.Module) else checkpoint.load(find(model), imports=imports)
    if isinstance(net, SpeakerClassifier):
        net.encoder.card, net.encoder.backend = net.card, net.backend
        net = net.encoder
    if not isinstance(net, SpeakerEncoder):
        raise ModelError(f"{'' if loaded else f'{model}: '}{_what(net)}; expected a speaker model", "E_FORMAT")
    return (net if loaded and device == "auto" else net.to(pick_device(device))).eval()


def load_classifier(
    model: str | Path | nn.Module, *, device: str = "auto", imports: bool = False, file: str = "classifier.safetensors"
) -> SpeakerClassifier:
    """A classifier of a closed set of speakers, in eval mode: a file, or the run folder that holds `file`.

    Raises:
        ModelError: No such file, or a model that knows no speakers.
        ConfigError: A device that torch does not have here.
    """
    if isinstance(model, str | Path) and os.path.isdir(model):  # noqa: PTH112 - Path.is_dir() raises on a long name
        model = Path(model) / file
    net = model if isinstance(model, nn.Module) else checkpoint.load(model, imports=imports)
    if not isinstance(net, SpeakerClassifier):
        where = "" if isinstance(model, nn.Module) else f"{model}: "
        raise ModelError(
            f"{where}{_what(net)}, which knows no speakers by name; train with classifier=true and take {file}", "E_FORMAT"
        )
    return net.to(pick_device(device)).eval()


def _what(net: nn.Module) -> str:
    """What a net is, in words."""
    kind, name = getattr(net, "kind", None), type(net).__name__
    if not isinstance(kind, str):
        return f"a {name}"
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind} model ({name})"


def find(model: str | Path | None) -> Path:
    """The file behind a name, a file or a folder."""
    names = bundled()
    if model is None or str(model) in names:
        return names[DEFAULT if model is None else str(model)]
    path = Path(model)
    # Not Path.is_dir() and its like: they raise on a name that is too long.
    if os.path.isdir(path):  # noqa: PTH112
        path = path / "model.safetensors"
        if not os.path.isfile(path):  # noqa: PTH113
            raise ModelError(f"{path.parent}: a folder without model.safetensors; is its training finished?", "E_NOT_FOUND")
        return path
    if os.path.exists(path):  # noqa: PTH110
        return path
    if path.suffix or len(path.parts) > 1:
        raise ModelError(f"{path}: there is no such model file", "E_NOT_FOUND")
    raise ModelError(
        f"unknown model {str(model)!r}: {did_you_mean(str(model), names)}. A file of your own ends in .safetensors", "E_NOT_FOUND"
    )


def pick_device(device: str) -> torch.device:
    """The torch device behind a word."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        if chosen.type == "meta":
            raise NotImplementedError("it holds no numbers")
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0][:160]
        raise ConfigError(f"device {device!r} cannot be used here ({reason}); take 'auto' or 'cpu'", "E_DEVICE") from error
    return chosen
