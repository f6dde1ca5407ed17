"""A back-end in one .safetensors file: transforms, scorer, normalisation and card. Reading it runs no code."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from voxid.atomic import replacing
from voxid.errors import ConfigError, ModelError, did_you_mean
from voxid.models.stored_backend import PREFIX, plain_json, rebuilt, stored
from voxid.scoring.backend import Backend, build_backend
from voxid.scoring.presets import PRESETS
from voxid.zoo.plda_files import is_kaldi_plda, is_plda, read_plda

FORMAT = "voxid.backend/1"
UNTRAINED = "cosine"  # the preset that has nothing to fit


def save_backend(path: str | Path, backend: Backend, card: Mapping[str, Any] | None = None) -> None:
    """Write a fitted back-end and its card as one file, whole or not at all; every bit of its arrays is kept.

    Args:
        path: Where to; the name ends in .safetensors.
        backend: Fitted.
        card: Facts for people and programs: which model the embeddings come from, data, figures.

    Raises:
        ModelError: ``E_FORMAT`` for another suffix or a card that is no plain data, ``E_NOT_FITTED``, ``E_NOT_FINITE``,
            ``E_DISK_FULL`` or ``E_WRITE``.
    """
    path = Path(path)
    check_backend_name(path)
    spec, arrays = stored(path, backend)
    metadata = {"format": FORMAT, "spec": spec, "card": plain_json(path, dict(card or {}), "a card")}
    with replacing(path, ModelError) as temporary:
        temporary.write_bytes(save(arrays, metadata))


def check_backend_name(path: Path) -> None:
    """Raise `ModelError` (``E_FORMAT``) for a name that is none of a back-end's file."""
    if path.suffix != ".safetensors":
        raise ModelError(f"{path}: a file of a back-end ends in .safetensors", "E_FORMAT")


def load_backend(backend: str | Path | Backend, *, imports: bool = False) -> Backend:
    """A back-end, ready to score.

    Args:
        backend: A file of `save_backend` or of ``voxid train backend``; a model file with a back-end inside; a plda of Kaldi
            (rows are then scaled as Kaldi's scoring does) or of WeSpeaker; ``cosine``, which needs no training; or a loaded
            back-end, which passes through.
        imports: Allow parts that go by an import path. Importing runs code: only for files that you trust.

    Raises:
        ModelError: ``E_NOT_FOUND``; ``E_FORMAT`` for a file that is none of these, is damaged or newer; ``E_NOT_FITTED`` for a
            preset that must be trained; ``E_IMPORT``.

    Example:
        >>> load_backend("cosine").score([[1.0, 0.0]], [[0.0, 2.0]]).tolist()
        [0.0]
    """
    if isinstance(backend, Backend):
        return backend
    if str(backend) == UNTRAINED:
        return build_backend(UNTRAINED)
    path = Path(backend)
    if is_plda(path):
        return _imported(path)
    metadata, arrays = _read(path)
    if "voxid" in metadata:
        inside = _plain(path, metadata["voxid"]).get("backend")
        if inside is None:
            raise ModelError(f"{path}: a model without a back-end; make one with `voxid train backend`", "E_FORMAT")
        arrays = {name.removeprefix(PREFIX): array for name, array in arrays.items()}
        return rebuilt(path, inside, arrays, imports=imports)
    _check_format(path, metadata)
    return rebuilt(path, _plain(path, metadata.get("spec", "null")), arrays, imports=imports)


def backend_card(backend: str | Path | Backend) -> dict[str, Any]:
    """The card of a file of `save_backend`; of a model with a back-end inside which ``model`` that is; else {} or a ``kind``.

    Raises:
        ModelError: As `load_backend`.
    """
    if isinstance(backend, Backend) or str(backend) == UNTRAINED:
        return {}
    path = Path(backend)
    if is_plda(path):
        return {"kind": path.name}
    metadata = _metadata(path)
    if "voxid" in metadata:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        card = _plain(path, metadata["voxid"]).get("card")
        told = card if isinstance(card, dict) else {}
        return {"model": {"name": told.get("name"), "sha256": told.get("weights_of") or digest}}  # as its embeddings name it
    _check_format(path, metadata)
    return _plain(path, metadata.get("card", "{}"))


