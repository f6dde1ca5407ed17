"""calibrate: a model and development trials -> the model with likelihood ratios and thresholds in its card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from voxid.atomic import replacing
from voxid.data.prepare import check_place
from voxid.errors import ConfigError, DataError
from voxid.evaluation.calibrated import Figures, figures_of
from voxid.evaluation.evaluate import checked_trials, score_trials
from voxid.metrics.operating_points import operating_points
from voxid.models import checkpoint
from voxid.pipelines.decision import scored_by
from voxid.pipelines.embed import model_info
from voxid.pipelines.system import Norm, System, build_system
from voxid.scoring.calibration import Calibration, PavCalibration, fit_calibration, fit_pav
from voxid.scoring.quality import facts_needed
from voxid.zoo.backend import parts_of

P_TARGET = (0.01, 0.05)
FEW = "no thresholds: there are too few trials of different speakers to set one"
Method = Literal["logistic", "pav"]


@dataclass(frozen=True)
class Calibrated:
    """What a calibration found; costs are normalised, lower is better.

    Args:
        output: The file: a model (.safetensors) or the calibration alone (.json).
        model: Name and sha256 of the model that was calibrated, and its D.
        scored_by: Back-end, in words.
        calibration: As the card keeps it.
        lists: Figures of each list, under the calibration that was written.
        held_out: The same, each list under a calibration of the other lists: what to expect elsewhere. Empty with one list.
        points: Thresholds on the log-likelihood ratio, with their false-accept and false-reject rates.
        skipped_files: Recordings that could not be used.
        warnings: What a reader of the figures must know.
    """

    output: str
    model: Mapping[str, Any]
    scored_by: str
    calibration: Mapping[str, Any]
    lists: tuple[Figures, ...]
    held_out: tuple[Figures, ...]
    points: tuple[Mapping[str, float], ...]
    skipped_files: int
    warnings: tuple[str, ...]

    def describe(self) -> str:
        """The result as text."""
        head = [f"written to     {self.output}", f"scored by      {self.scored_by}"]
        rows = [figures.describe() for figures in self.lists]
        rows += [f"{figures.describe()} (held out)" for figures in self.held_out]
        points = [
            f"FAR {point['far']:7.2%}   threshold {point['threshold']:8.3f}   FRR {point['frr']:7.2%}" for point in self.points
        ]
        lost = [f"warning        {self.skipped_files} recordings could not be used"] if self.skipped_files else []
        return "\n".join(head + rows + points + lost + [f"warning        {text}" for text in self.warnings])


def calibrate(
    model: str | Path | nn.Module | None = None,
    *,
    trials: str | Path | Sequence[str | Path],
    root: str | Path | Sequence[str | Path],
    output: str | Path,
    backend: str | Path | None = None,
    norm: Norm | None = None,
    top: int | None = None,
    cohort: str | Path | None = None,
    quality: Sequence[str] = (),
    method: Method = "logistic",
    p_target: float | Sequence[float] = P_TARGET,
    device: str = "auto",
    imports: bool = False,
    on_error: Literal["raise", "skip"] = "raise",
    progress: bool = True,
) -> Calibrated:
    """Fit a calibration and thresholds on development trials and keep them with the model.

    Args:
        model: A name, a file, a loaded model, or None for the bundled one.
        trials: Lists with labels, of speakers that no test list holds.
        root: The folder that their paths are relative to: one for all lists, or one each.
        output: Where to: ``.safetensors`` = the model with back-end, calibration and thresholds in one file;
            ``.json`` = calibration and thresholds alone, for `evaluate`.
        backend, norm, top, cohort: As in `evaluate`; they become part of the model that is written.
        quality: Quality measures that the calibration may lean on, by themselves and times the score; see `scoring.quality`.
        method: ``logistic``: a line, which needs few trials. ``pav``: any rising curve, which needs many.
        p_target: Priors of a target where the line matters most.
        device, imports, on_error, progress: As in `evaluate`.

    Raises:
        DataError: Lists or recordings that cannot be used, a file that cannot be written.
        ModelError: A model or a back-end that cannot be loaded.
        ConfigError: An option out of its range.
    """
    lists, roots = _paired(trials, root)
    _check(Path(output), method, quality, p_target)
    asked = [checked_trials(path, folder, on_error) for path, folder in zip(lists, roots, strict=True)]
    system = build_system(
        model, backend=backend, norm=norm, top=top, cohort=cohort, device=device, imports=imports, progress=progress
    )
    system.check_quality(quality)
    scored = [
        _scored(system, path, folder, wanted, quality, on_error, progress)
        for path, folder, wanted in zip(lists, roots, asked, strict=True)
    ]
    parts = [part for part, _ in scored]
    options: dict[str, Any] = {"method": method, "quality": tuple(quality), "p_target": p_target}
    found = _fitted(parts, **options)
    decision = _decision(found, parts)
    _write(Path(output), system, decision)
    others = [[other for other in parts if other is not part] for part in parts]
    return Calibrated(
        output=str(output),
        model=model_info(system.net),
        scored_by=", ".join(parts_of(system.backend)),
        calibration=decision["calibration"],
        lists=tuple(_judged(part, found) for part in parts),
        held_out=tuple(_judged(part, _fitted(rest, **options)) for part, rest in zip(parts, others, strict=True) if rest),
        points=tuple(decision["thresholds"]["points"]),
        skipped_files=sum(lost for _, lost in scored),
        warnings=(*system.notes, *([] if decision["thresholds"]["points"] else [FEW])),
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """Scores of a list."""

    name: str
    scores: NDArray
    quality: NDArray | None
    labels: NDArray


def _scored(
    system: System, path: Path, folder: Path, asked: Any, quality: Sequence[str], on_error: Any, progress: bool
) -> tuple[_Part, int]:
    kept, scored, skipped = score_trials(system, asked, folder, quality=quality, on_error=on_error, progress=progress)
    labels = np.array([trial.label for trial in kept], dtype=bool)
    return _Part(path.stem, scored.scores, scored.quality, labels), skipped


def _fitted(
    parts: Sequence[_Part], *, method: Method, quality: tuple[str, ...], p_target: float | Sequence[float]
) -> Calibration | PavCalibration:
    scores, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in ("scores", "labels"))
    source = ", ".join(part.name for part in parts)
    if method == "pav":
        return fit_pav(scores, labels, source=source)
    return fit_calibration(
        scores,
        labels,
        quality=np.concatenate([part.quality for part in parts if part.quality is not None]) if quality else None,
        products=bool(quality),
        p_target=p_target,
        systems=("score",),
        quality_names=quality,
        source=source,
    )


def _decision(found: Calibration | PavCalibration, parts: Sequence[_Part]) -> dict[str, Any]:
    """What a card keeps: the calibration, and thresholds on its ratios."""
    llr = np.concatenate([found.llr(part.scores, part.quality) for part in parts])
    points = operating_points(llr, np.concatenate([part.labels for part in parts]))
    return {"calibration": found.to_card(), "thresholds": {"source": found.source, "points": points}}


def _judged(part: _Part, calibration: Calibration | PavCalibration) -> Figures:
    return figures_of(part.name, calibration.llr(part.scores, part.quality), part.labels)


def _write(path: Path, system: System, decision: Mapping[str, Any]) -> None:
    if path.suffix == ".json":
        with replacing(path, DataError) as temporary:
            whole = {**decision, "scored_by": scored_by(system.backend, model_info(system.net))}
            temporary.write_text(json.dumps(whole, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return
    known = getattr(system.net, "card", None) or {}
    card = {key: value for key, value in known.items() if key not in ("sha256", "test")}  # test: figures of the old calibration
    if (source := model_info(system.net)["sha256"]) is not None:
        card["weights_of"] = source  # the file changes, its embeddings do not
    checkpoint.save(system.net, path, card=card | dict(decision), dtype=_dtype(system.net), backend=system.backend)


def _dtype(net: nn.Module) -> torch.dtype:
    """float16 where it keeps every bit of the weights, as in a model that was stored so."""
    weights = [tensor for tensor in net.state_dict().values() if tensor.is_floating_point()]
    return torch.float16 if all(torch.equal(tensor, tensor.half().to(tensor.dtype)) for tensor in weights) else torch.float32


def _paired(trials: str | Path | Sequence[str | Path], root: str | Path | Sequence[str | Path]) -> tuple[list[Path], list[Path]]:
    lists = [Path(path) for path in ([trials] if isinstance(trials, str | Path) else trials)]
    roots = [Path(path) for path in ([root] if isinstance(root, str | Path) else root)]
    if not lists or len(roots) not in (1, len(lists)):
        raise ConfigError(f"give one root for all lists, or one each: got {len(lists)} lists and {len(roots)} roots")
    return lists, roots if len(roots) == len(lists) else roots * len(lists)


def _check(output: Path, method: str, quality: Sequence[str], p_target: float | Sequence[float]) -> None:
    if output.suffix not in (".safetensors", ".json"):
        raise ConfigError(f"{output}: output ends in .safetensors (a model) or .json (the calibration alone)", "E_FORMAT")
    check_place(output)
    if method not in ("logistic", "pav"):
        raise ConfigError(f"method is 'logistic' or 'pav', got {method!r}")
    if method == "pav" and quality:
        raise ConfigError("quality measures go with method=logistic; a PAV curve takes the score alone")
    facts_needed(quality)  # an unknown one is said before the work
    if not all(0.0 < prior < 1.0 for prior in np.atleast_1d(p_target)) or not np.size(p_target):
        raise ConfigError(f"p_target lies within (0, 1), got {p_target}")
