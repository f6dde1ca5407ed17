"""Measures a trained enhancer or separator on the test protocols and bundles it with its card.

    python benchmarks/bundle_signal.py runs/phasen_small --data DATA --name phasen_small --command 'voxid train ...'
    python benchmarks/bundle_signal.py phasen_small --data DATA      # the bundled weights, measured again

DATA holds the corpora and their protocols. The weights go to voxid/zoo/weights/NAME.safetensors as float16; what is measured is
that file, read back, through the verbs `enhance` and `separate`. Tables for docs/results.md are printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from bundle import FACTS, WEIGHTS, without_paths

import voxid
from voxid.cli import keep_memory
from voxid.evaluation.enhancement import evaluate_enhancement
from voxid.evaluation.separation import evaluate_separation
from voxid.evaluation.signal_report import SignalEvaluation
from voxid.models import checkpoint
from voxid.zoo.load import find

LISTS = {"enhancement": "enh", "separation": "sep2"}
DESCRIPTIONS = {
    "phasen_small": "a small PHASEN against noise in speech at 16 kHz, trained by voxid on a CPU core",
    "phasen_small_causal": "a small causal PHASEN, for streams of speech at 16 kHz, trained by voxid on a CPU core",
    "sudormrf_small": "a small SuDoRM-RF for two voices at once at 16 kHz, trained by voxid on a CPU core",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="run folder of voxid train, or a bundled model by name")
    parser.add_argument("--data", required=True, type=Path, help="folder of the corpora and their protocols")
    parser.add_argument("--name", choices=sorted(DESCRIPTIONS), help="of the bundled model; by default that of the model")
    parser.add_argument("--command", help="the command that trained it, with DATA for the folder; by default as its card has it")
    parser.add_argument("--rows", type=Path, help="folder for the figures of each mixture")
    arguments = parser.parse_args()
    keep_memory()
    name = arguments.name or arguments.model
    net = checkpoint.load(find(arguments.model))
    card: dict[str, Any] = {key: value for key, value in net.card.items() if key not in ("sha256", "test")}
    card |= FACTS | {"name": name, "description": DESCRIPTIONS[name], "voxid": voxid.__version__}
    card["data"] = card["data"].replace(", Speech Commands (CC BY 4.0, Google)", "")  # words of a second are too short for it
    card |= {"command": arguments.command} if arguments.command else {}
    card["recipe"] = without_paths(card["recipe"], str(arguments.data))
    path = WEIGHTS / f"{name}.safetensors"
    checkpoint.save(net, path, card=card, dtype=torch.float16)
    card["test"] = measured(path, str(net.kind), arguments.data, arguments.rows)
    checkpoint.save(net, path, card=card, dtype=torch.float16)


def measured(path: Path, kind: str, data: Path, rows: Path | None) -> dict[str, Any]:
    """Figures of the development and the test list for the card; their tables are printed."""
    found = {}
    for split in ("dev", "test"):
        name = f"{LISTS[kind]}_{split}"
        mixtures = data / "protocols" / f"{name}.jsonl"
        table = None if rows is None else rows / f"{name}.csv"
        run = evaluate_enhancement if kind == "enhancement" else evaluate_separation
        result: SignalEvaluation = run(path, mixtures=mixtures, root=data, rows=table, device="cpu")
        print(result.describe(), flush=True)
        found[name] = _figures(result)
    return {name: figures for name, figures in found.items() if name.endswith("_test")}


def _figures(result: SignalEvaluation) -> dict[str, float | None]:
    """Means over all mixtures: each measure, and what was gained."""
    whole = result.groups[-1].figures
    gains = {f"{name}_improvement": figure.improvement for name, figure in whole.items()}
    return {name: figure.after for name, figure in whole.items()} | gains


if __name__ == "__main__":
    main()
