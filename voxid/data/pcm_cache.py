"""Decoded samples of a manifest, once, in one file on the disk: reading a crop is then a look into mapped memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from voxid.atomic import replacing
from voxid.audio import io
from voxid.errors import AudioError, DataError

BAD_SHARE = 0.05  # more broken files than this is a broken corpus, not a few broken files


class PCMCache:
    """16-bit samples of many recordings in one memory map.

    Args:
        paths: The recordings.
        folder: Where the cache lives; it is named by the paths, sizes and times of the recordings, and made when absent.
        sample_rate: Rate of the samples, in Hz.
        workers: Threads that decode.

    Attributes:
        rejected: Code of each recording that could not be read, by path; such a recording has no samples.

    Raises:
        DataError: ``E_CORPUS``, more than 5 % of the recordings cannot be read.
    """

    def __init__(self, paths: Sequence[str | Path], folder: Path, *, sample_rate: int = 16000, workers: int = 2) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"{folder}: the cache cannot be made there ({error.strerror}); choose another place", "E_WRITE"
            ) from error
        base = folder / _key(paths, sample_rate)
        index = base.with_suffix(".json")
        if not index.is_file():
            _decode(paths, base, sample_rate, workers)
        facts = json.loads(index.read_text())
        self.rejected: dict[str, str] = facts["rejected"]
        self.starts = np.concatenate([[0], np.cumsum(facts["samples"])])
        self.samples = np.memmap(base.with_suffix(".pcm"), np.int16, "r") if self.starts[-1] else np.zeros(0, np.int16)

    def num_samples(self, utterance: int) -> int:
        """Length of a recording, in samples; 0 when it could not be read."""
        return int(self.starts[utterance + 1] - self.starts[utterance])

    def read(self, utterance: int, start: int, stop: int) -> np.ndarray:
        """Samples start ... stop - 1 of a recording as float32 [T] in [-1, 1]."""
        first = self.starts[utterance]
        return self.samples[first + start : first + stop].astype(np.float32) / 32768.0


def _key(paths: Sequence[str | Path], sample_rate: int) -> str:
    digest = hashlib.sha256(str(sample_rate).encode())
    for path in paths:
        try:
            stat = Path(path).stat()
            facts = f"{stat.st_size}|{stat.st_mtime_ns}"
        except OSError:
            facts = "missing"
        digest.update(os.fsencode(os.path.realpath(path)) + f"|{facts}\n".encode())
    return digest.hexdigest()[:16]


def _decode(paths: Sequence[str | Path], base: Path, sample_rate: int, workers: int) -> None:
    samples: list[int] = []
    rejected: dict[str, str] = {}

    def read(path: str | Path) -> np.ndarray | AudioError:
        try:
            waveform = io.load(path, sample_rate=sample_rate).waveform
            return np.clip(np.round(waveform * 32768.0), -32768, 32767).astype(np.int16)
        except AudioError as error:
            return error

    with (
        replacing(base.with_suffix(".pcm"), DataError) as temporary,
        temporary.open("wb") as file,
        ThreadPoolExecutor(workers) as pool,
    ):
        for first in tqdm(range(0, len(paths), 256), desc="decode", unit="x256", dynamic_ncols=True, disable=None):
            block = paths[first : first + 256]
            for path, answer in zip(block, pool.map(read, block), strict=True):
                if isinstance(answer, AudioError):
                    rejected[str(path)] = answer.code
                    samples.append(0)
                else:
                    file.write(answer.tobytes())
                    samples.append(len(answer))
        if len(rejected) > BAD_SHARE * len(paths):
            first_bad = ", ".join(f"{path} ({code})" for path, code in list(rejected.items())[:3])
            raise DataError(f"{len(rejected)} of {len(paths)} recordings cannot be read: {first_bad} ...", "E_CORPUS")
    with replacing(base.with_suffix(".json"), DataError) as temporary:
        temporary.write_text(json.dumps({"sample_rate": sample_rate, "samples": samples, "rejected": rejected}))
