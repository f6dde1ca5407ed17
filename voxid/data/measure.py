"""How long recordings are, measured by decoding all of them, several at a time."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from voxid.audio import io
from voxid.errors import AudioError, ConfigError

AHEAD = 16  # files that wait for each thread: a million at once would fill the memory


class Reject(NamedTuple):
    """Why a recording cannot be used."""

    code: str
    reason: str


def measure(
    paths: Sequence[Path], *, strict: bool = False, workers: int | None = None, progress: bool = True
) -> Generator[float | Reject, None, None]:
    """Length of each recording in seconds, or why it cannot be read; in the order of `paths`.

    Args:
        paths: The recordings.
        strict: Reject what can be read, but with a warning.
        workers: Threads; decoders free Python's lock while they work. By default one a processor, at most 8.
        progress: A bar on stderr, where that is a terminal.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"workers is a number of threads, 1 or more, got {workers}")
    return _in_order(paths, strict, workers or min(8, os.cpu_count() or 1), progress)


def _in_order(paths: Sequence[Path], strict: bool, workers: int, progress: bool) -> Generator[float | Reject, None, None]:
    stop = threading.Event()
    waiting: deque[Future[float | Reject]] = deque()
    bar = tqdm(total=len(paths), desc="prepare", unit="file", dynamic_ncols=True, disable=None if progress else True)
    with bar, ThreadPoolExecutor(workers) as pool:
        try:
            for path in paths:
                waiting.append(pool.submit(_duration, path, strict, stop))
                if len(waiting) >= workers * AHEAD:
                    yield waiting.popleft().result()
                    bar.update()
            while waiting:
                yield waiting.popleft().result()
                bar.update()
        finally:  # after Ctrl-C the threads end with the block that they are at
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)


def _duration(path: Path, strict: bool, stop: threading.Event) -> float | Reject:
    try:
        with io.stream(path, sample_rate=None, strict=strict) as blocks:
            for _ in blocks:
                if stop.is_set():
                    break
            return blocks.duration
    except AudioError as error:
        reason = str(error).split(": ", 1)  # the path has a column of its own
        return Reject(error.code, reason[-1])
