"""score: a trial list and embeddings -> a score file, by a back-end; no audio is read."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxid.data.embeddings import Embeddings, check_like, read_vectors
from voxid.data.kaldi import read_map
from voxid.data.prepared import check_place
from voxid.data.recording_names import CODE, locate
from voxid.data.trial_table import TrialTable, read_trial_table, write_trial_table
from voxid.data.trials import Trial, table_of
from voxid.errors import ConfigError, DataError
from voxid.metrics.detection import eer, min_dcf
from voxid.scoring.backend import Backend, Multi, check_multi
from voxid.zoo.backend import backend_card, load_backend, norm_spec, parts_of

Files = str | Path | Sequence[str | Path]
DIGITS = 8  # of a score in the file; float32 has seven and a bit


@dataclass(frozen=True)
class Scoring:
    """What `score` wrote; rates are fractions, lower is better.

    Attributes:
        output: The score file.
        backend: What made the scores.
        num_trials: Its lines.
        num_targets, num_nontargets: None where the list tells no labels.
        num_enrolments, num_tests: Different recordings, or models, on the two sides.
        eer: Equal error rate; None without labels of both kinds.
        min_dcf_001, min_dcf_0001: Minimum normalised detection cost at target priors of 0.01 and 0.001; None likewise.
        warnings: What a reader of the scores must know.
    """

    output: str
    backend: str
    num_trials: int
    num_targets: int | None
    num_nontargets: int | None
    num_enrolments: int
    num_tests: int
    eer: float | None
    min_dcf_001: float | None
    min_dcf_0001: float | None
    warnings: tuple[str, ...]

    def describe(self) -> str:
        """The result as text, a line a figure; rates in per cent."""
        kinds = "no labels" if self.num_targets is None else f"{self.num_targets} target, {self.num_nontargets} non-target"
        rows = [
            ("scores", self.output),
            ("back-end", self.backend),
            ("trials", f"{self.num_trials}: {kinds}"),
            ("sides", f"{self.num_enrolments} enrolments, {self.num_tests} tests"),
        ]
        if self.eer is not None:
            rows.append(("EER", f"{100 * self.eer:.2f} %"))
            rows += [("minDCF(0.01)", f"{self.min_dcf_001:.3f}"), ("minDCF(0.001)", f"{self.min_dcf_0001:.3f}")]
        rows += [("warning", text) for text in self.warnings]
        return "\n".join(f"{name:<15}{value}" for name, value in rows)


def score(
    trials: str | Path | Sequence[Trial],
    *,
    embeddings: Files,
    output: str | Path,
    enrol_embeddings: Files | None = None,
    models: str | Path | Mapping[str, Sequence[str]] | None = None,
    multi: Multi = "book",
    backend: str | Path | Backend = "cosine",
    norm: str | None = None,
    top: int | None = None,
    cohort: Files | None = None,
    imports: bool = False,
) -> Scoring:
    """Score every trial of a list and write ``enrol test score [target|nontarget]``, a line a trial, whole or not at all.

    Args:
        trials: A list in any order that `read_trials` knows, with labels or without, or trials that were read already.
        embeddings: Files of `read_vectors`: what `voxid embed` wrote, Kaldi's .ark or .scp, .npz. The names of the list are
            found in them as they are, or as the end of a path.
        output: The score file.
        enrol_embeddings: Where the enrolment side is found instead.
        models: Speakers who are enrolled with several recordings, a line ``model recording recording ...`` each (Kaldi's
            spk2utt), or a mapping; the list's enrolments are then names of models.
        multi: How several enrolments count, see `Backend.score_models`.
        backend: A file of `voxid train backend`, a model file with a back-end inside, ``cosine``, or a loaded one.
        norm: Score normalisation: none, z, t, s or as; None = as the back-end has it.
        top: Of ``as``: how many of the cohort's scores count.
        cohort: Embeddings of other speakers for `norm`; None = the back-end's own.
        imports: Allow a back-end with parts that go by an import path. Importing runs code: only for files that you trust.

    Raises:
        DataError: Files that cannot be read or do not fit together, names that are not found (``E_NAMES``), normalisation
            without a cohort (``E_COHORT``), a place that cannot be written to.
        ModelError: A back-end that cannot be loaded.
        ConfigError: A value out of its range; a `cohort` without normalisation, or a `multi` without `models`.
    """
    check_place(Path(output))
    asked = _table(trials)
    chosen = load_backend(backend, imports=imports)
    if norm is not None or top is not None:
        chosen = chosen.with_norm(norm_spec(chosen.spec["norm"], norm, top))
    _check_used(chosen, models=models, multi=multi, cohort=cohort)
    known = read_vectors(embeddings)
    if cohort is not None:
        others = read_vectors(cohort)
        check_like(known, others, "the cohort")
        chosen = copy.copy(chosen).set_cohort(others.embeddings)  # a copy: the caller's keeps its own
    if chosen.norm is not None and chosen.cohort is None:
        raise DataError("score normalisation needs a cohort: --cohort with embeddings of other speakers", "E_COHORT")
    enrol = None if enrol_embeddings is None else read_vectors(enrol_embeddings)
    values = score_list(asked, known, chosen, enrol=enrol, models=_models(models), multi=multi)
    written = _write(Path(output), asked, values)
    return _summary(str(output), asked, written, chosen, _warnings(backend, known))


def score_list(
    trials: TrialTable | Sequence[Trial],
    known: Embeddings,
    backend: Backend,
    *,
    enrol: Embeddings | None = None,
    models: Mapping[str, Sequence[str]] | None = None,
    multi: Multi = "book",
) -> NDArray:
    """Scores of listed trials [N] float64; higher = same speaker. Arguments and errors as in `score`.

    Example:
        >>> rows = Embeddings(("a.wav", "b.wav"), np.eye(2))
        >>> from voxid.zoo.backend import load_backend
        >>> score_list([Trial("a.wav", "b.wav"), Trial("b.wav", "b.wav")], rows, load_backend("cosine")).tolist()
        [0.0, 1.0]
    """
    check_multi(multi)
    table = _table(trials)
    first, enrol_index = _side(table.names, table.enrol)
    second, test_index = _side(table.names, table.test)
    if models is not None:
        members, places = _members(first, models)
        left, right, rows = _rows(places, second, known, enrol)
        groups = [left[group] for group in members]
        return backend.score_models(rows, groups, right, enrol_index, test_index, multi=multi)
    left, right, rows = _rows(first, second, known, enrol)
    return backend.score_trials(rows, left[enrol_index], right[test_index])


def _check_used(backend: Backend, *, models: object, multi: str, cohort: object) -> None:
    """Raise `ConfigError` for what was asked for and would change nothing."""
    if cohort is not None and backend.norm is None:
        raise ConfigError("a cohort is for score normalisation, which these scores lack: ask for it with norm='as' (--norm as)")
    check_multi(multi)
    if models is None and multi != "book":
        raise ConfigError(f"multi={multi!r} says how several enrolments count: name them with models (--models spk2utt)")


def _table(trials: str | Path | TrialTable | Sequence[Trial]) -> TrialTable:
    if isinstance(trials, TrialTable):
        return trials
    if isinstance(trials, str | Path):
        return read_trial_table(trials)
    if not trials:
        raise DataError("there is no trial in the list", "E_TRIALS")
    return table_of(trials, "the trials")


def _side(names: Sequence[str], places: NDArray) -> tuple[list[str], NDArray]:
    """The different recordings on a side, and the place of each trial's among them [N]."""
    occurs = np.zeros(len(names), dtype=bool)
    occurs[places] = True
    return [names[place] for place in np.flatnonzero(occurs).tolist()], (np.cumsum(occurs) - 1)[places]


