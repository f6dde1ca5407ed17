"""Measures a trained model on the test protocols and bundles it with its card.

    python benchmarks/bundle.py runs/ecapa_tdnn_small --data DATA --name ecapa_tdnn_small --command 'voxid train ...'

DATA holds the corpora and their protocols. The weights go to voxid/zoo/weights/NAME.safetensors as float16; what is measured
is that file, read back. The table for docs/results.md is printed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

import voxid
from voxid.evaluation.evaluate import evaluate
from voxid.models import checkpoint

WEIGHTS = Path(voxid.__file__).parent / "zoo" / "weights"
LISTS = (
    "cv_fr_test",
    "cv_fr_test_xsession",
    "cv_multi_test",
    "cv_multi_test_xsession",
    "speech_commands_test",
    "libri_mini_test",
)
FACTS = {
    "description": "a small ECAPA-TDNN for voices at 16 kHz, trained by voxid on two CPU cores",
    "licence": "Apache-2.0; no list of its speakers is part of it, and nobody may try to find out who they are",
    "data": (
        "train speakers of Common Voice (French delta 17.0, and 26 European languages; CC0-1.0), Speech Commands "
        "(CC BY 4.0, Google) and LibriSpeech (CC BY 4.0, Panayotov et al.); "
        "noise and music of free sources, simulated and measured rooms"
    ),
}


def corpus_of(trials: str) -> str:
    """The corpus folder of a protocol: cv_fr_test_xsession -> cv_fr."""
    return trials.split("_dev")[0].split("_test")[0]


def without_paths(value: Any, data: str) -> Any:
    """A recipe without the folders of the machine that it ran on."""
    if isinstance(value, dict):
        return {key: without_paths(item, data) for key, item in value.items() if key not in ("output", "cache", "init")}
    if isinstance(value, list):
        return [without_paths(item, data) for item in value]
    return value.replace(data, "DATA") if isinstance(value, str) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder of voxid train")
    parser.add_argument("--data", required=True, help="folder of the corpora and their protocols")
    parser.add_argument("--name", default="ecapa_tdnn_small")
    parser.add_argument("--command", required=True, help="the command that trained it, with DATA for the folder")
    arguments = parser.parse_args()
    net = voxid.load(arguments.run, device="cpu")
    path = WEIGHTS / f"{arguments.name}.safetensors"
    card = {key: value for key, value in net.card.items() if key != "sha256"}
    card |= FACTS | {"name": arguments.name, "command": arguments.command}
    card["recipe"] = without_paths(card["recipe"], arguments.data.rstrip("/"))
    checkpoint.save(net, path, card=card, dtype=torch.float16)
    card["test"] = {trials: measure(path, trials, Path(arguments.data)) for trials in LISTS}
    checkpoint.save(net, path, card=card, dtype=torch.float16)
    print(json.dumps({key: value for key, value in card.items() if key != "recipe"}, indent=1))


def measure(model: Path, trials: str, data: Path) -> dict[str, Any]:
    """EER with its interval, and minDCF, on one list; prints a row of the table."""
    result = evaluate(model, trials=data / "protocols" / f"{trials}.trials", root=data / corpus_of(trials), device="cpu")
    low, high = result.eer_interval or (float("nan"), float("nan"))
    rates = f"{100 * (result.far or 0):.2f} / {100 * (result.frr or 0):.1f}"
    costs = f"{result.min_dcf_001:.3f} | {result.min_dcf_0001:.3f}"
    trials_of = f"{result.num_trials} ({result.num_targets})"
    print(
        f"| {trials} | {100 * result.eer:.2f} ({100 * low:.1f} ... {100 * high:.1f}) | {costs} | {rates} | {trials_of} |",
        flush=True,
    )
    figures = {"eer": result.eer, "eer_interval": result.eer_interval, "min_dcf_001": result.min_dcf_001}
    return figures | {"min_dcf_0001": result.min_dcf_0001, "far": result.far, "frr": result.frr}


if __name__ == "__main__":
    main()
