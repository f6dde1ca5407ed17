"""What scoring costs: metrics, cosine, AS-norm, PLDA and trial lists, beside scikit-learn and plain loops, in one run.

    python benchmarks/scoring.py                              # all rows, a Markdown table, then peaks of memory
    python benchmarks/scoring.py --rows as-norm plda          # some of: metrics-1m metrics-10m cosine as-norm plda lists memory
    python benchmarks/scoring.py --wespeaker DIR              # and the functions of a checkout of github.com/wenet-e2e/wespeaker

One thread. The turns of all alternate, forwards and backwards, so that what else runs on the machine meets all of them. A figure
is the median over the rounds, of CPU time; a ratio is the median of the rounds' ratios. Peers that go through trials one by one
get fewer of them, and the time is multiplied: "(1 in 250)". The difference is the largest one between their answers and ours.
The loops are written here, the way scoring scripts are: a score, or a threshold, at a time.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scoring_peers import (
    P_TARGET,
    Wespeaker,
    loop_metrics,
    pair_loop,
    partitioned_statistics,
    plain_read,
    plain_write,
    sklearn_metrics,
    sklearn_pairs,
    sorted_statistics,
    unit_rows,
)
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from threadpoolctl import threadpool_limits

from voxid.data.trial_table import read_trial_table, write_trial_table
from voxid.data.trials import Trial, read_trials, write_trials
from voxid.metrics.detection import detection
from voxid.scoring.backend import build_backend
from voxid.scoring.cohort import cohort_statistics
from voxid.scoring.cosine import Cosine, cosine_trials

RECORDINGS, DIM, TRIALS = 10_000, 192, 1_000_000
COHORT, TOP = 6_000, 300
PAIRS = 4_000  # that a loop over pairs gets


@dataclass
class Peer:
    """Another way to the same answer. `scale` times its time is what all of the work would take."""

    name: str
    call: Callable[[], Any]
    difference: Callable[[], float] | None = None
    scale: float = 1.0


@dataclass
class Row:
    """A line of the table for each peer; `goal` is in ms of CPU time."""

    what: str
    goal: float
    ours: Callable[[], Any]
    peers: list[Peer] = field(default_factory=list)


def main() -> None:
    options = arguments()
    if options.peak:
        print(peak(options.peak))
        return
    wespeaker = Wespeaker(options.wespeaker) if options.wespeaker else None
    names = [name for name in options.rows if name != "memory"]
    with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
        if names:
            print(f"numpy {np.__version__}, one thread, rounds {options.rounds}; ms of CPU time, medians (best in brackets)\n")
            print("| what | goal | ours | ours, wall | peer | theirs | theirs / ours | difference |\n" + "|---" * 8 + "|")
        for name in names:
            for row in ROWS[name](wespeaker, Path(folder)):
                print(lines(row, options.rounds), flush=True)
        if "memory" in options.rows:
            print_memory()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=[*ROWS, "memory"], default=[*ROWS, "memory"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--wespeaker", type=Path, help="folder that holds wespeaker/utils/score_metrics.py")
    parser.add_argument("--peak", choices=["ours", "scikit-learn"], help=argparse.SUPPRESS)
    return parser.parse_args()


def lines(row: Row, rounds: int) -> str:
    """The lines of the table for one row."""
    turns = [row.ours, *(peer.call for peer in row.peers)]
    cpu, wall = interleaved(turns, rounds)
    ours = f"{statistics.median(cpu[0]):.1f} ({min(cpu[0]):.1f}) | {statistics.median(wall[0]):.1f}"
    start = f"| {row.what} | {row.goal:g} | {ours} |"
    cells = []
    for peer, times in zip(row.peers, cpu[1:], strict=True):
        scaled = [peer.scale * value for value in times]
        ratio = statistics.median(b / a for a, b in zip(cpu[0], scaled, strict=True))
        share = f" (1 in {peer.scale:g})" if peer.scale > 1 else ""
        apart_by = f"{peer.difference():.1e}" if peer.difference else "-"
        cells.append(f" {peer.name}{share} | {statistics.median(scaled):.0f} | {ratio:.1f} | {apart_by} |")
    return start + "\n| | | | |".join(cells or [" - | - | - | - |"])


def interleaved(turns: list[Callable[[], Any]], rounds: int) -> tuple[list[list[float]], list[list[float]]]:
    """Milliseconds of each turn [turns][rounds], of CPU and by the clock; one more round goes before, to warm up."""
    cpu: list[list[float]] = [[] for _ in turns]
    wall: list[list[float]] = [[] for _ in turns]
    for number in range(rounds + 1):
        order = range(len(turns)) if number % 2 else reversed(range(len(turns)))
        for index in order:
            start = time.process_time(), time.perf_counter()
            turns[index]()
            spent = time.process_time() - start[0], time.perf_counter() - start[1]
            if number:
                cpu[index].append(1e3 * spent[0])
                wall[index].append(1e3 * spent[1])
    return cpu, wall


def metrics_row(size: int, goal: float, wespeaker: Wespeaker | None) -> Iterator[Row]:
    scores, labels = made_scores(size)
    few = min(size, 100_000)
    part, marks = scores[:few].tolist(), labels[:few].tolist()
    ours = partial(our_metrics, scores, labels)
    ways = {"scikit-learn det_curve": sklearn_metrics}
    if wespeaker:
        ways["wespeaker"] = wespeaker.metrics
    calls = {name: partial(way, scores, labels) for name, way in ways.items()}
    peers = [Peer(name, call, apart(call, ours)) for name, call in calls.items()]
    loop = partial(loop_metrics, part, marks)
    peers.append(Peer("plain loop", loop, apart(loop, partial(our_metrics, scores[:few], labels[:few])), size / few))
    power = round(math.log10(size))
    yield Row(f"EER + minDCF of 10^{power} scores", goal, ours, peers)


def made_scores(size: int) -> tuple[NDArray, NDArray]:
    """Scores [N] float64 and labels [N] bool, one trial in ten a target; made in place, so that no peak is left behind."""
    random = np.random.default_rng(0)
    labels = np.zeros(size, dtype=bool)
    labels[::10] = True
    random.shuffle(labels)
    scores = random.standard_normal(size)
    scores[labels] += 3.0
    return scores, labels


def our_metrics(scores: NDArray, labels: NDArray) -> tuple[float, float]:
    found = detection(scores, labels, [P_TARGET])
    return found.eer, found.min_dcf[0]


def made_rows() -> NDArray:
    """Embeddings [n, D] float32 of 1,000 speakers, ten in a row each."""
    random = np.random.default_rng(1)
    voices = np.repeat(random.standard_normal((RECORDINGS // 10, DIM)), 10, axis=0) * np.linspace(2.0, 0.2, DIM)
    return (voices + random.standard_normal((RECORDINGS, DIM))).astype(np.float32)


def made_trials() -> tuple[NDArray, NDArray]:
    enrol, test = np.random.default_rng(2).integers(0, RECORDINGS, (2, TRIALS))
    return enrol, test


def cosine_rows(wespeaker: Wespeaker | None, folder: Path) -> Iterator[Row]:
    rows, (enrol, test) = made_rows(), made_trials()
    backend = build_backend("cosine")
    pairs = partial(sklearn_pairs, rows, enrol[:PAIRS], test[:PAIRS])
    ways = {
        "`cosine_trials`": partial(cosine_trials, rows, enrol, test),
        "back-end `cosine`": partial(backend.score_trials, rows, enrol, test),
    }
    for name, ours in ways.items():
        peer = Peer("scikit-learn per pair", pairs, apart(pairs, ours, PAIRS), TRIALS / PAIRS)
        yield Row(f"10^6 trials over 10^4 x 192, {name}", 150, ours, [peer])


def as_norm_rows(wespeaker: Wespeaker | None, folder: Path) -> Iterator[Row]:
    rows = made_rows()
    cohort = np.random.default_rng(3).standard_normal((COHORT, DIM)).astype(np.float32)
    ours = partial(cohort_statistics, Cosine(), rows, cohort, side="enrol", top=TOP)
    ways = {"numpy sort": sorted_statistics, "numpy partition": partitioned_statistics}
    if wespeaker:
        ways["wespeaker"] = wespeaker.top
    calls = {name: partial(way, rows, cohort, TOP) for name, way in ways.items()}
    peers = [Peer(name, call, apart(call, ours)) for name, call in calls.items()]
    product = Peer("the product of matrices alone", lambda: unit_rows(rows) @ unit_rows(cohort).T)
    yield Row("AS-norm, one side, 10^4 x 6,000, top 300", 300, ours, [*peers, product])


def plda_rows(wespeaker: Wespeaker | None, folder: Path) -> Iterator[Row]:
    rows, speakers = made_rows(), np.repeat(np.arange(RECORDINGS // 10), 10)
    peers = [Peer("scikit-learn LDA", lambda: LinearDiscriminantAnalysis().fit(rows, speakers))]
    backend = build_backend("gplda").fit(rows, speakers)
    ready = backend.transform(rows)
    if wespeaker:
        peers.append(Peer("wespeaker PLDA, one of 10 iterations", lambda: wespeaker.train(ready, speakers), scale=10))
    yield Row("GPLDA training, 10^4 x 192, 1,000 speakers", 500, lambda: build_backend("gplda").fit(rows, speakers), peers)

    enrol, test = made_trials()
    loop = pair_loop(backend.scorer.model, ready, enrol[:PAIRS], test[:PAIRS])
    scorers = {"plain loop per pair": loop}
    if wespeaker:
        scorers["wespeaker per pair"] = wespeaker.pair_loop(backend.scorer.model, ready, enrol[:PAIRS], test[:PAIRS])
    ours = partial(backend.score_trials, rows, enrol, test)
    peers = [Peer(name, call, apart(call, ours, PAIRS), TRIALS / PAIRS) for name, call in scorers.items()]
    yield Row("GPLDA, 10^6 trials over 10^4 x 192", 300, ours, peers)


def list_rows(wespeaker: Wespeaker | None, folder: Path) -> Iterator[Row]:
    """Lists of 10^4 recordings, as in the rows above, and of 10^5: their names leave the cache."""
    for count, size in ((10_000, "10^4"), (100_000, "10^5")):
        yield from rows_of_a_list(count, f" of {size} recordings", folder)


def rows_of_a_list(count: int, what: str, folder: Path) -> Iterator[Row]:
    random = np.random.default_rng(4)
    names = [f"id1{i // 100:04d}/recording{i % 100:02d}x/{i:05d}.wav" for i in range(count)]
    enrol, test = random.integers(0, len(names), (2, TRIALS))
    marks = random.random(TRIALS) < 0.5
    trials = [Trial(names[a], names[b], bool(mark)) for a, b, mark in zip(enrol, test, marks, strict=True)]
    ours, theirs = folder / f"ours{count}.txt", folder / f"theirs{count}.txt"
    write_trials(ours, trials)
    plain_write(theirs, trials)
    same = float(ours.read_bytes() != theirs.read_bytes())
    table = read_trial_table(ours)
    read = Peer("plain split loop", partial(plain_read, theirs), lambda: float(plain_read(theirs) != read_trials(theirs)))
    write = Peer("plain loop", partial(plain_write, theirs, trials), lambda: same)
    yield Row(f"reading 10^6 trials{what} as columns", 1000, partial(read_trial_table, ours), [read])
    yield Row(f"reading 10^6 trials{what} as rows", 1000, partial(read_trials, ours), [read])
    yield Row(f"writing 10^6 trials{what} from columns", 1000, partial(write_trial_table, ours, table), [write])
    yield Row(f"writing 10^6 trials{what} from rows", 1000, partial(write_trials, ours, trials), [write])


def apart(theirs: Callable[[], Any], ours: Callable[[], Any], count: int | None = None) -> Callable[[], float]:
    """What finds the largest difference between two answers, or between the first `count` of their numbers."""
    return lambda: float(np.abs(np.subtract(theirs(), ours()[:count])).max())


def print_memory() -> None:
    """How far the memory of a fresh process rises above what it holds with the scores in it."""
    print("\n| EER + minDCF of 10^7 scores (80 MB of float64, 10 MB of labels) | memory above that, MB |\n|---|---|")
    for name in ("ours", "scikit-learn"):
        command = [sys.executable, __file__, "--peak", name]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"| {name} | {int(found) / 1e3:.0f} |")


def peak(name: str) -> int:
    """Kilobytes between the memory held with the scores and the highest while the metrics are computed; Linux only."""
    scores, labels = made_scores(10_000_000)
    few = made_scores(10_000)
    call = our_metrics if name == "ours" else sklearn_metrics
    call(*few)  # what is imported and set up at the first call
    Path("/proc/self/clear_refs").write_text("5")  # the highest mark starts again from here
    before = status("VmRSS")
    call(scores, labels)
    return status("VmHWM") - before


def status(key: str) -> int:
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{key}:"))


ROWS: dict[str, Callable[[Wespeaker | None, Path], Iterator[Row]]] = {
    "metrics-1m": lambda wespeaker, folder: metrics_row(1_000_000, 10, wespeaker),
    "metrics-10m": lambda wespeaker, folder: metrics_row(10_000_000, 150, wespeaker),
    "cosine": cosine_rows,
    "as-norm": as_norm_rows,
    "plda": plda_rows,
    "lists": list_rows,
}


if __name__ == "__main__":
    main()
