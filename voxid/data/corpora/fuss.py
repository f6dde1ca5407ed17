"""FUSS: one to four sounds of any kind at once, for universal separation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from voxid.data.corpora.layout import Row, find_folders
from voxid.data.scan import scan
from voxid.registry import register

SPLITS = {"train": "train", "validation": "dev", "eval": "test"}
ROOMS = {"ssdata_reverb": "reverb", "ssdata": "dry"}
SOURCE = re.compile(r"(?P<mixture>.+)_sources/(?P<source>(?:background|foreground)\d+)_sound\.\w+")


@register("corpus", "fuss")
def fuss(root: Path) -> Iterator[Row]:
    """Rows of FUSS: ``ssdata_reverb/train/example00000.wav`` with its sources in ``example00000_sources`` beside it, the same in
    ``ssdata``, without rooms; or one of the two folders itself.

    The first source is the background, up to three foreground sounds follow; a mixture that has fewer leaves the others empty.
    ``split`` is train, dev (its validation) or test (its eval); ``room`` is reverb or dry, and ``sources`` their number.

    Wisdom et al., "What's all the FUSS about free universal sound separation data?", ICASSP 2021.
    """
    expected = "ssdata_reverb/train/example00000.wav and example00000_sources/*_sound.wav (or ssdata, or train/ itself)"
    places = [f"{home}/{split}".lstrip("/") for home in (*ROOMS, "") for split in SPLITS]
    for place in find_folders(root, "FUSS", places, expected):
        home, _, split = f"{root.name}/{place}".rpartition("/")
        told = {"room": ROOMS.get(home.rpartition("/")[2], ""), "split": SPLITS[split]}
        yield from _rows(root, place, told)


def _rows(root: Path, place: str, told: dict[str, str]) -> Iterator[Row]:
    """A scan tells both, mixtures and sources: 20,000 folders of sources are entered once."""
    mixtures: list[str] = []
    sources: dict[str, dict[str, str]] = {}
    for name in scan(root / place):
        match = SOURCE.fullmatch(name)
        if match:
            sources.setdefault(match["mixture"], {})[match["source"]] = f"{place}/{name}"
        else:
            mixtures.append(name)
    for name in mixtures:
        found = sources.get(name.rpartition(".")[0], {})
        references = {f"s{number}": found[source] for number, source in enumerate(sorted(found), 1)}
        yield Row(f"{place}/{name}", "" if found else None, references | {"sources": str(len(found))} | told)
