"""Fits the back-end and the calibration of a trained model, measures it on the test protocols and bundles it with its card.

    python benchmarks/bundle.py runs/ecapa_tdnn_small --data DATA --output runs/bundle --command 'voxid train ...'
    python benchmarks/bundle.py ecapa_tdnn_small --data DATA --output runs/bundle      # the bundled weights, all else anew

DATA holds the corpora and their protocols. Four steps, each a verb of the shell as well: the training recordings are embedded
(kept in --output); the cohort of AS-norm is drawn like their speakers' means, corpus by corpus, so that nobody's embedding is
published; calibration and thresholds are fitted on the development
lists, and on pairs of the development recordings of libri_mini, which has no list; the weights go to
voxid/zoo/weights/NAME.safetensors as float16. What is measured is that file, read back. Tables for docs/results.md are printed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

import voxid
from voxid.cli import keep_memory
from voxid.data.embeddings import read_embeddings, save_embeddings
from voxid.data.prepare_trials import prepare_trials
from voxid.data.speaker_labels import speaker_labels
from voxid.evaluation.calibrate import calibrate
from voxid.evaluation.evaluate import evaluate
from voxid.models import checkpoint
from voxid.pipelines.embed_to_file import embed_to_file
from voxid.scoring.drawn_cohort import drawn_cohort
from voxid.training.backend import train_backend

WEIGHTS = Path(voxid.__file__).parent / "zoo" / "weights"
CORPORA = ("cv_fr", "cv_multi", "speech_commands", "libri_mini")
DEV = ("cv_fr_dev", "cv_multi_dev", "speech_commands_dev")
COHORT = 2000
QUALITY = ("cohort_std_mean",)
TARGETS, NONTARGETS = 90, 300  # of libri_mini_dev: all target pairs that there are
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


def calibrated(model: str, data: Path, output: Path, path: Path) -> None:
    """The model with AS-norm against the training speakers, likelihood ratios and thresholds, at `path`."""
    output.mkdir(parents=True, exist_ok=True)
    embeddings, backend = output / "train.safetensors", output / "backend.safetensors"
    manifests = [data / corpus / "manifest.csv" for corpus in CORPORA]
    if not embeddings.is_file():
        embed_to_file(manifest=manifests, where={"split": "train"}, model=model, output=embeddings)
    known = read_embeddings(embeddings)
    corpora = [Path(name).relative_to(data.resolve()).parts[0] for name in known.names]
    nobody = drawn_cohort(known.embeddings, speaker_labels(known.names, manifests), size=COHORT, groups=corpora)
    save_embeddings(output / "cohort.safetensors", [f"drawn {row}" for row in range(COHORT)], nobody, known.model)
    train_backend(
        "cosine", embeddings=embeddings, speakers=manifests, norm="as", cohort=output / "cohort.safetensors", output=backend
    )
    pairs = output / "libri_mini_dev.trials"
    prepare_trials(manifests[-1], where={"split": "dev"}, same=["gender"], targets=TARGETS, nontargets=NONTARGETS, output=pairs)
    trials = [*(data / "protocols" / f"{name}.trials" for name in DEV), pairs]
    roots = [data / corpus_of(name) for name in (*DEV, pairs.stem)]
    print(calibrate(model, trials=trials, root=roots, backend=backend, quality=QUALITY, output=path).describe())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="run folder of voxid train, or a model by name")
    parser.add_argument("--data", required=True, type=Path, help="folder of the corpora and their protocols")
    parser.add_argument("--output", type=Path, default=Path("runs/bundle"), help="folder for what is made on the way")
    parser.add_argument("--name", default="ecapa_tdnn_small")
    parser.add_argument("--command", help="the command that trained it, with DATA for the folder; by default as its card has it")
    arguments = parser.parse_args()
    keep_memory()
    path = WEIGHTS / f"{arguments.name}.safetensors"
    whole = arguments.output / "calibrated.safetensors"
    calibrated(arguments.model, arguments.data, arguments.output, whole)
    net = voxid.load(whole, device="cpu")
    card = {key: value for key, value in net.card.items() if key not in ("sha256", "test", "weights_of")}
    card |= FACTS | {"name": arguments.name} | ({"command": arguments.command} if arguments.command else {})
    card["recipe"] = without_paths(card["recipe"], str(arguments.data))
    checkpoint.save(net, path, card=card, dtype=torch.float16, backend=net.backend)
    print("| list | EER [95 %] | minDCF 0.05 / 0.01 / 0.001 | actDCF 0.05 / 0.01 | Cllr / min | FAR / FRR at 1 % | trials |")
    print("|---|---|---|---|---|---|---|")
    card["test"] = {trials: measure(path, trials, arguments.data, arguments.output) for trials in LISTS}
    checkpoint.save(net, path, card=card, dtype=torch.float16, backend=net.backend)


def measure(model: Path, trials: str, data: Path, output: Path) -> dict[str, Any]:
    """Figures of one list; prints a row of the table. The likelihood ratios go to `output`, for voxid plot."""
    protocol, root = data / "protocols" / f"{trials}.trials", data / corpus_of(trials)
    result = evaluate(model, trials=protocol, root=root, scores=output / f"{trials}.txt", device="cpu")
    low, high = result.eer_interval or (float("nan"), float("nan"))
    costs = f"{result.min_dcf_005:.3f} / {result.min_dcf_001:.3f} / {result.min_dcf_0001:.3f}"
    actual = f"{result.act_dcf_005:.3f} / {result.act_dcf_001:.3f} | {result.cllr:.3f} / {result.min_cllr:.3f}"
    rates = f"{100 * (result.far or 0):.2f} / {100 * (result.frr or 0):.1f}"
    trials_of = f"{result.num_trials} ({result.num_targets})"
    print(
        f"| {trials} | {100 * result.eer:.2f} [{100 * low:.1f}, {100 * high:.1f}] | {costs} | {actual} | {rates} | {trials_of} |",
        flush=True,
    )
    costs_of = ("min_dcf_005", "min_dcf_001", "min_dcf_0001", "act_dcf_005", "act_dcf_001")
    return {name: getattr(result, name) for name in ("eer", "eer_interval", *costs_of, "cllr", "min_cllr", "far", "frr")}


if __name__ == "__main__":
    main()
