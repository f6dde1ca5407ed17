"""Bring your own features: one file an utterance, a tensor [N, F] of N frames, as .npy, .safetensors or .pt."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from tqdm import tqdm

from voxid.data.pcm_cache import BAD_SHARE
from voxid.errors import DataError

SUFFIXES = (".npy", ".pt", ".safetensors")
CODE = "E_FEATURES"


def read_features(path: str | Path, num_bins: int | None = None) -> np.ndarray:
    """Features [N, F] of a file, as float32; large files are mapped, not read.

    Args:
        path: A .npy, a .safetensors with one tensor, or a .pt that torch.save wrote of one tensor (it is opened without running
            code).
        num_bins: F, to be checked.

    Raises:
        DataError: ``E_NOT_FILE``, or ``E_FEATURES``: another suffix, a damaged file, another shape, no frame, NaN or infinity.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/a.npy", np.zeros((7, 40)))
        ...     read_features(f"{folder}/a.npy").shape
        (7, 40)
    """
    features = np.asarray(_open(Path(path)), dtype=np.float32)
    _check_shape(path, features.shape, num_bins)
    if not np.isfinite(features).all():
        raise DataError(f"{path}: the features hold NaN or infinity", CODE)
    return features


class FeatureFiles:
    """Features of many utterances behind the promise of `PCMCache`: what is cut are frames, not samples.

    Args:
        paths: The files.
        num_bins: F.

    Attributes:
        rejected: Code of each file that cannot be read, by path; such an utterance has no frames.

    Raises:
        DataError: ``E_CORPUS``, more than 5 % of the files cannot be read: recordings in the place of features, say.
    """

    def __init__(self, paths: Sequence[str | Path], num_bins: int) -> None:
        self.paths = [Path(path) for path in paths]
        self.num_bins = num_bins
        self.rejected: dict[str, str] = {}
        self.frames: list[int] = []
        reasons: list[DataError] = []
        for path in tqdm(self.paths, desc="features", unit="file", dynamic_ncols=True, disable=None):
            try:
                shape = _open(path).shape
                _check_shape(path, shape, num_bins)
                self.frames.append(shape[0])
            except DataError as error:
                self.rejected[str(path)] = str(error.code)
                self.frames.append(0)
                reasons.append(error)
        if len(reasons) > BAD_SHARE * len(self.paths):
            first_bad = "; ".join(f"{error} ({error.code})" for error in reasons[:3])
            raise DataError(f"{len(reasons)} of {len(self.paths)} files of features cannot be read: {first_bad} ...", "E_CORPUS")

    def num_samples(self, utterance: int) -> int:
        """Length of an utterance, in frames; 0 when it could not be read."""
        return self.frames[utterance]

    def read(self, utterance: int, start: int, stop: int) -> np.ndarray:
        """Frames start ... stop - 1 of an utterance, float32 [n, F].

        Raises:
            DataError: ``E_FEATURES``, NaN or infinity among them, or a file that was changed.
        """
        path = self.paths[utterance]
        piece = np.array(_open(path)[start:stop], dtype=np.float32)
        _check_shape(path, piece.shape, self.num_bins)
        if not np.isfinite(piece).all():
            raise DataError(f"{path}: the features hold NaN or infinity", CODE)
        return piece


def _open(path: Path) -> np.ndarray:
    """The array of a file, mapped where its format allows it."""
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file() raises on a name that is too long
        raise DataError(f"{path}: there is no such file of features", "E_NOT_FILE")
    try:
        if path.suffix == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False)
        if path.suffix == ".safetensors":
            with safe_open(path, framework="numpy") as file:
                (name,) = file.keys()
                return file.get_tensor(name)
        if path.suffix == ".pt":
            return torch.load(path, map_location="cpu", weights_only=True).float().numpy()
    except (OSError, ValueError, SafetensorError, RuntimeError, AttributeError, TypeError, EOFError, KeyError) as error:
        raise DataError(f"{path}: no tensor can be read from it ({' '.join(str(error).split())[:160]})", CODE) from error
    except Exception as error:  # the unpickler's own errors have no common base
        raise DataError(f"{path}: a .pt that holds more than a tensor is not opened; save the tensor alone", CODE) from error
    raise DataError(f"{path}: features come as {', '.join(SUFFIXES)}, got {path.suffix or 'no suffix'!r}", CODE)


def _check_shape(path: str | Path, shape: tuple[int, ...], num_bins: int | None) -> None:
    if len(shape) != 2 or not shape[0]:
        raise DataError(f"{path}: expected features [N, F] of one frame or more, got {list(shape)}", CODE)
    if num_bins is not None and shape[1] != num_bins:
        raise DataError(f"{path}: expected {num_bins} bins, got {shape[1]} (frames first: [N, F])", CODE)
