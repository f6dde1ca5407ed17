"""Lists of torch_speaker and its kin: a CSV of absolute paths, written by pandas."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from voxid.data.corpora.layout import Row, unknown
from voxid.data.table import read_table
from voxid.registry import register

PATH, LABEL, NAME = "utt_paths", "utt_spk_int_labels", "speaker_name"


@register("corpus", "torch_speaker")
def torch_speaker(root: Path) -> Iterator[Row]:
    """Rows of the lists in a folder: every ``*.csv`` with the columns ``utt_paths`` and ``utt_spk_int_labels``.

    The speaker is ``speaker_name`` where there is such a column, else the number; ``split`` is the name of the list (train.csv:
    train). A relative path counts from `root` where there is such a file, else from the current folder, as in those scripts.

    thuhcsi/torch_speaker and zyzisyz/mfa_conformer, scripts/build_datalist.py.
    """
    lists = [path for path in sorted(root.glob("*.csv")) if {PATH, LABEL} <= set(read_table(path)[0])]
    if not lists:
        raise unknown(root, "the lists of torch_speaker", f"*.csv with the columns {PATH} and {LABEL}")
    for path in lists:
        header, blocks = read_table(path)
        where, who = header.index(PATH), header.index(NAME if NAME in header else LABEL)
        for block in blocks:
            for row in block:
                yield Row(_relative(root, row[where]), row[who] or None, {"split": path.stem})


def _relative(root: Path, path: str) -> str:
    beside = root / path  # an absolute path stays itself
    whole = os.path.abspath(beside if os.path.exists(beside) else path)  # noqa: PTH100, PTH110 - resolve() would follow links
    return os.path.relpath(whole, root).replace(os.sep, "/")
