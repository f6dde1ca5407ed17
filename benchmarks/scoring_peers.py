"""Other ways to what benchmarks/scoring.py measures: scikit-learn, loops as scoring scripts have them, wespeaker's functions."""

from __future__ import annotations

import importlib
import io
import sys
import types
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import det_curve
from sklearn.metrics.pairwise import cosine_similarity

from voxid.data.trials import Trial

P_TARGET = 0.01


def sklearn_metrics(scores: NDArray, labels: NDArray) -> tuple[float, float]:
    far, frr, _ = det_curve(labels, scores)
    after = int(np.argmax(frr >= far))
    gap, next_gap = far[after - 1] - frr[after - 1], frr[after] - far[after]
    crossing = frr[after - 1] + gap / (gap + next_gap) * (frr[after] - frr[after - 1])
    return float(crossing), float((P_TARGET * frr + (1 - P_TARGET) * far).min() / P_TARGET)


def loop_metrics(scores: list[float], labels: list[bool]) -> tuple[float, float]:
    """One threshold after another, from the lowest score up; for scores without ties."""
    targets = sum(labels)
    nontargets = len(labels) - targets
    misses, accepts, lowest, crossing = 0, nontargets, (1 - P_TARGET) / P_TARGET, None
    frr, far = 0.0, 1.0
    for _, label in sorted(zip(scores, labels, strict=True)):
        before = frr, far
        if label:
            misses += 1
        else:
            accepts -= 1
        frr, far = misses / targets, accepts / nontargets
        lowest = min(lowest, (P_TARGET * frr + (1 - P_TARGET) * far) / P_TARGET)
        if crossing is None and frr >= far:
            gap = before[1] - before[0]
            crossing = before[0] + gap / (gap + frr - far) * (frr - before[0])
    return float(crossing or 0.0), lowest


def sklearn_pairs(rows: NDArray, enrol: NDArray, test: NDArray) -> list[float]:
    """Cosine of each pair by itself."""
    return [cosine_similarity(rows[a].reshape(1, -1), rows[b].reshape(1, -1))[0][0] for a, b in zip(enrol, test, strict=True)]


def sorted_statistics(rows: NDArray, cohort: NDArray, top: int) -> tuple[NDArray, NDArray]:
    """Mean and deviation of the highest cosines of each row with a cohort, the whole table sorted."""
    scores = unit_rows(rows) @ unit_rows(cohort).T
    scores.sort(axis=1)
    return scores[:, -top:].mean(axis=1), scores[:, -top:].std(axis=1)


def partitioned_statistics(rows: NDArray, cohort: NDArray, top: int) -> tuple[NDArray, NDArray]:
    """The same by NumPy's partition."""
    scores = unit_rows(rows) @ unit_rows(cohort).T
    scores.partition(len(cohort) - top, axis=1)
    return scores[:, -top:].mean(axis=1), scores[:, -top:].std(axis=1)


def unit_rows(rows: NDArray) -> NDArray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def pair_loop(model: Any, rows: NDArray, enrol: NDArray, test: NDArray) -> Callable[[], list[float]]:
    """The log-likelihood ratio of each pair by itself: quadratic forms of two rows, with the covariances prepared."""
    between = model.between
    total = between + model.within
    inverse = np.linalg.inv(total)
    rest = total - between @ inverse @ between
    own, cross = inverse - np.linalg.inv(rest), inverse @ between @ np.linalg.inv(rest)
    constant = (np.linalg.slogdet(total)[1] - np.linalg.slogdet(rest)[1]) / 2
    centred = rows - model.mean

    def run() -> list[float]:
        scores = []
        for a, b in zip(enrol, test, strict=True):
            x, y = centred[a], centred[b]
            scores.append((x @ own @ x + y @ own @ y) / 2 + x @ cross @ y + constant)
        return scores

    return run


def plain_read(path: Path) -> list[tuple[str, str, bool, None]]:
    trials = []
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            label, enrol, test = line.strip().split()
            trials.append((enrol, test, label == "1", None))
    return trials


def plain_write(path: Path, trials: list[Trial]) -> None:
    with path.open("w", encoding="utf-8") as stream:
        for trial in trials:
            stream.write(f"{int(bool(trial.label))} {trial.enrol} {trial.test}\n")


class Wespeaker:
    """Functions of a checkout; what they import for reading files is not needed here and stands in empty."""

    def __init__(self, folder: Path) -> None:
        for name in ("fire", "kaldiio", "h5py", "wespeaker.utils.plda.kaldi_utils"):
            empty = types.ModuleType(name)
            empty.__getattr__ = lambda name: object  # type: ignore[method-assign]
            sys.modules.setdefault(name, empty)
        package = types.ModuleType("wespeaker")  # its own __init__ imports torchaudio
        package.__path__ = [str(folder / "wespeaker")]
        sys.modules["wespeaker"] = package
        self.score_metrics = importlib.import_module("wespeaker.utils.score_metrics")
        self.score_norm = importlib.import_module("wespeaker.bin.score_norm")
        self.plda = importlib.import_module("wespeaker.utils.plda.two_cov_plda")

    def metrics(self, scores: NDArray, labels: NDArray) -> tuple[float, float]:
        frr, far = self.score_metrics.compute_pmiss_pfa_rbst(scores, labels)
        return self.score_metrics.compute_eer(frr, far), self.score_metrics.compute_c_norm(frr, far, P_TARGET)

    def top(self, rows: NDArray, cohort: NDArray, top: int) -> tuple[NDArray, NDArray]:
        return self.score_norm.get_mean_std(rows, cohort, top)

    def train(self, rows: NDArray, speakers: NDArray) -> Any:
        model = self.plda.TwoCovPLDA(embed_dim=rows.shape[1])
        for speaker in np.unique(speakers):
            model.stats.add_samples(1.0, rows[speakers == speaker])
        with redirect_stdout(io.StringIO()):
            model.train(1)
        return model

    def pair_loop(self, parameters: Any, rows: NDArray, enrol: NDArray, test: NDArray) -> Callable[[], list[float]]:
        model = self.plda.TwoCovPLDA(embed_dim=rows.shape[1])
        model.psi = parameters.psi
        ready = (rows - parameters.mean) @ parameters.transform.T

        def run() -> list[float]:
            return [model.log_likelihood_ratio(ready[a], ready[b], 1) for a, b in zip(enrol, test, strict=True)]

        return run
