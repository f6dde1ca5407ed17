"""Who speaks in recordings that go by name: from manifests (.csv, .jsonl) or Kaldi's utt2spk."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from voxid.data.kaldi import read_map
from voxid.data.recording_names import locate
from voxid.data.table import CODE, read_table
from voxid.errors import DataError, did_you_mean

MANIFESTS = (".csv", ".jsonl")


def speaker_labels(names: Sequence[str], files: str | Path | Sequence[str | Path], *, column: str = "speaker") -> list[str]:
    """The speaker of each recording [n], or what another column says of it, out of one file or several.

    Args:
        names: The recordings, as embeddings name them: by the path of a manifest, by a path to the same file, by the end of a
            path, or by the id of an utt2spk.
        files: Manifests with the columns path and speaker, or files of lines ``utterance speaker``.
        column: Of the manifests: what is asked for. An utt2spk knows the speaker only.

    Raises:
        DataError: ``E_NAMES`` for recordings that the files do not hold; ``E_SPEAKERS`` for one with two of them;
            ``E_NOT_FILE``, ``E_MANIFEST``, ``E_KALDI``.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "utt2spk").write_text("u1 anna\\nu2 ben\\n")
        ...     speaker_labels(["u2", "u1"], f"{folder}/utt2spk")
        ['ben', 'anna']
    """
    paths = [Path(file) for file in ([files] if isinstance(files, str | Path) else files)]
    known: dict[str, tuple[str, str]] = {}  # place -> name as it is written, speaker
    for path in paths:
        for name, place, speaker in _rows(path, column):
            if known.setdefault(place, (name, speaker))[1] != speaker:
                said = f"{known[place][1]!r} and {speaker!r}"
                raise DataError(
                    f"{path}: the recording {name!r} comes with two values of {column}, {said}; keep one", "E_SPEAKERS"
                )
    places = list(known)
    written = [name for name, _ in known.values()]
    held = written if len(set(written)) == len(written) else places  # equal names in two corpora: whole paths tell them apart
    found = locate(names, held, what="the embeddings", where=", ".join(map(str, paths)), places=places)
    speakers = [speaker for _, speaker in known.values()]
    return [speakers[place] for place in found]


def _rows(path: Path, column: str) -> Iterator[tuple[str, str, str]]:
    """Name, place and speaker, row by row."""
    if path.suffix not in MANIFESTS:
        if column != "speaker":
            raise DataError(
                f"{path}: it has no column {column!r}; take a manifest ({', '.join(MANIFESTS)}) with that column", CODE
            )
        yield from ((name, name, speaker) for name, speaker in read_map(path).items())
        return
    header, blocks = read_table(path)
    for needed in ("path", column):
        if needed not in header:
            raise DataError(f"{path}:1: no column {needed!r}: {did_you_mean(needed, header)}", CODE)
    folder, at, who = os.path.abspath(path.parent), header.index("path"), header.index(column)  # noqa: PTH100 - links are kept
    for block in blocks:
        for row in block:
            if not row[at] or not row[who]:
                raise DataError(f"{path}: a row has no path or no {column}: {','.join(row)[:80]!r}", CODE)
            place = os.path.normpath(os.path.join(folder, row[at]))  # noqa: PTH118 - a million times
            yield row[at], place, row[who]
