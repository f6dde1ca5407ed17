"""Every kind of plot, from real data, and the page that shows them.

    python benchmarks/gallery.py --data ../shared/data -o docs/gallery
    python benchmarks/gallery.py --data ../shared/data -o docs/gallery --work DIR   # keeps the inputs

It writes README.md and a PNG a plot. The inputs (scores, embeddings, predictions, two short trainings) are made with the bundled
model and the folder of real recordings beside the checkout; with --work, those that are there already are used. Then every
command of the page is run as it stands there. About ten minutes on one core.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from voxid.cli import main as voxid
from voxid.data.embeddings import save_embeddings
from voxid.data.manifest import read_manifest
from voxid.data.mixtures import read_mixtures, render
from voxid.data.table import read_table
from voxid.data.trials import Trial, read_trials
from voxid.evaluation.report import write_scores
from voxid.pipelines.embed import embed_files
from voxid.pipelines.enhance import enhance
from voxid.pipelines.separate import separate
from voxid.scoring.calibration import fit_calibration

LISTS = ("cv_fr_dev", "cv_multi_dev", "speech_commands_dev")
LARGEST = 120_000  # bytes of a PNG in the repository
DPI = 100
TRAINING = (
    "data.batch_size=32 data.batches=40 data.chunk_seconds=1.0 data.speeds=[1.0] data.cache=cache model.backbone.channels=32 "
    "model.backbone.output_dim=96 model.embedding_dim=64 schedule.warmup_steps=80 margin_schedule.start=0 "
    "margin_schedule.stop=0 validation.every=1 trainer.epochs=12 trainer.compile=false trainer.precision=32-true"
)


class Plot(NamedTuple):
    """A plot of the page: its name, the command behind `voxid plot` without the output, and what there is to see."""

    name: str
    command: str
    text: str


HEADINGS = {
    "spectrogram_3d": "Spectrogram in 3-D",
    "enhancement": "Before and after enhancement",
    "separation": "Before and after separation",
    "det": "DET",
    "roc": "ROC",
    "confusion_matrix_many": "Confusion matrix of many classes",
    "embedding_map_tsne": "Embedding map, t-SNE",
    "timeline_part": "Timeline, a part",
}
PLOTS = (
    Plot("waveform", "waveform clean.wav", "A reader of LibriSpeech, out of libri_mini."),
    Plot(
        "spectrogram",
        "spectrogram clean.wav --duration 3",
        "The same recording, its first seconds: level by time and frequency.",
    ),
    Plot("spectrogram_3d", "spectrogram-3d clean.wav --duration 2.5", "The same as a surface."),
    Plot(
        "enhancement",
        'enhancement noisy.wav enhanced.wav --labels "noisy, 5 dB" enhanced --title "A mixture of enh_dev.jsonl"',
        "A voice in the noise of a real place, and what `voxid enhance noisy.wav -o enhanced.wav` makes of it.",
    ),
    Plot(
        "separation",
        'enhancement voices.wav voice_1.wav --labels "two voices" "the first of them" --title "A mixture of sep2_dev.jsonl"',
        "A woman and a man at once, and the first voice that `voxid separate voices.wav -o voice.wav` gives.",
    ),
    Plot(
        "det",
        'det cv_fr_dev.txt cv_multi_dev.txt speech_commands_dev.txt --p-target 0.01 --title "The bundled model on dev lists"',
        "Scores are cosines of the bundled model; circles are equal error rates, crosses the lowest costs.",
    ),
    Plot("roc", "roc cv_fr_dev.txt cv_multi_dev.txt speech_commands_dev.txt --log", "The same scores."),
    Plot("precision_recall", "precision-recall cv_fr_dev.txt cv_multi_dev.txt speech_commands_dev.txt", "The same scores."),
    Plot("score_histogram", "score-histogram speech_commands_dev.txt --unit cosine", "The scores of one list."),
    Plot(
        "calibration",
        'calibration calibrated.txt guessed.txt --labels "logistic regression" "12 x cosine" --p-target 0.05',
        "Scores of half the speakers of speech_commands_dev as log-likelihood ratios: by a calibration that was fitted on the "
        "other half, and by a factor that somebody guessed.",
    ),
    Plot("confusion_matrix", "confusion-matrix fsdd.csv", "Six speakers (fsdd), each take by the nearest mean embedding."),
    Plot(
        "confusion_matrix_many",
        "confusion-matrix speech_commands.csv",
        "123 speakers saying one word (speech_commands), each test take by the nearest mean embedding of its training takes. The "
        "model was trained on these speakers: this shows the figure, not the model. Names are told for confusions only.",
    ),
    Plot(
        "embedding_map",
        "embedding-map cv_fr_test.safetensors --manifest cv_fr.csv --no-names --top 9",
        "Test speakers of cv_fr, the nine with the most recordings coloured: the two directions with the most variance.",
    ),
    Plot(
        "embedding_map_tsne",
        "embedding-map cv_fr_test.safetensors --manifest cv_fr.csv --method tsne --no-names --top 9",
        "The same embeddings by t-SNE, which keeps neighbours together and says nothing by distances.",
    ),
    Plot(
        "training_curves",
        'training-curves lr_0.004 lr_0.001 --labels "learning rate 0.004" "learning rate 0.001"',
        "Two short trainings of a small net on speech_commands: no net for use.",
    ),
    Plot(
        "timeline",
        "timeline reference.rttm system.rttm",
        "AMI ES2005a: the reference, and below it what VBx made of it (output and reference as VBx publishes them, Apache-2.0; "
        "AMI CC BY 4.0).",
    ),
    Plot("timeline_part", "timeline reference.rttm system.rttm --end 60", "Its first minute."),
)


def main() -> None:
    """Make the inputs, run the commands, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of real recordings, with peers/ beside it")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the page")
    parser.add_argument("--work", type=Path, help="folder that keeps the inputs")
    arguments = parser.parse_args()
    output = arguments.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        work = arguments.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        data = arguments.data.resolve()
        stack.enter_context(contextlib.chdir(work))
        make_inputs(data)
        for plot in PLOTS:
            draw(plot, output)
    (output / "README.md").write_text("".join(page()), encoding="utf-8")
    print(output / "README.md")


