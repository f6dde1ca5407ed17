"""A name, a file or a folder -> a model, ready to use."""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path
from typing import Literal, overload

import torch
from safetensors import safe_open
from torch import nn

from voxid.errors import ConfigError, ModelError, did_you_mean
from voxid.models import checkpoint
from voxid.models.speaker.classifier import SpeakerClassifier
from voxid.models.speaker.encoder import SpeakerEncoder

# What each kind of work takes when no model is named.
DEFAULTS = {"speaker": "ecapa_tdnn_small", "enhancement": "phasen_small", "separation": "sudormrf_small"}
DEFAULT = DEFAULTS["speaker"]


def bundled(kind: str | None = None) -> dict[str, Path]:
    """Our own trained models that come with the package, of one kind or all of them: file by name.

    Example:
        >>> "ecapa_tdnn_small" in bundled("speaker")
        True
    """
    folder = Path(str(resources.files("voxid") / "zoo" / "weights"))
    found = {path.stem: path for path in sorted(folder.glob("*.safetensors"))}
    return found if kind is None else {name: path for name, path in found.items() if kind_of(path) == kind}


def kind_of(path: Path) -> str:
    """The kind of a model file of ours, out of its header; no weight is read."""
    with safe_open(path, framework="np") as file:
        return str(json.loads(file.metadata()["voxid"])["kind"])


@overload
def load(
    model: str | Path | nn.Module | None = None,
    *,
    kind: Literal["speaker"] = "speaker",
    device: str = "auto",
    runtime: Literal["torch"] = "torch",
    imports: bool = False,
) -> SpeakerEncoder: ...


@overload
def load(
    model: str | Path | nn.Module | None = None,
    *,
    kind: str,
    device: str = "auto",
    runtime: Literal["torch"] = "torch",
    imports: bool = False,
) -> nn.Module: ...


def load(
    model: str | Path | nn.Module | None = None,
    *,
    kind: str = "speaker",
    device: str = "auto",
    runtime: Literal["torch"] = "torch",
    imports: bool = False,
) -> nn.Module:
    """A model in eval mode; its card is the attribute `card`, the back-end, or None, of a speaker model `backend`.

    Args:
        model: A name of `bundled`, a .safetensors file, a run folder of `voxid train`; None = the bundled model of that kind.
            Of a classifier (`load_classifier`) it is the encoder. A model that is loaded already passes through; with the device
            ``auto`` it stays where it is.
        kind: What it must do: ``speaker``, ``enhancement`` or ``separation``.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        runtime: What runs the model; ``torch`` is the only one so far.
        imports: Allow parts that go by an import path. Importing runs code: only for files that you trust.

    Raises:
        ModelError: Unknown name, no such file, a file that is not a model of voxid, or a model of another kind.
        ConfigError: A device that torch does not have here, another runtime, or an unknown kind.

    Example:
        >>> load().sample_rate
        16000
    """
    if runtime != "torch":
        raise ConfigError(f"unknown runtime {runtime!r}: models run with 'torch' only so far")
    if kind not in DEFAULTS:
        raise ConfigError(f"unknown kind of model {kind!r}: {did_you_mean(kind, DEFAULTS)}")
    loaded = isinstance(model, nn.Module)
    net = model if isinstance(model, nn.Module) else checkpoint.load(find(model, kind), imports=imports)
    if isinstance(net, SpeakerClassifier):
        net.encoder.card, net.encoder.backend = net.card, net.backend
        net = net.encoder
    # A net of one's own tells its kind; the one of speakers is a class, since more is asked of it.
    fits = isinstance(net, SpeakerEncoder) if kind == "speaker" else getattr(net, "kind", None) == kind
    if not fits:
        raise ModelError(f"{'' if loaded else f'{model}: '}{_what(net)}; expected {_a(kind)} model", "E_FORMAT")
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
    return f"{_a(kind)} model ({name})" if isinstance(kind, str) else f"a {name}"


def _a(word: str) -> str:
    return f"{'an' if word[:1] in 'aeiou' else 'a'} {word}"


def find(model: str | Path | None, kind: str = "speaker") -> Path:
    """The file behind a name, a file or a folder; None stands for the default of a kind."""
    names = bundled()
    if model is None and DEFAULTS[kind] not in names:
        raise ModelError(
            f"no {kind} model comes with this voxid; name one: model=..., --model FILE. `voxid train` makes one", "E_NOT_FOUND"
        )
    name = DEFAULTS[kind] if model is None else str(model)
    if name in names:
        return names[name]
    path = Path(name)
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
    hint = did_you_mean(name, bundled(kind))
    raise ModelError(f"unknown model {name!r}: {hint}. A file of your own ends in .safetensors", "E_NOT_FOUND")


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