def _distinct(names: Sequence[str]) -> tuple[list[str], NDArray]:
    """The different names, and the place of each name among them [N]."""
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return list(places), np.fromiter(map(places.__getitem__, names), np.intp, len(names))


def _members(asked: Sequence[str], models: Mapping[str, Sequence[str]]) -> tuple[list[NDArray], list[str]]:
    """Places of the recordings of each model that is asked for, and these recordings."""
    lost = [name for name in asked if not models.get(name)]
    if lost:
        raise DataError(f"{len(lost)} of {len(asked)} enrolled models have no recordings, {lost[0]!r} the first", CODE)
    recordings, flat = _distinct([recording for name in asked for recording in models[name]])
    return np.split(flat, np.cumsum([len(models[name]) for name in asked])[:-1]), recordings


def _rows(
    first: Sequence[str], second: Sequence[str], known: Embeddings, enrol: Embeddings | None
) -> tuple[NDArray, NDArray, NDArray]:
    """Row numbers of the names of both sides, and the rows."""
    if enrol is None:
        names = list(dict.fromkeys([*first, *second]))
        found = dict(zip(names, locate(names, known.names, what="the trials", where="the embeddings").tolist(), strict=True))
        left, right = ([found[name] for name in side] for side in (first, second))
        return np.array(left, np.intp), np.array(right, np.intp), known.embeddings
    check_like(known, enrol, "the enrolment")
    before = locate(first, enrol.names, what="the enrolment side", where="the enrolment embeddings")
    after = locate(second, known.names, what="the test side", where="the embeddings")
    return before, after + len(enrol.names), np.concatenate([enrol.embeddings, known.embeddings])


def _models(models: str | Path | Mapping[str, Sequence[str]] | None) -> Mapping[str, Sequence[str]] | None:
    if isinstance(models, str | Path):
        return {name: recordings.split() for name, recordings in read_map(Path(models)).items()}
    return models


def _write(path: Path, trials: TrialTable, values: NDArray) -> NDArray:
    """Write the scores, and give them as they are written: `DIGITS` significant digits, more would only make the file long."""
    size = np.floor(np.log10(np.abs(values), out=np.zeros_like(values), where=values != 0.0))
    scale = 10.0 ** (DIGITS - 1 - np.maximum(size, -10.0))  # an exact power, or the quotient below is no short number
    written = np.round(values * scale) / scale
    write_trial_table(path, replace(trials, scores=written), format="wespeaker")
    return written


def _summary(output: str, trials: TrialTable, values: NDArray, backend: Backend, warnings: tuple[str, ...]) -> Scoring:
    labels = trials.labels
    both = labels is not None and 0 < labels.sum() < len(labels)
    if labels is not None and not both:
        warnings = (*warnings, "no error rates: all trials have the same label")
    return Scoring(
        output=output,
        backend=", ".join(parts_of(backend)),
        num_trials=len(trials),
        num_targets=None if labels is None else int(labels.sum()),
        num_nontargets=None if labels is None else int((~labels).sum()),
        num_enrolments=len(_side(trials.names, trials.enrol)[0]),
        num_tests=len(_side(trials.names, trials.test)[0]),
        eer=eer(values, labels) if labels is not None and both else None,
        min_dcf_001=min_dcf(values, labels, 0.01) if labels is not None and both else None,
        min_dcf_0001=min_dcf(values, labels, 0.001) if labels is not None and both else None,
        warnings=warnings,
    )


def _warnings(backend: str | Path | Backend, known: Embeddings) -> tuple[str, ...]:
    trained, scored = ((facts or {}).get("sha256") for facts in (backend_card(backend).get("model"), known.model))
    if not trained or not scored or trained == scored:
        return ()
    return (f"the back-end was trained on embeddings of another model ({trained[:12]}), these are of {scored[:12]}",)
