"""VoxCeleb 1 and 2: interviews of celebrities on YouTube; a session is a video."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from voxid.data.corpora.layout import Row, find_folders, gender, recordings, table
from voxid.registry import register

PATTERN = r"(?P<speaker>id\d{5})/(?P<session>[^/]+)/[^/]+"
# Where unpacked archives leave the speakers' folders, conversions of VoxCeleb2 beside its own m4a among them.
PLACES_1 = ("wav", "dev/wav", "test/wav", "vox1_dev_wav/wav", "vox1_test_wav/wav")
PLACES_2 = tuple(f"{part}{kind}" for part in ("dev/", "test/", "") for kind in ("wav", "flac", "aac"))
# The 40 speakers of the test set of VoxCeleb1: their names begin with E.
FIRST_TEST, LAST_TEST = "id10270", "id10309"


@register("corpus", "voxceleb1")
def voxceleb1(root: Path) -> Iterator[Row]:
    """Rows of VoxCeleb1: ``wav/id10270/5r0dWxy17C8/00001.wav``, with the dev and the test archive unpacked together or apart.

    ``split`` is ``train`` for what the corpus calls dev and ``test`` for its 40 test speakers. Gender and nationality come from
    ``vox1_meta.csv``, where it lies in `root`.

    Nagrani et al., "VoxCeleb: a large-scale speaker identification dataset", Interspeech 2017.
    """
    places = find_folders(root, "VoxCeleb1", PLACES_1, "wav/idXXXXX/VIDEO/00001.wav (or dev/wav and test/wav)")
    known = _meta(root / "vox1_meta.csv", "VoxCeleb1 ID")
    found = chain.from_iterable(recordings(root, place, PATTERN) for place in places)
    for name, match in found:
        speaker = match["speaker"] if match else ""
        yield _row(name, match, known, "test" if FIRST_TEST <= speaker <= LAST_TEST else "train")


@register("corpus", "voxceleb2")
def voxceleb2(root: Path) -> Iterator[Row]:
    """Rows of VoxCeleb2: ``dev/aac/id00012/21Uxsk56VDQ/00001.m4a``; where a conversion (wav or flac) stands beside aac, it is
    taken instead.

    ``split`` is ``train`` for dev and ``test`` for test; for folders without these two it is looked up in ``vox2_meta.csv``, and
    without that file it is train. Gender comes from there too.

    Chung et al., "VoxCeleb2: deep speaker recognition", Interspeech 2018.
    """
    expected = "dev/aac/idXXXXX/VIDEO/00001.m4a (or dev/wav, test/aac, test/wav, aac, wav)"
    places = find_folders(root, "VoxCeleb2", PLACES_2, expected)
    known = _meta(root / "vox2_meta.csv", "VoxCeleb2 ID")
    done: set[str] = set()
    for place in places:
        part = place.rpartition("/")[0]
        if part in done:
            continue
        done.add(part)
        for name, match in recordings(root, place, PATTERN):
            official = part or (known.get(match["speaker"], {}).get("Set", "") if match else "")
            yield _row(name, match, known, "test" if official == "test" else "train")


def _row(name: str, match: re.Match[str] | None, known: Mapping[str, Mapping[str, str]], split: str) -> Row:
    if match is None:
        return Row(name, None, {})
    meta = known.get(match["speaker"], {})
    extra = {"session": match["session"], "gender": gender(meta.get("Gender", "")), "split": split}
    return Row(name, match["speaker"], extra | ({"nationality": meta["Nationality"]} if "Nationality" in meta else {}))


def _meta(path: Path, key: str) -> dict[str, dict[str, str]]:
    """The table of speakers: tabs in that of VoxCeleb1, commas in that of VoxCeleb2."""
    separator = "\t" if key == "VoxCeleb1 ID" else ","
    return {row[key]: row for row in table(path, separator) if row.get(key)}
