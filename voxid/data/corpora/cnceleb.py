"""CN-Celeb 1 and 2: Chinese celebrities in eleven genres."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voxid.data.corpora.layout import Row, find_folders, lines, recordings
from voxid.registry import register

# singing-01-002: genre, session, utterance. Those of eval/test have their speaker in front.
PATTERN = r"(?P<speaker>id\d{5})/(?P<genre>[a-z_]+)-(?P<session>\d+)-\d+"
TEST = r"(?P<speaker>id\d{5})-(?P<genre>[a-z_]+)-(?P<session>\d+)-\d+"
ENROL = r"(?P<speaker>id\d{5})-enroll"


@register("corpus", "cnceleb1")
def cnceleb1(root: Path) -> Iterator[Row]:
    """Rows of CN-Celeb1: ``data/id00010/singing-01-002.flac`` and ``eval/{enroll,test}``.

    ``split`` is ``train`` for the speakers of ``dev/dev.lst`` (without that list, for all who are not in ``eval``), ``enrol`` and
    ``test`` for the two folders of ``eval``, and ``source`` for the utterances in ``data`` that those were made of: they are the
    same speech again, so take ``where.split=train`` to train. A session of a speaker is one of one genre: ``singing-01``.

    An enrolment is one row. The corpus makes it of several utterances (``eval/lists/enroll.map`` names them) and publishes the
    concatenation as ``eval/enroll/id00800-enroll.flac``; that recording is what the trials of voxid compare.

    Fan et al., "CN-Celeb: a challenging Chinese speaker recognition dataset", ICASSP 2020.
    """
    places = find_folders(root, "CN-Celeb1", ("data", "eval/enroll", "eval/test"), "data/idXXXXX/GENRE-SS-UUU.flac and eval/")
    train = set(lines(root / "dev" / "dev.lst"))
    judged = {match["speaker"] for place in places if place != "data" for match in _matches(root, place)}
    for place in places:
        for name, match in recordings(root, place, _pattern(place)):
            if match is None:
                yield Row(name, None, {})
                continue
            speaker = match["speaker"]
            split = {"eval/enroll": "enrol", "eval/test": "test"}.get(place)
            if split is None:
                split = "train" if (speaker in train if train else speaker not in judged) else "source"
            yield Row(name, speaker, _columns(match.groupdict()) | {"split": split})


@register("corpus", "cnceleb2")
def cnceleb2(root: Path) -> Iterator[Row]:
    """Rows of CN-Celeb2: ``data/id10000/vlog-01-002.flac``; all of it is for training.

    Li et al., "CN-Celeb: multi-genre speaker recognition", Speech Communication, 2022.
    """
    find_folders(root, "CN-Celeb2", ("data",), "data/idXXXXX/GENRE-SS-UUU.flac")
    for name, match in recordings(root, "data", PATTERN):
        columns = _columns(match.groupdict()) | {"split": "train"} if match else {}
        yield Row(name, match["speaker"] if match else None, columns)


def _pattern(place: str) -> str:
    return {"eval/enroll": ENROL, "eval/test": TEST}.get(place, PATTERN)


def _matches(root: Path, place: str) -> Iterator[dict[str, str]]:
    return (match.groupdict() for _, match in recordings(root, place, _pattern(place)) if match)


def _columns(groups: dict[str, str]) -> dict[str, str]:
    genre = groups.get("genre", "")
    session = f"{genre}-{groups['session']}" if genre else "enroll"
    return {"session": session, "genre": genre, "lang": "zh"}