def _imported(path: Path) -> Backend:
    """A plda of another toolkit, scored as that toolkit scores it."""
    scorer = read_plda(path)
    length_norm = scorer.length_norm or ("kaldi" if is_kaldi_plda(path) else None)
    backend = Backend(scorer={"name": "plda", "length_norm": length_norm})
    backend.scorer.restore(scorer.state())
    return backend


def parts_of(backend: Backend) -> tuple[str, ...]:
    """Names of the transforms, the scorer and the normalisation, in order.

    Example:
        >>> parts_of(Backend(["center"], "plda", "as"))
        ('center', 'plda', 'as-norm')
    """
    spec = backend.spec
    norm = [] if spec["norm"] is None else [f"{spec['norm']['name']}-norm"]
    return (*(part["name"] for part in spec["transforms"]), spec["scorer"]["name"], *norm)


def norm_spec(own: Mapping[str, Any] | None, norm: str | None, top: int | None) -> Mapping[str, Any] | None:
    """The normalisation of a back-end with what is asked for in its place; `top` alone changes the one that is there.

    Args:
        own: That of the back-end.
        norm: ``none``, ``z``, ``t``, ``s`` or ``as``; None = its own.
        top: Of ``as``.

    Raises:
        ConfigError: A `top` without ``as``.

    Example:
        >>> norm_spec(None, "as", 100), norm_spec({"name": "as", "top": 100}, "none", None)
        ({'name': 'as', 'top': 100}, None)
    """
    chosen = own if norm is None else None if norm == "none" else {"name": norm}
    if top is None:
        return chosen
    if chosen is None or chosen["name"] != "as":
        raise ConfigError("top is an option of the normalisation 'as'; ask for it with norm='as' (--norm as)")
    return dict(chosen) | {"top": top}


def _read(path: Path) -> tuple[dict[str, str], dict[str, NDArray]]:
    metadata = _metadata(path)
    only = PREFIX if "voxid" in metadata else ""  # of a model, not its weights
    try:
        with safe_open(path, framework="np") as file:
            return metadata, {name: file.get_tensor(name) for name in file.keys() if name.startswith(only)}  # noqa: SIM118
    except (SafetensorError, ValueError, TypeError, OSError) as error:
        raise ModelError(f"{path}: damaged, its arrays cannot be read ({_line(error)})", "E_FORMAT") from error


def _metadata(path: Path) -> dict[str, str]:
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises on a name that is too long
        if str(path) in PRESETS:
            raise ModelError(
                f"{path}: a preset that must be trained first: voxid train backend {path} --embeddings ... --speakers ... -o ...",
                "E_NOT_FITTED",
            )
        hint = did_you_mean(str(path), PRESETS) if path.suffix == "" else "see voxid train backend"
        raise ModelError(f"{path}: there is no such file of a back-end; {hint}", "E_NOT_FOUND")
    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, ValueError, OSError, RecursionError) as error:
        raise ModelError(f"{path}: no .safetensors file, or a damaged one; expected a back-end of voxid", "E_FORMAT") from error


def _check_format(path: Path, metadata: Mapping[str, str]) -> None:
    kind = metadata.get("format", "")
    if kind == FORMAT:
        return
    if kind.startswith("voxid.backend/"):
        raise ModelError(f"{path}: a back-end of the format {kind!r}, this voxid reads {FORMAT!r}; update voxid", "E_FORMAT")
    what = f"its format is {kind!r}" if kind else "no description inside"
    raise ModelError(f"{path}: a .safetensors file, but not a back-end of voxid ({what})", "E_FORMAT")


def _plain(path: Path, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError(f"a {type(found).__name__}, expected a mapping")
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: its description is malformed ({_line(error)})", "E_FORMAT") from error
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
