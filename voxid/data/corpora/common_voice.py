"""Common Voice: sentences read by volunteers, in many languages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from voxid.data.corpora.layout import CODE, Row, gender, table, unknown
from voxid.errors import DataError
from voxid.registry import register

OFFICIAL = ("train", "dev", "test")
LISTS = ("validated", *OFFICIAL)


@register("corpus", "common_voice")
def common_voice(root: Path) -> Iterator[Row]:
    """Rows of Common Voice: ``clips/common_voice_fr_123.mp3`` and ``validated.tsv`` in the folder of a language, or a folder of
    such folders.

    The clips are those of ``validated.tsv`` (and of train, dev and test.tsv). A speaker is a hash, ``client_id``, and a client's
    ``split`` is the official one, for all of the client's clips; clients in none of the three lists are in ``rest``. Sessions are
    not told.

    The recordings are CC0. Who takes them agrees not to try to find out who the speakers are.

    Ardila et al., "Common Voice: a massively-multilingual speech corpus", LREC 2020.
    """
    folders = [root] if (root / "clips").is_dir() else sorted(path.parent for path in root.glob("*/clips") if path.is_dir())
    if not folders:
        raise unknown(root, "Common Voice", "clips/ and validated.tsv (or LANGUAGE/clips/ and LANGUAGE/validated.tsv)")
    for folder in folders:
        yield from _language(folder, "" if folder == root else f"{folder.name}/", folder.name)


def _language(folder: Path, prefix: str, lang: str) -> Iterator[Row]:
    split_of = {row.get("client_id", ""): split for split in OFFICIAL for row in table(folder / f"{split}.tsv", "\t")}
    done: set[str] = set()
    for words in LISTS:
        for row in table(folder / f"{words}.tsv", "\t"):
            speaker, clip = row.get("client_id", ""), row.get("path", "")
            if not clip:
                raise DataError(f"{folder / words}.tsv: no column path, or an empty one; expected client_id, path, ...", CODE)
            if clip in done:
                continue
            done.add(clip)
            clip = clip if "." in clip else f"{clip}.mp3"  # the first releases leave the suffix out
            extra = {"gender": gender(row.get("gender", "")), "lang": row.get("locale") or lang}
            yield Row(f"{prefix}clips/{clip}", speaker or None, extra | {"split": split_of.get(speaker, "rest")})
    if not done:
        raise unknown(folder, "Common Voice", "validated.tsv (or train.tsv, dev.tsv, test.tsv) with client_id and path")
