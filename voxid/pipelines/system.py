"""A verification system: a speaker model, its back-end and its calibration. Embeddings go in, likelihood ratios come out."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from voxid.data.embeddings import Embeddings, read_vectors
from voxid.data.manifest import read_manifest
from voxid.errors import ConfigError, DataError
from voxid.metrics.operating_points import stored_points
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.pipelines.decision import SAME_WEIGHTS, check_scores, one_system, read_decision
from voxid.pipelines.embed import embed_files, model_info, ready
from voxid.scoring.backend import Backend, build_backend
from voxid.scoring.calibration import Calibration, PavCalibration
from voxid.scoring.cohort import cohort_of, cohort_statistics
from voxid.scoring.quality import facts_needed, quality_matrix
from voxid.zoo.backend import load_backend, norm_spec, parts_of

Norm = Literal["none", "z", "t", "s", "as"]
COHORT_FACTS = ("cohort_mean", "cohort_std")


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of trials [N]; higher = same speaker.

    Args:
        scores: As the back-end gives them.
        llr: Natural-log likelihood ratios; None without a calibration.
        quality: Quality measures that were asked for [N, Q]; None without.
    """

    scores: NDArray
    llr: NDArray | None
    quality: NDArray | None = None

    @property
    def decisive(self) -> NDArray:
        """What thresholds are held against: the likelihood ratios where there are any, else the scores."""
        return self.scores if self.llr is None else self.llr


@dataclass(frozen=True, eq=False)
class System:
    """What turns two recordings into an answer.

    Args:
        net: The speaker model.
        backend: What scores its embeddings.
        calibration: What makes likelihood ratios of the scores; None = nothing does.
        card: Where thresholds are looked up: that of the model or of the calibration, as long as it belongs to these scores.
        notes: What a reader of its answers must know.
    """

    net: SpeakerEncoder
    backend: Backend
    calibration: Calibration | PavCalibration | None
    card: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """What thresholds are held against, in words."""
        return "score" if self.calibration is None else "log-likelihood ratio"

    def points(self) -> tuple[list[Mapping[str, float]], str]:
        """Thresholds for a row of false-accept rates, on what `Scored.decisive` gives, and the trials that they were set on.

        Raises:
            ModelError: ``E_FORMAT``, a malformed card.
        """
        return stored_points(self.card)

    def describe(self) -> str:
        """Back-end and calibration in a line."""
        made = "" if self.calibration is None else f", calibrated on {self.calibration.source or 'unnamed trials'}"
        return f"{', '.join(parts_of(self.backend))}{made}"

    def score(self, done: Embeddings, enrol_index: ArrayLike, test_index: ArrayLike, *, quality: Sequence[str] = ()) -> Scored:
        """Scores of trials between rows of `done`; `quality` names measures of them to tell besides.

        Raises:
            DataError: Embeddings of another size; facts that the calibration needs and `done` lacks.
        """
        enrol, test = np.asarray(enrol_index, np.intp), np.asarray(test_index, np.intp)
        scores = self.backend.score_trials(done.embeddings, enrol, test)
        told = self._quality(done, quality, enrol, test)
        if self.calibration is None:
            return Scored(scores, None, told)
        needed = self._quality(done, getattr(self.calibration, "quality", ()), enrol, test)
        return Scored(scores, self.calibration.llr(scores, needed), told)

    def check_quality(self, names: Sequence[str]) -> None:
        """Say before the work that these quality measures cannot be told.

        Raises:
            ConfigError: An unknown measure.
            DataError: ``E_COHORT``: measures of the scores with a cohort, and there is none.
        """
        wanted = [name for name in names if facts_needed([name])[0] in COHORT_FACTS]
        if wanted and (self.backend.norm is None or self.backend.cohort is None):
            raise DataError(
                f"{', '.join(wanted)}: measures of the scores with a cohort, and these scores are not normalised by one; "
                "ask for --norm as, with --cohort where the back-end has none",
                "E_COHORT",
            )

    def _against_cohort(self, embeddings: NDArray) -> tuple[NDArray, NDArray]:
        """Mean and standard deviation of each recording's scores with the cohort, those that AS-norm takes."""
        norm, cohort = self.backend.norm, self.backend.cohort
        assert norm is not None  # `check_quality` was asked
        assert cohort is not None
        top = min(norm.top, len(cohort)) if norm.kind == "as" else None
        return cohort_statistics(self.backend.scorer, self.backend.transform(embeddings), cohort, side="enrol", top=top)

    def _quality(self, done: Embeddings, names: Sequence[str], enrol: NDArray, test: NDArray) -> NDArray | None:
        """Quality measures of trials [N, Q]; None where none are asked for."""
        if not names:
            return None
        self.check_quality(names)
        facts = dict(done.facts) | {"magnitude": np.linalg.norm(done.embeddings.astype(np.float64), axis=1)}
        if set(COHORT_FACTS) & set(facts_needed(names)):
            facts |= dict(zip(COHORT_FACTS, self._against_cohort(done.embeddings), strict=True))
        return quality_matrix(names, *({key: values[side] for key, values in facts.items()} for side in (enrol, test)))


