"""embed: recordings -> embeddings [D], not normalised to unit length; compare them by their cosine."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from voxid.audio.io import load as load_audio
from voxid.audio.snr import snr
from voxid.audio.source import AudioLike
from voxid.data.embeddings import Embeddings
from voxid.errors import AudioError, ConfigError, DataError, ModelError
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.zoo.load import load as load_model
from voxid.zoo.load import pick_device

BATCH_SECONDS = 60.0
WINDOW = 16  # batches of audio held and sorted at a time: 16 min in 61 MB, whatever the length of the list
NEAR = 0.75  # the shortest of a batch against its longest: padding costs as much time as speech
SHOWN = 5  # broken recordings that an error names

log = logging.getLogger(__name__)


def embed(
    audio: AudioLike | list[AudioLike],
    *,
    model: str | Path | nn.Module | None = None,
    device: str = "auto",
    imports: bool = False,
) -> NDArray:
    """Embedding of a recording [D], or of a list of them [n, D]; float32, not normalised to unit length.

    Args:
        audio: A path, a file object or a (waveform, rate) pair; a list of these gives a list of rows.
        model: A name, a file, a loaded model, or None for the bundled one.
        device: "auto", "cpu", "cuda", ...; a loaded model stays where it is with "auto" and is moved otherwise.
        imports: Allow a model file whose parts go by an import path. Importing runs code: only for files that you trust.

    Raises:
        AudioError: A recording that cannot be read.
        DataError: The same, for a list: how many, and the first of them.

    Example:
        >>> from voxid.models.speaker.encoder import SpeakerEncoder
        >>> net = SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16})
        >>> noise = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
        >>> embed((noise, 16000), model=net).shape, embed([(noise, 16000), (noise[:8000], 16000)], model=net).shape
        ((192,), (2, 192))
    """
    net = ready(model, device, imports=imports)
    if isinstance(audio, list):
        return embed_files(audio, model=net, progress=False).embeddings
    waveform = _waveform(audio, _name(audio, 0), net)
    with _evaluating(net):
        return _forward(net, [waveform])[0]


def embed_files(
    paths: Iterable[AudioLike],
    *,
    model: str | Path | nn.Module | None = None,
    device: str = "auto",
    imports: bool = False,
    batch_seconds: float = BATCH_SECONDS,
    progress: bool = True,
    on_error: Literal["raise", "skip"] = "raise",
) -> Embeddings:
    """Embeddings of many recordings, in batches of like lengths; each equals what the recording gives alone.

    Every recording is read once. Memory is bounded whatever the length of the list, the longest recording apart.

    Args:
        paths: Recordings, each as in `embed`.
        model, device, imports: As in `embed`.
        batch_seconds: Audio in a batch at most, its padding included; a longer recording goes alone.
        progress: A bar on stderr.
        on_error: "raise" stops at recordings that cannot be used; "skip" leaves them out and lists them in `failed`.

    Raises:
        DataError: ``E_AUDIO``: recordings that cannot be used, how many so far, and the first of them.
        ConfigError: A value out of its range.
    """
    if on_error not in ("raise", "skip"):
        raise ConfigError(f"on_error is 'raise' or 'skip', got {on_error!r}")
    if not 0 < batch_seconds < math.inf:
        raise ConfigError(f"batch_seconds must be a number above 0, got {batch_seconds}")
    net = ready(model, device, imports=imports)
    items = list(paths)
    names = [_name(item, place) for place, item in enumerate(items)]
    rows = np.full((len(items), net.embedding_dim), np.nan, dtype=np.float32)
    facts = {name: np.full(len(items), np.nan) for name in ("seconds", "snr_db")}
    failed: dict[int, str] = {}
    limit = int(batch_seconds * net.sample_rate)
    with _evaluating(net), tqdm(total=len(items), desc="embed", unit="file", disable=None if progress else True) as bar:
        for window in _windows(items, names, net, WINDOW * limit, failed, facts):
            _refuse(failed, names, on_error)
            for batch in _batches(window, limit):
                rows[batch] = _forward(net, [window[place] for place in batch])
                bar.update(len(batch))
        bar.update(len(failed))
    failed |= {place: "its embedding is not finite" for place in _bad_rows(rows) if place not in failed}
    _refuse(failed, names, on_error)
    kept = [place for place in range(len(items)) if place not in failed]
    reasons = {names[place]: reason for place, reason in sorted(failed.items())}
    known = {name: values[kept] for name, values in facts.items()}
    return Embeddings(tuple(names[place] for place in kept), rows[kept], reasons, model_info(net), known)


def ready(model: str | Path | nn.Module | None, device: str = "auto", *, imports: bool = False) -> SpeakerEncoder:
    """The model by name or file, or the loaded one as it is; on its device.

    Raises:
        ModelError: A model that cannot be loaded, or a module that is no speaker model.
    """
    if not isinstance(model, nn.Module):
        return load_model(model, device=device, imports=imports)
    if not isinstance(model, SpeakerEncoder):
        raise ModelError(f"expected a speaker model, got {type(model).__name__}; see voxid.load", "E_FORMAT")
    return model if device == "auto" else model.to(pick_device(device))


def model_info(model: SpeakerEncoder) -> dict[str, Any]:
    """Which model made an embedding: name, sha256 (None where the card has none), and D.

    A model that was calibrated goes by the digest of the file that its weights come from: it embeds alike.
    """
    card = getattr(model, "card", None) or {}
    digest = card.get("weights_of") or card.get("sha256")
    return {"name": card.get("name"), "sha256": digest, "embedding_dim": model.embedding_dim}


@contextmanager
def _evaluating(net: SpeakerEncoder) -> Iterator[None]:
    training = net.training
    net.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        if training:
            net.train()


def _forward(net: SpeakerEncoder, waveforms: list[NDArray]) -> NDArray:
    """Embeddings [B, D] of waveforms of any lengths."""
    lengths = [len(waveform) for waveform in waveforms]
    padded = torch.zeros(len(waveforms), max(lengths))
    for row, waveform in zip(padded, waveforms, strict=True):
        row[: len(waveform)] = torch.from_numpy(waveform)
    device = next(net.parameters()).device
    same = len(set(lengths)) == 1  # no padding, no masks: faster
    masked = None if same else torch.tensor(lengths, device=device)
    return net(padded.to(device), masked).float().cpu().numpy()


def _windows(
    items: list[AudioLike],
    names: list[str],
    net: SpeakerEncoder,
    size: int,
    failed: dict[int, str],
    facts: Mapping[str, NDArray],
) -> Iterator[dict[int, NDArray]]:
    """Decoded recordings by their place, about `size` samples at a time; the reasons of those that fail go to `failed`, what
    was measured on the others to `facts`."""
    window: dict[int, NDArray] = {}
    held = 0
    for place, item in enumerate(items):
        try:
            window[place] = _waveform(item, names[place], net)
        except AudioError as error:
            failed[place] = str(error)
            continue
        facts["seconds"][place] = len(window[place]) / net.sample_rate
        facts["snr_db"][place] = snr(window[place], net.sample_rate)
        held += len(window[place])
        if held >= size:
            yield window
            window, held = {}, 0
    yield window


def _batches(window: Mapping[int, NDArray], limit: int) -> Iterator[list[int]]:
    """Places of like lengths, longest first; a batch holds at most `limit` samples with its padding."""
    places = sorted(window, key=lambda place: -len(window[place]))
    start = 0
    while start < len(places):
        longest = len(window[places[start]])
        most = places[start : start + max(1, limit // longest)]
        batch = [place for place in most if len(window[place]) >= NEAR * longest]
        yield batch
        start += len(batch)


def _waveform(audio: AudioLike, name: str, net: SpeakerEncoder) -> NDArray:
    loaded = load_audio(audio, sample_rate=net.sample_rate)
    for warning in loaded.warnings:
        log.warning("%s: %s", name, warning)
    return loaded.waveform


def _name(audio: AudioLike, place: int) -> str:
    if isinstance(audio, str | bytes | os.PathLike):
        return os.fsdecode(audio)
    name = getattr(audio, "name", None)
    return name if isinstance(name, str) else f"recording {place + 1}"


def _bad_rows(rows: NDArray) -> list[int]:
    return np.flatnonzero(~np.isfinite(rows).all(axis=1)).tolist()


def _refuse(failed: Mapping[int, str], names: list[str], on_error: str) -> None:
    if not failed or on_error == "skip":
        return
    reasons = [reason if names[place] in reason else f"{names[place]}: {reason}" for place, reason in sorted(failed.items())]
    more = f" ... and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
    raise DataError(f"{len(reasons)} of {len(names)} recordings cannot be used: {'; '.join(reasons[:SHOWN])}{more}", "E_AUDIO")
