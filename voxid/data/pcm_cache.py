"""Decoded samples of a manifest, once, in one file on the disk: reading a crop is then a look into mapped memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from voxid.atomic import replacing
from voxid.audio import io
from voxid.errors import AudioError, DataError

log = logging.getLogger("voxid")
BAD_SHARE = 0.05  # more broken files than this is a broken corpus, not a few broken files
SCALE = 8.0  # a peak above this is no loud recording: integers were saved as floats
# Why a file is refused today and may be read tomorrow, though its size and its time stay as they are.
PASSING = {"E_EXTRA", "E_IO", "E_NOT_FILE", "E_PERMISSION"}


class PCMCache:
    """16-bit samples of many recordings in one memory map.

    Samples above full scale are clipped; a recording with a peak above 8 is divided by its peak. The warnings of the reader are
    logged when the files are decoded, a line for each code.

    Args:
        paths: The recordings.
        folder: Where the cache lives; it is named by the paths, sizes and times of the recordings, and made when absent. A
            damaged one is made anew, and one with recordings that may yet be read (no permission, say) serves this run only.
        sample_rate: Rate of the samples, in Hz.
        workers: Threads that decode.

    Attributes:
        rejected: Code of each recording that could not be read, by path; such a recording has no samples.

    Raises:
        DataError: ``E_CORPUS``, more than 5 % of the recordings cannot be read; ``E_WRITE``, ``E_DISK_FULL``.
    """

    def __init__(self, paths: Sequence[str | Path], folder: Path, *, sample_rate: int = 16000, workers: int = 2) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"{folder}: the cache cannot be made there ({error.strerror}); choose another place", "E_WRITE"
            ) from error
        base = folder / _key(paths, sample_rate)
        found = _read_index(base, len(paths))
        samples, self.rejected = found or _decode(paths, base, sample_rate, workers)
        self.starts = np.concatenate([[0], np.cumsum(samples, dtype=np.int64)])
        self._path = base.with_suffix(".pcm").absolute()
        self._mapped: np.ndarray | None = None
        _ = self.samples  # mapped now: this process keeps its samples whatever becomes of the file

    @property
    def samples(self) -> np.ndarray:
        """All samples, int16. A copy in another process opens the file again."""
        if self._mapped is None:
            self._mapped = _map(self._path, int(self.starts[-1]))
        return self._mapped

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_mapped": None}  # else a process that loads would be sent the whole corpus

    def num_samples(self, utterance: int) -> int:
        """Length of a recording, in samples; 0 when it could not be read."""
        return int(self.starts[utterance + 1] - self.starts[utterance])

    def read(self, utterance: int, start: int, stop: int) -> np.ndarray:
        """Samples start ... stop - 1 of a recording as float32 [T] in [-1, 1]."""
        first = self.starts[utterance]
        return self.samples[first + start : first + stop].astype(np.float32) / 32768.0


def _map(path: Path, samples: int) -> np.ndarray:
    if not samples:
        return np.zeros(0, np.int16)
    try:
        if path.stat().st_size == 2 * samples:
            return np.memmap(path, np.int16, "r")
        reason = "its size has changed"
    except OSError as error:
        reason = str(error.strerror)
    raise DataError(f"{path}: the decoded samples are gone ({reason}); start again and they are decoded anew", "E_CACHE")


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


def _read_index(base: Path, recordings: int) -> tuple[list[int], dict[str, str]] | None:
    """Lengths and rejects of a cache that is there and whole, else None."""
    try:
        facts = json.loads(base.with_suffix(".json").read_text())
        samples, rejected = [int(number) for number in facts["samples"]], dict(facts["rejected"])
        size = base.with_suffix(".pcm").stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = len(samples) == recordings and min(samples, default=0) >= 0 and size == 2 * sum(samples)
    return (samples, rejected) if whole else None


def _load(path: str | Path, sample_rate: int) -> tuple[np.ndarray, tuple[str, ...]] | AudioError:
    """Samples [T] int16 of a recording and the warnings about it."""
    try:
        recording = io.load(path, sample_rate=sample_rate)
    except AudioError as error:
        return error
    waveform, warnings = recording.waveform, recording.warnings
    peak = float(np.abs(waveform).max(initial=0.0))
    if peak > SCALE:
        waveform = waveform / peak
        warnings = tuple(text for text in warnings if not text.startswith("W_SCALE"))
        warnings += (f"W_SCALE: samples up to {peak:.6g} where 1 is full scale; divided by its peak",)
    return np.clip(np.round(waveform * 32768.0), -32768, 32767).astype(np.int16), warnings


def _decode(paths: Sequence[str | Path], base: Path, sample_rate: int, workers: int) -> tuple[list[int], dict[str, str]]:
    """Write the samples of all recordings; their lengths, and the code of each that cannot be read."""
    with contextlib.suppress(OSError):
        base.with_suffix(".json").unlink()  # it belongs to samples that are written over
    samples: list[int] = []
    rejected: dict[str, str] = {}
    remarks: list[tuple[str, str]] = []
    with (
        replacing(base.with_suffix(".pcm"), DataError) as temporary,
        temporary.open("wb") as file,
        ThreadPoolExecutor(workers) as pool,
    ):
        for first in tqdm(range(0, len(paths), 256), desc="decode", unit="x256", dynamic_ncols=True, disable=None):
            block = paths[first : first + 256]
            for path, answer in zip(block, pool.map(partial(_load, sample_rate=sample_rate), block), strict=True):
                if isinstance(answer, AudioError):
                    rejected[str(path)] = answer.code
                    samples.append(0)
                    continue
                file.write(answer[0].tobytes())
                samples.append(len(answer[0]))
                remarks += [(str(path), text) for text in answer[1]]
        _refuse_broken(rejected, len(paths))
    _tell(remarks)
    if not PASSING.intersection(rejected.values()):
        with replacing(base.with_suffix(".json"), DataError) as temporary:
            temporary.write_text(json.dumps({"sample_rate": sample_rate, "samples": samples, "rejected": rejected}))
    return samples, rejected


def _refuse_broken(rejected: dict[str, str], recordings: int) -> None:
    if len(rejected) > BAD_SHARE * recordings:
        first_bad = ", ".join(f"{path} ({code})" for path, code in list(rejected.items())[:3])
        raise DataError(f"{len(rejected)} of {recordings} recordings cannot be read: {first_bad} ...", "E_CORPUS")


def _tell(remarks: Sequence[tuple[str, str]]) -> None:
    """One line in the log for each code among the warnings."""
    counts = Counter(text.partition(":")[0] for _, text in remarks)
    for code, count in counts.items():
        path, text = next(remark for remark in remarks if remark[1].partition(":")[0] == code)
        log.warning("%s: %d recordings, e.g. %s:%s", code, count, path, text.partition(":")[2])