def build_system(
    model: str | Path | nn.Module | None = None,
    *,
    backend: str | Path | None = None,
    norm: Norm | None = None,
    top: int | None = None,
    cohort: str | Path | None = None,
    calibration: str | Path | None = None,
    device: str = "auto",
    imports: bool = False,
    progress: bool = True,
) -> System:
    """A model with the back-end and the calibration of its file, or with others.

    Args:
        model: A name, a file, a loaded model, or None for the bundled one.
        backend: A file of `voxid train backend`, or ``cosine``; None = the one in the model's file, else the cosine.
        norm: Score normalisation; None = as the back-end has it.
        top: How many of the cohort ``as`` takes for each recording; None = as the back-end has it, else 300.
        cohort: Embeddings (`voxid embed`) or a manifest of recordings, whose speakers are in no trial; None = the back-end's own.
        calibration: A file of `voxid calibrate`; None = the calibration of the model's card, as long as back-end, normalisation
            and cohort are those of its file.
        device, imports: As in `voxid.load`.
        progress: A bar on stderr while a cohort is embedded.

    Raises:
        ModelError: A model, a back-end or a calibration that cannot be loaded.
        DataError: ``E_COHORT``, normalisation without a cohort; ``E_SHAPE``, a back-end or a cohort for embeddings of another
            size; a cohort that cannot be read.
        ConfigError: An unknown normalisation, a cohort without one, a calibration of other scores.
    """
    net = ready(model, device, imports=imports)
    chosen = _backend_for(net, backend, norm, top, imports)
    _check_cohort(chosen, given=cohort is not None)
    same = backend is None and norm is None and top is None and cohort is None
    card: Mapping[str, Any] = (getattr(net, "card", None) or {}) if same else {}
    notes: list[str] = []
    if calibration is not None:
        card = read_decision(calibration, imports=imports)
        notes += check_scores(calibration, card, chosen, model_info(net))
    fitted = one_system(card, calibration or "the model's card")
    if cohort is not None:
        rows, more = cohort_rows(cohort, net, progress=progress)
        chosen, notes = copy.copy(chosen).set_cohort(rows), notes + more
    system = System(net, chosen, fitted, card, tuple(notes))
    system.check_quality(getattr(fitted, "quality", ()))
    return system


def cohort_rows(cohort: str | Path, net: SpeakerEncoder, *, progress: bool = True) -> tuple[NDArray, list[str]]:
    """Embeddings [C, D] of a cohort: the rows of a file, or the mean of each speaker of a manifest. And what to warn of.

    Raises:
        DataError: A file that cannot be read, recordings that cannot be used; ``E_SHAPE``, embeddings of another size.
    """
    path = Path(cohort)
    if path.suffix in (".csv", ".jsonl"):
        manifest = read_manifest(path)
        done = embed_files(manifest.paths, model=net, progress=progress)
        return cohort_of(done.embeddings, manifest.speakers), []
    known = read_vectors(path)
    if known.embeddings.shape[1] != net.embedding_dim:
        sizes = f"D = {known.embeddings.shape[1]}, those of the model {net.embedding_dim}"
        raise DataError(f"{path}: the embeddings of the cohort have {sizes}; embed it with this model (voxid embed)", "E_SHAPE")
    made, asked = known.model.get("sha256"), model_info(net)["sha256"]
    if not made or not asked or made == asked:
        return known.embeddings, []
    file = f"another model file ({made[:12]})"
    return known.embeddings, [f"the cohort {path} was embedded by {file}, the trials by {asked[:12]}: {SAME_WEIGHTS}"]


def _backend_for(net: SpeakerEncoder, backend: str | Path | None, norm: Norm | None, top: int | None, imports: bool) -> Backend:
    """The back-end that is asked for, with the normalisation that is; for embeddings of this net."""
    chosen = (net.backend or build_backend("cosine")) if backend is None else load_backend(backend, imports=imports)
    _check_fits(chosen, net, backend)
    if norm is None and top is None:
        return chosen
    return chosen.with_norm(norm_spec(chosen.spec["norm"], norm, top))


def _check_cohort(backend: Backend, *, given: bool) -> None:
    if backend.norm is None and given:
        raise ConfigError("a cohort is for score normalisation, and these scores have none: ask for it, e.g. --norm as")
    if backend.norm is not None and backend.cohort is None and not given:
        raise DataError(
            f"score normalisation {backend.norm.kind!r} needs a cohort: give --cohort, embeddings or a manifest of others",
            "E_COHORT",
        )


def _check_fits(backend: Backend, net: SpeakerEncoder, source: str | Path | None) -> None:
    """Raise `DataError` where the back-end was trained on embeddings of another size: before the work, not after it."""
    probe = np.random.default_rng(0).normal(size=(2, net.embedding_dim))
    try:
        backend.with_norm(None).score(probe[:1], probe[1:])
    except DataError as error:
        name = "the model's back-end" if source is None else source
        raise DataError(f"{name}: not for embeddings of this model, D = {net.embedding_dim}: {error}", error.code) from error
