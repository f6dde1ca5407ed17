"""Speech Commands: single words of one second."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voxid.data.corpora.layout import Row, find_folders, lines, recordings, unknown
from voxid.registry import register

PATTERN = r"(?P<word>[a-z]+)/(?P<speaker>[0-9a-f]{8})_nohash_\d+"


@register("corpus", "speech_commands")
def speech_commands(root: Path) -> Iterator[Row]:
    """Rows of Speech Commands (v1 and v2): ``backward/0165e0e8_nohash_0.wav``; the hash is the speaker.

    ``split`` follows ``validation_list.txt`` (dev) and ``testing_list.txt`` (test), the rest is train; no speaker is in two of
    them. The column ``word`` is what is said. ``_background_noise_`` has no speaker and is left out.

    Warden, "Speech Commands: a dataset for limited-vocabulary speech recognition", arXiv 2018.
    """
    expected = "WORD/HASH_nohash_N.wav, validation_list.txt and testing_list.txt"
    find_folders(root, "Speech Commands", ("",), expected)
    listed = dict.fromkeys(lines(root / "validation_list.txt"), "dev")
    listed |= dict.fromkeys(lines(root / "testing_list.txt"), "test")
    fitting = 0
    for name, match in recordings(root, "", PATTERN):
        if name.startswith("_background_noise_/"):
            continue
        if match is None:
            yield Row(name, None, {})
            continue
        fitting += 1
        yield Row(name, match["speaker"], {"word": match["word"], "lang": "en", "split": listed.get(name, "train")})
    if not fitting:
        raise unknown(root, "Speech Commands", expected)
