"""The ladder of speaker identification by classification, on a closed set of real speakers, and a single model that passes it.

    python benchmarks/ladder.py --data DATA --output runs/ladder

The closed set: every speaker of DATA/protocols/*_identification.csv. Tested are the rows `set=test` of these lists; trained on
are all other training utterances of these speakers that are not of the session of their test recording, where sessions are
given. The rungs (recipes speaker/hw4_*) follow the homework of the National Taiwan University that they are named after, on 40
log-mel bands and crops of 128 frames, without augmentation; all take the same number of steps, and the model of ours twice as
many. Rungs whose run folder holds a classifier already are not trained again. Printed are the accuracies with 95 % intervals,
and those of the ensembles.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from voxid.cli import keep_memory
from voxid.config import load_recipe
from voxid.evaluation.identification import evaluate_identification
from voxid.training.fit import fit

CORPORA = ("cv_fr", "cv_multi", "speech_commands", "fsdd")
RUNGS = (
    "hw4_transformer_1layer",
    "hw4_transformer_2layers",
    "hw4_transformer_3layers_bn",
    "hw4_conformer",
    "hw4_conformer_sap",
    "hw4_conformer_sap_am",
)
BEST = "hw4_best"
COLUMNS = ("path", "speaker", "duration", "set")


def closed_set(data: Path) -> list[dict[str, str]]:
    """Rows of the manifest: test recordings as listed, and what may be trained on."""
    rows = []
    for corpus in CORPORA:
        listed = list(csv.DictReader((data / "protocols" / f"{corpus}_identification.csv").open()))
        known = {row["path"]: row for row in csv.DictReader((data / corpus / "manifest.csv").open())}
        test = {row["path"] for row in listed if row["set"] == "test"}
        speakers = {row["speaker"] for row in listed}
        heard = {(known[path]["speaker"], known[path].get("session") or path) for path in test}
        listed_train = {row["path"] for row in listed if row["set"] == "train"}
        for path, row in known.items():
            own = (row["speaker"], row.get("session") or path)
            if path in test:
                rows.append(_row(corpus, row, "test"))
            elif path in listed_train or (row["split"] == "train" and row["speaker"] in speakers and own not in heard):
                rows.append(_row(corpus, row, "train"))
    return rows


def _row(corpus: str, row: dict[str, str], kind: str) -> dict[str, str]:
    return {"path": f"{corpus}/{row['path']}", "speaker": row["speaker"], "duration": row["duration_s"], "set": kind}


def train_rung(name: str, manifest: Path, data: Path, arguments: argparse.Namespace) -> Path:
    """Train one recipe, unless it is there; its run folder."""
    folder = arguments.output / name
    if not (folder / "classifier.safetensors").is_file():
        batches, steps = 100, arguments.steps * (2 if name == BEST else 1)
        overrides = [
            f"manifest={manifest}",
            f"root={data}",
            f"output={folder}",
            f"data.cache={arguments.output / 'cache'}",
            f"data.batches={batches}",
            f"trainer.epochs={steps // batches}",
            f"trainer.threads={arguments.threads}",
            f"trainer.precision={arguments.precision}",
            f"schedule.warmup_steps={steps // 10}",
            f"trainer.resume={'true' if (folder / 'checkpoints' / 'last.ckpt').is_file() else 'false'}",
        ]
        if name == BEST:
            overrides += [f"augment.noise={data}/noise/manifest.csv", f"augment.responses={data}/rir/manifest.csv"]
        fit(load_recipe(f"speaker/{name}", overrides))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("runs/ladder"))
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--precision", default="bf16-mixed")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[*RUNGS, BEST])
    arguments = parser.parse_args()
    keep_memory()
    arguments.output.mkdir(parents=True, exist_ok=True)
    rows, manifest = closed_set(arguments.data), arguments.output / "closed_set.csv"
    with manifest.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    count = {kind: sum(row["set"] == kind for row in rows) for kind in ("train", "test")}
    print(f"{len({row['speaker'] for row in rows})} speakers, {count['train']} training and {count['test']} test recordings")
    folders = {name: train_rung(name, manifest, arguments.data, arguments) for name in arguments.only}
    test = {"manifest": manifest, "root": arguments.data, "where": {"set": "test"}, "progress": False}
    ladder = [folders[name] for name in arguments.only if name != BEST]
    if ladder:
        print(evaluate_identification(ladder, output=arguments.output / "ladder.json", **test).describe())
    conformers = [folder for folder in ladder if "conformer" in folder.name]
    if len(conformers) > 1:
        print("the Conformers together:")
        print(evaluate_identification(conformers, output=arguments.output / "conformers.json", **test).describe())
    if BEST in folders:
        print(evaluate_identification([folders[BEST]], output=arguments.output / "best.json", **test).describe())


if __name__ == "__main__":
    main()