def draw(plot: Plot, output: Path) -> None:
    """Run the command of a plot, and make its PNG small enough for the repository."""
    place = output / f"{plot.name}.png"
    run(["plot", *shlex.split(plot.command), "--dpi", str(DPI), "-o", str(place)])
    for colours in (256, 128, 64, 32, 16):
        if place.stat().st_size <= LARGEST:
            return
        # The method that keeps rare colours: the yellow of the loudest among them.
        reduced = Image.open(place).convert("RGB").quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        reduced.save(place, optimize=True)


def run(words: Sequence[str]) -> None:
    """A command of the shell; the end of this program where it fails."""
    print("voxid", shlex.join(words), file=sys.stderr)
    if code := voxid(list(words)):
        sys.exit(code)


def page() -> Iterator[str]:
    """The text of the page."""
    yield "# Gallery\n\nEvery kind of [plot](../plot.md), from real data. "
    yield "This page and its figures are made by one command; do not edit them:\n\n"
    yield "```sh\npython benchmarks/gallery.py --data ../shared/data -o docs/gallery\n```\n\n"
    yield "Its inputs are made with the bundled model. Scores are of *development* lists: what is measured on test lists is in "
    yield "[results](../results.md). The maps and the\nconfusion matrices show test recordings; nothing was chosen by them. "
    yield "Large figures are reduced to fewer colours here.\n"
    for plot in PLOTS:
        heading = HEADINGS.get(plot.name, plot.name.replace("_", " ").capitalize())
        yield f"\n## {heading}\n\n"
        yield f"{plot.text}\n\n```sh\nvoxid plot {plot.command} -o {plot.name}.png\n```\n\n![{plot.name}]({plot.name}.png)\n"


def make_inputs(data: Path) -> None:
    """What the commands read, in the current folder; what is there already is kept."""
    make_mixtures(data)
    make_scores(data)
    for corpus in ("fsdd", "speech_commands"):
        make_predictions(data, corpus)
    make_embeddings(data)
    make_runs(data)
    peers = data.parent / "peers" / "vbx"
    for name, source in (("reference", "reference/rttm/ES2005a.rttm"), ("system", "exp/ES2005a.rttm")):
        Path(f"{name}.rttm").write_bytes((peers / source).read_bytes())


