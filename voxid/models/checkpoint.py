"""A model in one .safetensors file: name, arguments, front-end, weights and card; perhaps a back-end. Reading it runs no code."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from voxid import registry
from voxid.atomic import replacing
from voxid.errors import ConfigError, ModelError
from voxid.models.stored_backend import PREFIX, dotted_name, import_refusal, rebuilt, stored
from voxid.scoring.backend import Backend

KINDS = ("speaker", "enhancement", "separation")  # of nets: what `registry.build` takes
FORMATS = (1, 2)  # of the metadata below: 2 holds a back-end; a reader refuses a newer one


def save(
    model: nn.Module,
    path: str | Path,
    *,
    card: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
    backend: Backend | None = None,
) -> None:
    """Write a model and its card as one file, whole or not at all.

    Args:
        model: A net that tells its `kind` (one of `KINDS`) and, as `spec`, how it is built.
        path: Where to; the name ends in .safetensors.
        card: Facts for people and programs: data, licence, recipe, figures, threshold.
        dtype: Of the stored floating-point weights; float32 keeps every bit, float16 halves the file.
        backend: Fitted on embeddings of this speaker model, to score them with; its arrays keep every bit, whatever `dtype` is.

    Raises:
        ModelError: ``E_FORMAT`` for another suffix, a net of no known kind, or a back-end for a net that gives no embeddings;
            ``E_DISK_FULL`` or ``E_WRITE``.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ModelError(f"{path}: a model file ends in .safetensors", "E_FORMAT")
    kind = _kind(path, model)
    metadata = {"format": FORMATS[0], "kind": kind, "model": model.spec, "card": dict(card or {})}
    tensors = {name: _stored(name, tensor, dtype) for name, tensor in model.state_dict().items()}
    if backend is not None:
        _check_scored(path, kind)
        spec, arrays = stored(path, backend)
        metadata |= {"format": FORMATS[1], "backend": json.loads(spec)}
        tensors |= {PREFIX + name: torch.from_numpy(array) for name, array in arrays.items()}
    try:
        description = json.dumps(metadata)
    except TypeError as error:
        raise ModelError(
            f"{path}: a card holds plain data only (numbers, texts, lists, mappings): {error}", "E_FORMAT"
        ) from error
    with replacing(path, ModelError) as temporary:
        try:
            save_file(tensors, temporary, metadata={"voxid": description})
        except SafetensorError as error:
            # safetensors hides the errno of a failed write in its text
            number = 28 if "No space left" in str(error) or "os error 28" in str(error) else 5
            raise OSError(number, str(error)) from error


def load(path: str | Path, *, imports: bool = False) -> nn.Module:
    """Rebuild a model, in eval mode and in float32; its card is the attribute `card`.

    A speaker model has its back-end, or None, as `backend`.

    Args:
        path: A file that `save` wrote.
        imports: Allow parts that go by an import path. Importing runs code: only for files that you trust.

    Raises:
        ModelError: ``E_NOT_FOUND``, ``E_FORMAT`` (not ours, damaged, newer), ``E_IMPORT`` or ``E_SHAPE``.
    """
    path = Path(path)
    metadata, tensors = _read(path)
    # Names of speakers are people's, never parts: a classifier may know an "anna.b".
    built = {key: value for key, value in metadata["model"].items() if key != "speakers"}
    if not imports and (dotted := dotted_name(built)):
        raise ModelError(f"{path}: {import_refusal('', dotted)}", "E_IMPORT")
    backend = _backend(path, metadata, tensors, imports)
    state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    try:
        with torch.device("meta"):  # a description may ask for any size: compare before memory is taken
            planned = {
                name: tensor.shape for name, tensor in registry.build(metadata["kind"], metadata["model"]).state_dict().items()
            }
        if planned != {name: tensor.shape for name, tensor in state.items()}:
            raise ValueError("names or shapes of the weights differ")
        model = registry.build(metadata["kind"], metadata["model"])
        model.load_state_dict(state)
    except (ConfigError, RuntimeError, TypeError, ValueError, ArithmeticError, MemoryError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{path}: its weights do not fit its description: {reason[:300]}", "E_SHAPE") from error
    model.card = dict(metadata["card"], sha256=fingerprint(path))
    if metadata["kind"] == "speaker":
        model.backend = backend
    return model.eval()


def _kind(path: Path, model: nn.Module) -> str:
    kind = getattr(model, "kind", None)
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise ModelError(f"{path}: a {type(model).__name__} has no `kind` that a model file knows: {known}", "E_FORMAT")
    return str(kind)


def _check_scored(path: Path, kind: str) -> None:
    if kind != "speaker":
        raise ModelError(f"{path}: a back-end scores embeddings, and a model of the kind {kind} gives none", "E_FORMAT")


def _backend(path: Path, metadata: Mapping[str, Any], tensors: dict[str, Tensor], imports: bool) -> Backend | None:
    """The back-end of a file, whose tensors are taken out; what is left are the weights."""
    if metadata["format"] == FORMATS[0]:
        return None
    _check_scored(path, metadata["kind"])
    own = {name.removeprefix(PREFIX): tensors.pop(name) for name in list(tensors) if name.startswith(PREFIX)}
    try:
        arrays = {name: tensor.numpy() for name, tensor in own.items()}
    except TypeError as error:  # bfloat16 and the like, which NumPy lacks
        raise ModelError(f"{path}: its back-end holds numbers of a kind that it cannot hold ({error})", "E_FORMAT") from error
    return rebuilt(path, metadata.get("backend"), arrays, imports=imports)


def fingerprint(path: str | Path) -> str:
    """SHA-256 of the file, in hex."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises on a name that is too long
        raise ModelError(f"{path}: there is no such model file", "E_NOT_FOUND")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {}).get("voxid", "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, ValueError, OSError, RecursionError) as error:
        raise ModelError(f"{path}: {_guess(path)}", "E_FORMAT") from error
    _check_description(path, metadata)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor.double()).all()):
            raise ModelError(f"{path}: the weights {name!r} hold NaN or infinity; take an earlier checkpoint", "E_FORMAT")
    return metadata, tensors


def _check_description(path: Path, metadata: Any) -> None:
    if not isinstance(metadata, dict) or not {"format", "kind", "model", "card"} <= metadata.keys():
        raise ModelError(f"{path}: a .safetensors file, but not a model of voxid (no description inside)", "E_FORMAT")
    if metadata["format"] not in FORMATS:
        known = " and ".join(map(str, FORMATS))
        raise ModelError(f"{path}: model format {metadata['format']!r}, this voxid reads {known}; update voxid", "E_FORMAT")
    if metadata["kind"] not in KINDS or not isinstance(metadata["model"], dict) or not isinstance(metadata["card"], dict):
        known = ", ".join(KINDS)
        raise ModelError(f"{path}: its description is malformed (a kind out of {known}; a model; a card)", "E_FORMAT")


def _guess(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    if head[:2] == b"PK" or head[:1] == b"\x80":
        return (
            "a pickle (PyTorch .pt, .bin, .ckpt), which is not opened: it could run code. Expected a .safetensors model of voxid"
        )
    return "not a .safetensors file, or a damaged one. Expected a model of voxid"


def _stored(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if not tensor.is_floating_point():
        return tensor.detach().cpu().contiguous()
    stored = tensor.detach().to("cpu", dtype).contiguous()
    if not bool(torch.isfinite(stored).all()):
        raise ModelError(f"the weights {name!r} hold NaN, infinity or values beyond {dtype}; nothing was saved", "E_NOT_FINITE")
    return stored
