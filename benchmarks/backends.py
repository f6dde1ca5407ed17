"""Back-ends beside each other on real voices: fitted on the training speakers, chosen on dev, reported on test.

    python benchmarks/backends.py --data DATA --output runs/backends

Embeds every recording of DATA's four corpora once (kept in --output), fits each back-end of `GRID` on the training speakers
with the cohort of their means, and scores the development lists under each normalisation. In each cell of the table the
arguments with the lowest mean EER of the development lists are taken, and only these are scored on the test lists.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import voxid
from voxid.cli import keep_memory
from voxid.data.embeddings import read_embeddings, save_embeddings
from voxid.data.manifest import read_manifest
from voxid.data.trials import read_trials
from voxid.metrics.detection import eer, min_dcf
from voxid.pipelines.embed import embed_files
from voxid.scoring.backend import Backend

CORPORA = ("cv_fr", "cv_multi", "speech_commands", "libri_mini")
DEV = ("cv_fr_dev", "cv_multi_dev", "speech_commands_dev")
TEST = ("cv_fr_test", "cv_fr_test_xsession", "cv_multi_test", "cv_multi_test_xsession", "speech_commands_test", "libri_mini_test")
DIMS = (96, 128, 160, 186)
SHRINKAGES = (0.3, 0.5, 0.7, 0.85)
LENGTH = ["center", "length_norm"]
GRID: dict[str, Sequence[Mapping[str, Any]]] = {
    "cosine": [{"scorer": "cosine"}, {"transforms": ["center"], "scorer": "cosine"}],
    "WCCN": [{"transforms": [*LENGTH, {"name": "wccn", "shrinkage": share}], "scorer": "cosine"} for share in (None, 0.5)],
    "LDA": [
        {"transforms": [*LENGTH, {"name": "lda", "dim": dim, "shrinkage": share}], "scorer": "cosine"}
        for dim in DIMS
        for share in (None, 0.5)
    ],
    "GPLDA": [
        {"transforms": first, "scorer": {"name": "plda", **scorer}}
        for first in (["center"], LENGTH)
        for scorer in ({}, {"rank": 128}, *({"shrinkage": share} for share in SHRINKAGES))
    ],
    "LDA-GPLDA": [
        {
            "transforms": [*LENGTH, {"name": "lda", "dim": dim, "shrinkage": lda}, *last],
            "scorer": {"name": "plda", "shrinkage": share},
        }
        for dim in DIMS
        for last in ([], ["length_norm"])
        for lda, share in ((None, None), (None, 0.5), (0.5, 0.5))
    ],
    "heavy-tailed PLDA": [
        {"transforms": first, "scorer": {"name": "heavy_tailed_plda", "nu": nu}}
        for first in (["center"], LENGTH)
        for nu in (2.0, 8.0)
    ],
}
NORMS: dict[str, str | None] = {"none": None, "S-norm": "s", "AS-norm": "as"}


class Voices:
    """Embeddings of all recordings, by the path below the data folder."""

    def __init__(self, data: Path, output: Path, model: str | None) -> None:
        self.data = data
        manifests = [read_manifest(data / corpus / "manifest.csv") for corpus in CORPORA]
        paths = [path for manifest in manifests for path in manifest.paths]
        kept = output / "embeddings.safetensors"
        if not kept.is_file():
            done = embed_files(paths, model=model)
            save_embeddings(kept, done.names, done.embeddings, done.model)
        held = read_embeddings(kept)
        index = {name: row for row, name in enumerate(held.names)}
        self.rows = held.embeddings[[index[path] for path in paths]]
        self.place = {path: row for row, path in enumerate(paths)}
        columns = (f"{c} {s}" for c, m in zip(CORPORA, manifests, strict=True) for s in m.speakers)
        self.speakers = np.array(list(columns))
        self.train = np.array([split for manifest in manifests for split in manifest.column("split")]) == "train"
        self.groups = np.array([f"{c} {lang}" for c, m in zip(CORPORA, manifests, strict=True) for lang in m.column("lang")])

    def trials(self, name: str) -> tuple[NDArray, NDArray, NDArray]:
        """Labels and rows of both sides of a protocol."""
        folder = (self.data / name.split("_dev")[0].split("_test")[0]).resolve()
        listed = read_trials(self.data / "protocols" / f"{name}.trials")
        sides = (np.array([self.place[str(folder / getattr(t, side))] for t in listed]) for side in ("enrol", "test"))
        return np.array([bool(trial.label) for trial in listed]), *sides


def rates(backend: Backend, voices: Voices, lists: Sequence[str]) -> dict[str, tuple[float, float]]:
    """EER in % and minDCF(0.01) of each list."""
    out = {}
    for name in lists:
        labels, enrol, test = voices.trials(name)
        scores = backend.score_trials(voices.rows, enrol, test)
        out[name] = (100 * eer(scores, labels), min_dcf(scores, labels, 0.01))
    return out


def chosen(specs: Sequence[Mapping[str, Any]], voices: Voices) -> dict[str, tuple[float, Backend]]:
    """For each normalisation the back-end with the lowest mean EER of the development lists, and that mean."""
    best: dict[str, tuple[float, Backend]] = {}
    rows, speakers, groups = voices.rows[voices.train], voices.speakers[voices.train], voices.groups[voices.train]
    for spec in specs:
        fitted = Backend(**spec).fit(rows, speakers, groups=groups)
        for title, norm in NORMS.items():
            backend = fitted.with_norm(norm)
            mean = float(np.mean([rate for rate, _ in rates(backend, voices, DEV).values()]))
            print(f"  {title:8} {mean:6.2f} {json.dumps(spec)}", flush=True)
            if title not in best or mean < best[title][0]:
                best[title] = (mean, backend)
    return best


def _arguments(backend: Backend) -> str:
    parts = [*backend.spec["transforms"], backend.spec["scorer"]]
    return ", ".join(f"{key}={value}" for part in parts for key, value in part.items() if key != "name" and value is not None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("runs/backends"))
    parser.add_argument("--model", default=voxid.load().card["name"])
    parser.add_argument("--only", nargs="*", choices=[*GRID], default=[*GRID])
    parser.add_argument("--dev", action="store_true", help="leave the test lists alone")
    arguments = parser.parse_args()
    keep_memory()
    arguments.output.mkdir(parents=True, exist_ok=True)
    voices = Voices(arguments.data, arguments.output, arguments.model)
    lines = []
    for title in arguments.only:
        for norm, (mean, backend) in chosen(GRID[title], voices).items():
            found = {} if arguments.dev else rates(backend, voices, TEST)
            cells = " | ".join(f"{rate:.2f} / {cost:.3f}" for rate, cost in found.values())
            lines.append(f"| {title} | {norm} | {mean:.2f} | {cells} | `{backend}` {_arguments(backend)} |")
    print(f"| back-end | normalisation | dev, mean EER | {' | '.join(TEST)} | chosen |")
    print(f"|---|---|---|{'---|' * len(TEST)}---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
