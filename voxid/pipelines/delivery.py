"""From the blocks of a reader, and to where the samples go: files that are written as the samples come, or an array."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from voxid.audio.io import Reader, open_writer
from voxid.audio.source import printable
from voxid.errors import ConfigError, DataError

BLOCK_SECONDS = 2.0


def heard(reader: Reader, *, progress: bool, verb: str) -> Iterator[NDArray[np.float32]]:
    """Blocks [C, n] of a reader, with a bar on stderr that counts seconds."""
    promised = reader.facts.declared_duration
    total = None if promised is None else round(promised, 1)
    with tqdm(total=total, desc=verb, unit="s", unit_scale=True, disable=None if progress else True) as bar:
        for block in reader:
            yield np.atleast_2d(block)
            bar.update(block.shape[-1] / reader.rate)


def deliver(
    rows: Iterable[NDArray[np.float32]], outputs: Sequence[str | Path], channels: int, rate: int, subtype: str | None
) -> tuple[NDArray[np.float32] | None, int]:
    """Write rows [R, n] into files of `channels` rows each, all of them or none; without files, put them together.

    Returns:
        Rows [R, T], or None where they were written; and how many samples were clipped.
    """
    if not outputs:
        return np.concatenate(list(rows), axis=1), 0
    with ExitStack() as stack:
        writers = [stack.enter_context(open_writer(path, rate, channels, subtype=subtype)) for path in outputs]
        for block in rows:
            for place, writer in enumerate(writers):
                writer.write(block[place * channels : (place + 1) * channels])
    return None, sum(writer.clipped for writer in writers)


def spare(sources: Iterable[object], outputs: Iterable[str | Path]) -> None:
    """Refuse to write over a recording that is to be read, by whatever name or link; what is no path cannot be written over.

    Raises:
        ConfigError: An output that is one of the sources.
    """
    names = [os.fsdecode(source) for source in sources if isinstance(source, str | bytes | os.PathLike)]
    real = {os.path.realpath(name): name for name in names}
    for output in outputs:
        if (source := real.get(os.path.realpath(output))) is not None:
            raise ConfigError(printable(f"{output}: this output would overwrite the recording {source}; name another output"))


def make_folder(folder: Path) -> None:
    """Make a folder, where it is not there; raises DataError (``E_WRITE``) where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = printable(f"{folder}: no folder can be made there ({error.strerror or error}); choose another place")
        raise DataError(reason, "E_WRITE") from error


def band_remark(rate: int, net_rate: int, way_out: str) -> tuple[str, ...]:
    """W_BAND, where a recording holds higher tones than its net hears."""
    if rate <= net_rate:
        return ()
    return (f"W_BAND: the model hears tones up to {net_rate / 2000:g} kHz; those above are left out{way_out}",)
