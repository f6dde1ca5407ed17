"""Tables of what each choice is worth: poolings, losses, chunk lengths, augmentation; one backbone, one budget.

    python benchmarks/ablation.py --data DATA --output runs/ablation
    python benchmarks/ablation.py --data DATA --output runs/ablation --only pooling chunk --steps 1000

Every run trains a small ECAPA-TDNN (C=64) from the same seed on the training speakers of DATA and is measured by the mean EER
of the three development lists; nothing but the named part differs. A run that is there already is not made again, so a stopped
script goes on where it was. The budget is far below what a good model needs: differences of a few tenths are noise of the seed
(the rows with a seed in the table of poolings show how much).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxid.cli import keep_memory
from voxid.config import load_recipe
from voxid.training.fit import fit

BATCH, BATCHES = 48, 50
# For losses that compare the items of a batch.
PAIRED = ("data.balance=0", "data.speakers_per_batch=24", "data.utterances_per_speaker=2")
NO_MARGIN = ("margin_schedule.start=0", "margin_schedule.stop=0")
RECIPES: dict[str, dict[str, Sequence[str]]] = {
    "pooling": {
        "tap": ["model.pooling={name: tap}"],
        "tsp": ["model.pooling={name: tsp}"],
        "sap": ["model.pooling={name: sap}"],
        "asp": ["model.pooling={name: asp, context: false}"],
        "asp with context": ["model.pooling={name: asp, context: true}"],
        "mha": ["model.pooling={name: mha}"],
        "mqmha": ["model.pooling={name: mqmha}"],
        "xi": ["model.pooling={name: xi}"],
        "asp with context, seed 1": ["model.pooling={name: asp, context: true}", "seed=1"],
    },
    "loss": {
        "softmax": ["loss={name: softmax}"],
        "focal": ["loss={name: focal}"],
        "am_softmax": ["loss={name: am_softmax, margin: 0.2, scale: 30}"],
        "aam_softmax": ["loss={name: aam_softmax, margin: 0.2, scale: 30}"],
        "aam_softmax, 3 sub-centres, inter-top-5": [
            "loss={name: aam_softmax, margin: 0.2, scale: 30, sub_centers: 3, topk: 5, topk_margin: 0.06}"
        ],
        "sphereface2": ["loss={name: sphereface2}"],
        "triplet": ["loss={name: triplet}", *PAIRED],
        "ge2e": ["loss={name: ge2e}", *PAIRED],
        "prototypical": ["loss={name: prototypical}", *PAIRED],
        "angular_prototypical": ["loss={name: angular_prototypical}", *PAIRED],
        "softmax + angular_prototypical": [
            "loss={name: combined, parts: [softmax, angular_prototypical]}",
            *PAIRED,
        ],
    },
    "chunk": {f"{seconds} s": [f"data.chunk_seconds={seconds}"] for seconds in (1.5, 2.0, 2.5, 3.0)}
    | {"1, 2 or 3 s, drawn": ["data.chunk_seconds=[1.0, 2.0, 3.0]"]},
    "augment": {
        "none": ["augment=null", "specaugment=null"],
        "SpecAugment": ["augment=null"],
        "noise and rooms, an item each its own": ["specaugment=null"],
        "noise and rooms, one for the whole batch": ["specaugment=null", "augment.policy=batch"],
        "noise and rooms, SpecAugment": [],
        "the same, equaliser, telephone, codec, clipping, volume": [
            "augment.equalize_prob=0.4",
            "augment.telephone_prob=0.07",
            "augment.codec_prob=0.07",
            "augment.clip_prob=0.05",
            "augment.volume_prob=0.3",
        ],
    },
    "balance": {
        "each utterance equally often": ["data.balance=0"],
        "half way": ["data.balance=0.5"],
        "each speaker equally often": ["data.balance=1"],
        "at most 10 a speaker and epoch": ["data.balance=0", "data.max_utterances=10"],
        "re-weighted, inverse frequency": ["data.balance=0", "loss.class_weights=inverse"],
        "re-weighted, effective number": ["data.balance=0", "loss.class_weights=effective"],
    },
}


def common(data: Path, arguments: argparse.Namespace) -> list[str]:
    """What all runs share."""
    corpora = ("cv_fr", "cv_multi", "speech_commands")
    manifests = ",".join(f"{data}/{corpus}/manifest.csv" for corpus in (*corpora, "libri_mini"))
    return [
        f"manifest=[{manifests}]",
        f"validation.trials=[{','.join(f'{data}/protocols/{corpus}_dev.trials' for corpus in corpora)}]",
        f"validation.root=[{','.join(f'{data}/{corpus}' for corpus in corpora)}]",
        f"validation.every={arguments.steps // BATCHES}",
        f"augment.noise={data}/noise/manifest.csv",
        f"augment.responses={data}/rir/manifest.csv",
        f"data.cache={arguments.cache or arguments.output / 'cache'}",
        f"data.batch_size={BATCH}",
        f"data.batches={BATCHES}",
        "data.speeds=[1.0]",
        "model.backbone={name: ecapa_tdnn, channels: 64, output_dim: 192}",
        f"trainer.epochs={arguments.steps // BATCHES}",
        f"trainer.threads={arguments.threads}",
        "trainer.compile=false",
        "trainer.save_top=1",
        "schedule.warmup_steps=50",
    ]


def run(table: str, name: str, overrides: Sequence[str], arguments: argparse.Namespace) -> Mapping[str, Any]:
    """Train one row; its EERs and minutes."""
    folder = arguments.output / table / "".join(letter if letter.isalnum() else "_" for letter in name)
    done = folder / "row.json"
    if not done.is_file():
        own = [f"output={folder}", "trainer.resume=" + str((folder / "checkpoints" / "last.ckpt").is_file()).lower()]
        given = [text for text in common(arguments.data, arguments) if not _dropped(text, overrides)]
        start = time.perf_counter()
        fit(load_recipe("speaker/ecapa_tdnn_small", [*given, *own, *overrides]))
        minutes = (time.perf_counter() - start) / 60
        last = json.loads((folder / "metrics.json").read_text())["epochs"][-1]
        rates = {key.removeprefix("eer/"): value for key, value in last.items() if key.startswith("eer")}
        done.write_text(json.dumps({"rates": rates, "minutes": minutes, "overrides": list(overrides)}))
    return json.loads(done.read_text())


def _dropped(text: str, overrides: Sequence[str]) -> bool:
    """A key below a section that the row leaves out."""
    return any(other.endswith("=null") and text.startswith(other.removesuffix("=null") + ".") for other in overrides)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=[*RECIPES], default=[*RECIPES])
    arguments = parser.parse_args()
    keep_memory()
    for table in arguments.only:
        print(f"\n| {table} | mean EER, % | cv_fr_dev | cv_multi_dev | speech_commands_dev |\n|---|---|---|---|---|")
        for name, overrides in RECIPES[table].items():
            rates = run(table, name, overrides, arguments)["rates"]
            lists = ("eer", "cv_fr_dev", "cv_multi_dev", "speech_commands_dev")
            print(f"| {name} | " + " | ".join(f"{100 * rates[key]:.2f}" for key in lists) + " |", flush=True)


if __name__ == "__main__":
    main()