def make_mixtures(data: Path) -> None:
    """A voice in noise at 5 dB and two voices of different genders, out of the development lists; one enhanced, one separated."""
    noisy = next(row for row in read_mixtures(data / "protocols" / "enh_dev.jsonl") if getattr(row, "snr_db", None) == 5)
    pairs = read_mixtures(data / "protocols" / "sep2_dev.jsonl")
    voices = next(row for row in pairs if getattr(row, "same_gender", True) is False and getattr(row, "noise", None) is None)
    for name, recipe in (("noisy", noisy), ("voices", voices)):
        rendered = render(recipe, data)
        soundfile.write(f"{name}.wav", rendered.mixture, 16000)
        if name == "noisy":
            soundfile.write("clean.wav", rendered.sources[0], 16000)
    enhance("noisy.wav", output="enhanced.wav")
    separate("voices.wav", output="voice.wav")


def make_scores(data: Path) -> None:
    """Score files of the development lists; of one of them also as log-likelihood ratios."""
    for name in LISTS:
        if not Path(f"{name}.txt").exists():
            trials = read_trials(data / "protocols" / f"{name}.trials")
            names = list(dict.fromkeys(side for trial in trials for side in trial[:2]))
            vectors = dict(zip(names, embed([data / name.removesuffix("_dev") / one for one in names]), strict=True))
            write_scores(f"{name}.txt", trials, np.array([vectors[trial.enrol] @ vectors[trial.test] for trial in trials]))
    trials = read_trials("speech_commands_dev.txt")
    speakers = sorted({side.partition("/")[0] for trial in trials for side in trial[:2]})
    known = set(speakers[::2])  # a trial is used where both of its speakers are on one side
    sides = [sum(side.partition("/")[0] in known for side in trial[:2]) for trial in trials]
    fitted = fit_calibration(*columns([trial for trial, side in zip(trials, sides, strict=True) if side == 2]), p_target=0.05)
    others = [trial for trial, side in zip(trials, sides, strict=True) if side == 0]
    scores = columns(others)[0]
    write_scores("calibrated.txt", others, fitted.llr(scores))
    write_scores("guessed.txt", others, 12 * scores)


def embed(paths: Sequence[Path]) -> NDArray:
    """Embeddings of unit length [n, D] by the bundled model."""
    rows = embed_files([str(path) for path in paths]).embeddings.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def columns(trials: Sequence[Trial]) -> tuple[NDArray, NDArray]:
    return np.array([trial.score for trial in trials]), np.array([trial.label for trial in trials])


def make_predictions(data: Path, corpus: str) -> None:
    """The speaker of each test take of a closed set, by the nearest mean of the training takes."""
    if Path(f"{corpus}.csv").exists():
        return
    header, blocks = read_table(data / "protocols" / f"{corpus}_identification.csv")
    rows = [dict(zip(header, row, strict=True)) for block in blocks for row in block]
    vectors = embed([data / corpus / row["path"] for row in rows])
    speakers = np.array([row["speaker"] for row in rows])
    train = np.array([row["set"] == "train" for row in rows])
    names = sorted(set(speakers[train]))
    means = np.stack([vectors[train & (speakers == name)].mean(axis=0) for name in names])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    nearest = (vectors[~train] @ means.T).argmax(axis=1)
    lines = [f"{truth},{names[guess]}" for truth, guess in zip(speakers[~train], nearest, strict=True)]
    Path(f"{corpus}.csv").write_text("\n".join(["speaker,predicted", *lines]) + "\n")


def make_embeddings(data: Path) -> None:
    """Embeddings of the test speakers of cv_fr, and who they are."""
    rows = read_manifest(data / "cv_fr" / "manifest.csv", where={"split": "test"})
    lines = [f"{path},{speaker}" for path, speaker in zip(rows.paths, rows.speakers, strict=True)]
    Path("cv_fr.csv").write_text("\n".join(["path,speaker", *lines]) + "\n")
    if not Path("cv_fr_test.safetensors").exists():
        done = embed_files(rows.paths)
        save_embeddings("cv_fr_test.safetensors", done.names, done.embeddings, done.model)


def make_runs(data: Path) -> None:
    """Two short trainings."""
    for rate in ("0.004", "0.001"):
        if not Path(f"lr_{rate}", "model.safetensors").exists():
            places: dict[str, Any] = {
                "manifest": data / "speech_commands" / "manifest.csv",
                "validation.trials": data / "protocols" / "speech_commands_dev.trials",
                "validation.root": data / "speech_commands",
                "output": f"lr_{rate}",
                "optimizer.lr": rate,
            }
            run(["train", "speaker/ecapa_tdnn_small", *(f"{key}={value}" for key, value in places.items()), *TRAINING.split()])


if __name__ == "__main__":
    main()
