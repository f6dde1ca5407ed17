"""MUSAN: music, speech and noise, for augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voxid.data.corpora.layout import Row, find_folders, recordings
from voxid.registry import register

KINDS = ("noise", "music", "speech")


@register("corpus", "musan")
def musan(root: Path) -> Iterator[Row]:
    """Rows of MUSAN: ``noise/free-sound/noise-free-sound-0000.wav``; columns ``kind`` (noise, music, speech) and ``source``.

    Nobody is named in it: the speaker is empty, as in every manifest of noise.

    Snyder et al., "MUSAN: a music, speech, and noise corpus", arXiv 2015.
    """
    for kind in find_folders(root, "MUSAN", KINDS, "noise/, music/ and speech/, each with SOURCE/*.wav"):
        for name, match in recordings(root, kind, r"(?P<source>[^/]+)/[^/]+"):
            yield Row(name, None, {}) if match is None else Row(name, "", {"kind": kind, "source": match["source"]})
