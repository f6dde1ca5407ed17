"""prepare_hw4: the folder of the speaker homework (HW4) of NTU's machine learning course -> manifests of features."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxid.data.manifest import Manifest, Utterance, write_manifest
from voxid.data.prepared import check_place
from voxid.errors import DataError

CODE = "E_LAYOUT"
EXPECTED = "metadata.json (n_mels, speakers), mapping.json (speaker2id), testdata.json (utterances) and the files uttr-*.pt"
FRAME_SECONDS = 0.01  # the homework's features have a frame every 10 ms


@dataclass(frozen=True)
class PreparedHW4:
    """What `prepare_hw4` wrote.

    Args:
        output: The manifest of the labelled utterances.
        test: The manifest of the utterances to be named, without speakers; None where there is no testdata.json.
        num_utterances, num_speakers, num_test: Their rows.
        num_bins: F of the features.
    """

    output: str
    test: str | None
    num_utterances: int
    num_speakers: int
    num_test: int
    num_bins: int

    def describe(self) -> str:
        """One line."""
        test = f"; {self.test}: {self.num_test} without labels" if self.test else ""
        found = f"{self.num_utterances} utterances of {self.num_speakers} speakers"
        return f"{self.output}: {found}, {self.num_bins} bins{test}"


def prepare_hw4(folder: str | Path, *, output: str | Path) -> PreparedHW4:
    """Write the manifest of a homework folder: path, speaker, duration, class (the number of mapping.json), frames.

    The features stay where they are; a training reads them with ``model.frontend={name: precomputed, num_bins: 40}``. The
    utterances of testdata.json go to a second manifest, ``train.test.csv`` beside ``train.csv``.

    Args:
        folder: Holds metadata.json and the features.
        output: The manifest to write, CSV.

    Raises:
        DataError: ``E_NOT_FILE`` or ``E_LAYOUT`` for a folder of another kind, ``E_WRITE``, ``E_DISK_FULL``.
    """
    folder, output = Path(folder), Path(output)
    check_place(output)
    metadata = _json(folder / "metadata.json", {"n_mels", "speakers"})
    classes = _json(folder / "mapping.json", {"speaker2id"})["speaker2id"]
    rows = list(_labelled(folder, metadata, classes))
    if not rows:
        raise DataError(f"{folder / 'metadata.json'}: it names no utterance", CODE)
    write_manifest(output, Manifest.of(rows, output.parent))
    test, count = None, 0
    if os.path.isfile(folder / "testdata.json"):  # noqa: PTH113 - Path.is_file() raises on a name that is too long
        asked = _json(folder / "testdata.json", {"utterances"})["utterances"]
        test, count = output.with_suffix(".test.csv"), len(asked)
        unnamed = [_utterance(folder, "testdata.json", item, "", {}) for item in asked]
        write_manifest(test, Manifest.of(unnamed, output.parent))
    speakers = len({row.speaker for row in rows})
    return PreparedHW4(str(output), None if test is None else str(test), len(rows), speakers, count, int(metadata["n_mels"]))


def _labelled(folder: Path, metadata: Mapping[str, Any], classes: Mapping[str, Any]) -> Iterator[Utterance]:
    if not isinstance(metadata["speakers"], dict) or not isinstance(metadata["n_mels"], int) or not isinstance(classes, dict):
        raise DataError(f"{folder}: the homework's files are malformed; expected {EXPECTED}", CODE)
    for speaker, items in metadata["speakers"].items():
        if speaker not in classes:
            raise DataError(f"{folder / 'mapping.json'}: speaker {speaker!r} of metadata.json is not in it", CODE)
        for item in items:
            yield _utterance(folder, "metadata.json", item, speaker, {"class": str(classes[speaker])})


def _utterance(folder: Path, file: str, item: Any, speaker: str, extra: Mapping[str, str]) -> Utterance:
    try:
        path, frames = str(item["feature_path"]), int(item["mel_len"])
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"{folder / file}: an utterance is {{feature_path, mel_len}}, got {item!r}", CODE) from error
    if frames < 1 or not os.path.isfile(folder / path):  # noqa: PTH113
        raise DataError(f"{folder / path}: named in {file} with {frames} frames, but it is not there or has none", CODE)
    return Utterance(
        Path(os.path.realpath(folder / path)), speaker, round(frames * FRAME_SECONDS, 6), {**extra, "frames": str(frames)}
    )


def _json(path: Path, keys: set[str]) -> dict[str, Any]:
    if not os.path.isfile(path):  # noqa: PTH113
        raise DataError(f"{path}: there is no such file; expected {EXPECTED}", "E_NOT_FILE")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: not JSON that can be read ({error})", CODE) from error
    if not isinstance(found, dict) or not keys <= found.keys():
        raise DataError(f"{path}: expected the keys {', '.join(sorted(keys))}", CODE)
    return found
