"""``voxid prepare`` and what is below it."""

from __future__ import annotations

import math
from typing import Literal

from voxid.cli.apps import Json, Output, Words, conditions, prepare_app
from voxid.cli.output import show


@prepare_app.default
def prepare(
    folder: str,
    *,
    output: Output,
    root: str | None = None,
    corpus: str | None = None,
    where: Words = (),
    speaker_part: int = 0,
    speaker_regex: str | None = None,
    min_duration: float = 0.0,
    max_duration: float = math.inf,
    decode: bool = False,
    strict: bool = False,
    workers: int | None = None,
    json: Json = False,
) -> None:
    """Find the recordings of a folder, measure them and write a manifest: path,speaker,duration.

    Args:
        folder: Searched at any depth.
        output: The manifest to write, CSV; what is left out goes to OUTPUT.rejected.csv.
        root: Folder that its paths are relative to; by default that of the output.
        corpus: A published corpus that the folder is laid out like: voxceleb1, librispeech, musan, librimix ...
        where: Of a corpus, the rows to take, e.g. split=train.
        speaker_part: Which part of the path is the speaker: 0 the first folder, -2 the folder of the file.
        speaker_regex: Instead: a regular expression with a group "speaker".
        min_duration: Leave out shorter recordings; in seconds.
        max_duration: Leave out longer recordings; in seconds.
        decode: Of a corpus, decode every recording instead of believing its header.
        strict: Also leave out recordings that are read with a warning.
        workers: Threads that decode.
    """
    from voxid.data.prepare import prepare as run

    result = run(
        folder,
        output=output,
        root=root,
        corpus=corpus,
        where=conditions(where) or None,
        speaker_part=speaker_part,
        speaker_regex=speaker_regex,
        min_duration=min_duration,
        max_duration=max_duration,
        decode=decode,
        strict=strict,
        workers=workers,
    )
    show(result, json, result.describe())


@prepare_app.command(name="trials")
def prepare_trials(
    source: str,
    *,
    output: Output,
    format: Literal["voxceleb", "kaldi", "wespeaker"] = "voxceleb",
    targets: int | None = None,
    nontargets: int | None = None,
    seed: int = 0,
    same: Words = (),
    different: Words = (),
    where: Words = (),
    root: str | None = None,
    train: str | None = None,
    json: Json = False,
) -> None:
    """Draw a balanced trial list from a manifest, or convert a trial list.

    Args:
        source: A manifest, or a trial list.
        output: The list to write.
        format: voxceleb (1 a b), kaldi (a b target) or wespeaker.
        targets: How many same-speaker trials to draw.
        nontargets: How many different-speaker trials to draw.
        seed: Of the draw.
        same: Columns in which both sides of a non-target agree, e.g. gender.
        different: Columns in which both sides of a target differ, e.g. session.
        where: Draw from rows with these values, e.g. split=test.
        root: Folder that the manifest's paths are relative to.
        train: Manifest of training speakers, none of whom may be in the list.
    """
    from voxid.data.prepare_trials import prepare_trials as run

    result = run(
        source,
        output=output,
        format=format,
        targets=targets,
        nontargets=nontargets,
        seed=seed,
        same=same,
        different=different,
        where=conditions(where),
        root=root,
        train=train,
    )
    show(result, json, result.describe())


@prepare_app.command(name="hw4")
def prepare_hw4(folder: str, *, output: Output, json: Json = False) -> None:
    """Manifests of the features of NTU's speaker homework (HW4): metadata.json, mapping.json, testdata.json.

    Args:
        folder: Holds metadata.json and the features uttr-*.pt.
        output: The manifest to write, CSV; the unlabelled utterances go to OUTPUT.test.csv.
    """
    from voxid.data.prepare_hw4 import prepare_hw4 as run

    result = run(folder, output=output)
    show(result, json, result.describe())


@prepare_app.command(name="format-trials")
def format_trials(
    source: str,
    *,
    root: str,
    output: Output,
    format: Literal["voxceleb", "kaldi", "wespeaker"] = "voxceleb",
    on_missing: Literal["raise", "skip"] = "raise",
    json: Json = False,
) -> None:
    """Write the trial list of a corpus (VoxCeleb1 O, E, H; CN-Celeb) with the paths of its unpacked folder.

    Args:
        source: The list as it is published.
        root: The corpus, unpacked.
        output: The list to write.
        format: voxceleb (1 a b), kaldi (a b target) or wespeaker.
        on_missing: raise stops when a recording is not there, skip leaves its trials out; OUTPUT.missing.csv names them.
    """
    from voxid.data.format_trials import format_trials as run

    result = run(source, root=root, output=output, format=format, on_missing=on_missing)
    show(result, json, result.describe())
