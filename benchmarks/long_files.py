"""What `enhance.py` and `separate.py` share: one verb on files of some seconds, a minute and an hour, beside the net on it all.

Every row of every round is a process of its own, so that its peak of memory is its own. It loads the model, takes its memory,
runs once on 4 s to warm up, then is timed: CPU time of all threads, from the file to the files. The order of the rows alternates
from round to round, so that what else runs on the machine meets all; the time is the median over the rounds, the ratio to 4 s
the median of the ratios within a round. Memory is the highest of the rounds. The processes keep large blocks of memory as the
shell's `voxid` does; with --plain they leave it to the C library, as a program in Python does that does not ask.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

SAMPLES = Path(__file__).parents[1] / "samples"
RATE = 16_000
SHORT, MIDDLE, LONG = 4, 60, 3600  # seconds
WHOLE = f"{MIDDLE} s through the net at once"
REPEATS = 5  # of the short ones in a process


def main(verb: str, kind: str, source: Callable[[], np.ndarray], run: Callable[..., object], description: str | None) -> None:
    """The command line of a benchmark.

    Args:
        verb, kind: Of the pipeline, and of its models.
        source: Some seconds of sound [T] at 16 kHz, which are repeated.
        run: The pipeline: (file, folder for the results, model, window) -> anything.
        description: For ``--help``.
    """
    options = arguments(description)
    if options.row:
        print(json.dumps(measure(kind, run, options)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        files = {seconds: recording(Path(folder) / f"{seconds}.wav", source(), seconds) for seconds in (SHORT, MIDDLE, LONG)}
        results: dict[str, list[dict[str, float]]] = {}
        for number in range(options.rounds):
            for row in order(number, options.hours):
                results.setdefault(row, []).append(child(options, row, files, Path(folder)))
                print(f"round {number + 1}: {row}: {results[row][-1]}", file=sys.stderr, flush=True)
    report(verb, results, options)


def arguments(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a name or a file; the bundled one without it")
    parser.add_argument("--window", type=float, default=10.0, help="seconds")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hours", type=int, default=1, help="rounds that have the hour, too")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plain", action="store_true", help="the memory of the C library as it comes")
    parser.add_argument("--folder", type=Path, help="where the recordings are made and removed: 350 MB")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def order(number: int, hours: int) -> list[str]:
    """The rows of a round."""
    rows = [f"{SHORT} s", f"{MIDDLE} s", WHOLE] + ([f"{LONG} s"] if number < hours else [])
    return rows if number % 2 == 0 else rows[::-1]


def recording(path: Path, source: np.ndarray, seconds: int) -> Path:
    """A 16-bit file of so many seconds, of a source that is repeated."""
    left = seconds * RATE
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        while left > 0:
            file.write(source[:left])
            left -= len(source)
    return path


def child(options: argparse.Namespace, row: str, files: dict[int, Path], folder: Path) -> dict[str, float]:
    """What a process of its own measures."""
    file = files[MIDDLE if row == WHOLE else int(row.split()[0])]
    command = [sys.executable, sys.argv[0], "--row", row, "--file", file, "--folder", folder, "--window", options.window]
    command += ["--threads", options.threads] + (["--model", options.model] if options.model else [])
    command += ["--plain"] if options.plain else []
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def measure(kind: str, run: Callable[..., object], options: argparse.Namespace) -> dict[str, float]:
    """Real-time factor of a row, memory in MB of the process with the model loaded, and at its peak."""
    # Here and not above: the parent stays small, for a process of Linux starts with the peak of the one that it comes from.
    import torch

    from voxid.cli import keep_memory
    from voxid.zoo.load import load

    if not options.plain:
        keep_memory()
    torch.set_num_threads(options.threads)
    net = load(options.model, kind=kind, device="cpu")
    loaded = peak()
    short = options.file.with_name(f"{SHORT}.wav")
    run(short, options.folder, net, options.window)
    if options.row == WHOLE:
        waveform = torch.from_numpy(soundfile.read(options.file, dtype="float32")[0])[None]
        with torch.inference_mode():
            seconds = timed(lambda: net(waveform))
    else:
        repeats = REPEATS if options.file == short else 1
        seconds = statistics.median(timed(lambda: run(options.file, options.folder, net, options.window)) for _ in range(repeats))
    return {"rtf": seconds / soundfile.info(options.file).duration, "loaded": loaded, "peak": peak()}


def timed(run: Callable[[], object]) -> float:
    """CPU seconds, of all threads."""
    start = time.process_time()
    run()
    return time.process_time() - start


def peak() -> float:
    """Most memory that this process ever held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def report(verb: str, results: dict[str, list[dict[str, float]]], options: argparse.Namespace) -> None:
    model, plain = options.model or "the bundled one", ", plain" if options.plain else ""
    print(f"{verb}, model {model}, windows of {options.window:g} s, {options.threads} thread(s){plain}")
    print("| file | rounds | real-time factor | times that of 4 s | MB with the model loaded | MB at the peak | more |")
    print("|---|---|---|---|---|---|---|")
    short = [result["rtf"] for result in results[f"{SHORT} s"]]
    for row in order(0, 1):
        found = results.get(row, [])
        if not found:
            continue
        factor = statistics.median(result["rtf"] for result in found)
        ratio = statistics.median(result["rtf"] / first for result, first in zip(found, short, strict=False))
        loaded, most = (max(result[name] for result in found) for name in ("loaded", "peak"))
        more = max(result["peak"] - result["loaded"] for result in found)
        print(f"| {row} | {len(found)} | {factor:.4f} | {ratio:.2f} | {loaded:.0f} | {most:.0f} | {more:.0f} |")
