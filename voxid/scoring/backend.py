"""A back-end: what happens to embeddings before they become a score, as one object."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxid import registry
from voxid.errors import ConfigError, DataError, ModelError, did_you_mean
from voxid.scoring.checks import as_codes, as_counts, as_index, as_pairs, as_rows, restored
from voxid.scoring.cohort import as_cohort
from voxid.scoring.enrolment import members, recording_trials, speaker_means
from voxid.scoring.normalize import build_norm
from voxid.scoring.plda import Plda
from voxid.scoring.plda_adapt import adapt_plda
from voxid.scoring.presets import PRESETS
from voxid.scoring.speaker_statistics import class_sums

Multi = Literal["book", "average", "scores"]


def build_backend(backend: str | Mapping[str, Any] | Backend) -> Backend:
    """A back-end from a name, from plain data, or as it is.

    Args:
        backend: A preset (`PRESETS`); ``{"transforms": [...], "scorer": ..., "norm": ...}``; a preset with changes,
            ``{"name": "gplda", "norm": "as"}``; or a `Backend`.

    Raises:
        ConfigError: An unknown name or argument.

    Example:
        >>> build_backend({"name": "centered_cosine", "transforms": ["center", "wccn"]})
        Backend(center, wccn -> cosine)
    """
    if isinstance(backend, Backend):
        return backend
    spec = {"name": backend} if isinstance(backend, str) else backend
    if not isinstance(spec, Mapping):
        raise ConfigError(f"a back-end is a name, a mapping or a Backend, got {backend!r}")
    name = spec.get("name")
    if name is not None and (not isinstance(name, str) or name not in PRESETS):
        raise ConfigError(f"unknown back-end {name!r}: {did_you_mean(str(name), PRESETS)}")
    changes = {key: value for key, value in spec.items() if key != "name"}
    return registry.call(Backend, PRESETS.get(str(name), {}) | changes, "back-end")


class Backend:
    """Transforms, then a scorer, then perhaps score normalisation; higher = same speaker.

    Args:
        transforms: Names or ``{"name": ..., argument: value}``, in order.
        scorer: ``cosine``, ``plda``, ``heavy_tailed_plda``, or one with arguments.
        norm: ``z``, ``t``, ``s``, ``as``, or with arguments ``{"name": "as", "top": 200}``; None = scores as they are.

    Attributes:
        transforms, scorer, norm: The parts.
        cohort: Rows for `norm`, transformed [C, D'] float32; None until `fit` or `set_cohort`.
        spec: Plain data from which `build_backend` makes an equal unfitted one.

    Raises:
        ConfigError: An unknown part or argument.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> speakers = np.repeat(["al", "bo", "cy", "di"], 25)
        >>> voices = np.repeat(rng.normal(size=(4, 8)) * 3, 25, axis=0) + rng.normal(size=(100, 8))
        >>> backend = Backend(["center", "length_norm"], "plda").fit(voices, speakers)
        >>> same, other = backend.score_trials(voices, [0, 0], [1, 99])
        >>> bool(same > 0 > other)
        True
    """

    def __init__(
        self,
        transforms: Sequence[str | Mapping[str, Any]] = (),
        scorer: str | Mapping[str, Any] = "cosine",
        norm: str | Mapping[str, Any] | None = None,
    ) -> None:
        if isinstance(transforms, str):
            raise ConfigError(f"back-end: transforms must be a list, got {transforms!r}")
        self._transform_specs = [_plain(spec) for spec in transforms]
        self._scorer_spec = _plain(scorer)
        self._build()
        self.norm = build_norm(norm)
        self.cohort: NDArray | None = None

    @property
    def spec(self) -> dict[str, Any]:
        """Plain data [JSON] from which `build_backend` makes an equal unfitted one."""
        norm = None if self.norm is None else self.norm.spec
        return copy.deepcopy({"transforms": self._transform_specs, "scorer": self._scorer_spec, "norm": norm})

    def fit(
        self,
        embeddings: ArrayLike,
        speakers: ArrayLike,
        *,
        cohort: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        target: ArrayLike | None = None,
    ) -> Self:
        """Fit every part in turn, each on what the ones before it made of the training rows.

        Args:
            embeddings, speakers: Training rows [n, D] and a label of any kind for each [n].
            cohort: Rows for `norm` [C, D]; None = the mean of each training speaker, each recording counted alike whatever
                its length.
            groups: Label of a nuisance of each row [n], e.g. language or corpus, for the parts whose `fit` takes it (``nap``).
            target: Rows without labels of the domain that will be scored [t, D], for the parts whose `fit` takes it (``coral``).

        Raises:
            DataError: ``E_SHAPE``, ``E_EMBEDDING``, ``E_SPEAKERS``, and what the parts raise.
        """
        training = as_rows(embeddings)
        codes, _ = as_codes(speakers, len(training))
        means = speaker_means(training, codes)
        domain = None if target is None else as_rows(target, training.shape[1], "target rows")
        outside = None if cohort is None else as_rows(cohort, training.shape[1], "cohort rows")
        self._build()
        for part in self.transforms:
            _fit(part, training, codes, groups=groups, target=domain)
            # A part such as coral does to rows of the training domain what it must not do to those that are scored.
            move = getattr(part, "transform_training", part.transform)
            training, means = move(training), move(means)
            domain = None if domain is None else part.transform(domain)
        _fit(self.scorer, training, codes, groups=groups, target=domain)
        self.cohort = means.astype(np.float32)
        if outside is not None:
            return self.set_cohort(outside)
        if self.norm is not None:
            as_cohort(self.cohort)
        return self

    def takes(self, argument: str) -> bool:
        """Whether the `fit` of one of the parts has a use for a further argument, ``groups`` or ``target``.

        Example:
            >>> Backend(["coral"]).takes("target"), Backend().takes("target")
            (True, False)
        """
        return any(argument in inspect.signature(part.fit).parameters for part in [*self.transforms, self.scorer])

    def set_cohort(self, cohort: ArrayLike) -> Self:
        """Take other rows [C, D], C >= 2, for `norm`: embeddings as they come out of the model, of speakers who are in no trial.

        Raises:
            DataError: ``E_SHAPE``, ``E_EMBEDDING``.
            ModelError: ``E_NOT_FITTED``.
        """
        self.cohort = self.transform(as_cohort(cohort)).astype(np.float32)
        return self

    def with_norm(self, norm: str | Mapping[str, Any] | None) -> Backend:
        """The same fitted parts and cohort with another normalisation.

        Raises:
            ConfigError: An unknown one.
        """
        other = copy.copy(self)
        other.norm = build_norm(norm)
        return other

    def adapt(self, target: ArrayLike, **scales: float) -> Backend:
        """The same back-end with its PLDA adapted to another domain without labels; the transforms and the cohort stay.

        Args:
            target: Rows of that domain [t, D], as they come out of the model.
            scales: Of `adapt_plda`.

        Raises:
            ConfigError: Another scorer than ``plda``, or a wrong scale.
            DataError: ``E_SHAPE``, ``E_EMBEDDING``.
            ModelError: ``E_NOT_FITTED``.
        """
        if not isinstance(self.scorer, Plda):
            raise ConfigError(f"back-end: only the scorer 'plda' can be adapted, this one is {self._scorer_spec['name']!r}")
        other = copy.copy(self)
        arguments = {"scorer": self.scorer, "embeddings": self.transform(target)} | scales
        other.scorer = registry.call(adapt_plda, arguments, "adaptation")
        return other

    def transform(self, embeddings: ArrayLike) -> NDArray:
        """Rows [n, D] as the scorer gets them [n, D'] float64.

        Raises:
            DataError: ``E_SHAPE``, ``E_EMBEDDING``.
            ModelError: ``E_NOT_FITTED``.
        """
        rows = as_rows(embeddings)
        for part in self.transforms:
            rows = part.transform(rows)
        return rows

    def score(self, enrol: ArrayLike, test: ArrayLike, *, counts: ArrayLike | None = None) -> NDArray:
        """Scores row by row [N] float64; higher = same speaker.

        Args:
            enrol, test: The two sides of each trial [N, D].
            counts: How many recordings each enrolment row is the mean of [N]; None = 1 each.

        Raises:
            DataError: ``E_SHAPE``, ``E_EMBEDDING``; ``E_COHORT``, `norm` without a cohort.
            ModelError: ``E_NOT_FITTED``.

        Example:
            >>> Backend().score([[1.0, 0.0]], [[3.0, 4.0]]).round(3).tolist()
            [0.6]
        """
        left, right = self.transform(enrol), self.transform(test)
        if len(left) != len(right):
            raise DataError(f"expected as many enrol as test rows, got {len(left)} and {len(right)}", "E_SHAPE")
        return self._trials(left, right, np.arange(len(left)), np.arange(len(left)), counts)

    def score_trials(self, embeddings: ArrayLike, enrol_index: ArrayLike, test_index: ArrayLike) -> NDArray:
        """Scores of listed trials [N] float64; higher = same speaker.

        Args:
            embeddings: One row per recording [n, D].
            enrol_index, test_index: Rows of the two sides of each trial [N].

        Raises:
            DataError: ``E_SHAPE``, ``E_INDEX``, ``E_EMBEDDING``; ``E_COHORT``, `norm` without a cohort.
            ModelError: ``E_NOT_FITTED``.
        """
        rows = self.transform(embeddings)
        return self._trials(rows, rows, *as_pairs(enrol_index, test_index, len(rows), len(rows)))

    def score_matrix(self, enrol: ArrayLike, test: ArrayLike, *, counts: ArrayLike | None = None) -> NDArray:
        """Scores of every enrolment row [n, D] with every test row [m, D]: [n, m] float32; higher = same speaker.

        Raises:
            DataError: ``E_SHAPE``, ``E_EMBEDDING``; ``E_COHORT``, `norm` without a cohort.
            ModelError: ``E_NOT_FITTED``.
        """
        left, right = self.transform(enrol), self.transform(test)
        scores = self.scorer.score_matrix(left, right, counts)
        if self.norm is None:
            return scores
        found = self.norm.statistics(self.scorer, left, right, self._known_cohort(), counts)
        return self.norm.matrix(scores, found).astype(np.float32)

    def score_models(
        self,
        embeddings: ArrayLike,
        models: Sequence[Sequence[int]],
        tests: ArrayLike,
        model_index: ArrayLike,
        test_index: ArrayLike,
        *,
        multi: Multi = "book",
    ) -> NDArray:
        """Scores of trials against speakers who are enrolled with several recordings [N] float64; higher = same speaker.

        Args:
            embeddings: One row per recording [n, D].
            models: Row numbers of the recordings of each enrolled speaker.
            tests: Row number of each test recording [m].
            model_index, test_index: Places in `models` and `tests` of each trial's sides [N].
            multi: ``book``: as the scorer's model has it, which for PLDA knows that a mean of many recordings is surer than one;
                ``average``: the mean of the embeddings, each counted alike whatever its length, as if it were one recording;
                ``scores``: the mean of the scores of the single recordings, each normalised where `norm` is set.

        Raises:
            ConfigError: An unknown `multi`.
            DataError: ``E_SHAPE``, ``E_INDEX``, ``E_EMBEDDING``; ``E_COHORT``, `norm` without a cohort.
            ModelError: ``E_NOT_FITTED``.
        """
        check_multi(multi)
        rows = as_rows(embeddings)
        enrolled, codes = members(models, len(rows))
        tested = self.transform(rows)[as_index(tests, len(rows))]
        model, test = as_pairs(model_index, test_index, len(models), len(tested))
        if multi == "scores":
            return self._mean_scores(self.transform(rows[enrolled]), tested, codes, model, test)
        if multi == "average":
            return self._trials(self.transform(speaker_means(rows[enrolled], codes)), tested, model, test)
        sizes = np.bincount(codes)
        means = class_sums(self.transform(rows[enrolled]), codes) / sizes[:, None]
        return self._trials(means, tested, model, test, sizes)

    def state(self) -> dict[str, NDArray]:
        """What `fit` found, the keys as in ``transforms.0.mean``, ``scorer.psi`` and ``cohort``.

        Raises:
            ModelError: ``E_NOT_FITTED``.
        """
        parts = {f"transforms.{place}": part for place, part in enumerate(self.transforms)} | {"scorer": self.scorer}
        state = {f"{name}.{key}": array for name, part in parts.items() for key, array in part.state().items()}
        return state if self.cohort is None else state | {"cohort": self.cohort}

    @classmethod
    def restore(cls, spec: str | Mapping[str, Any], state: Mapping[str, NDArray]) -> Backend:
        """The fitted back-end from its `spec` and its `state`; its scores are bit for bit those of the one that gave them.

        Raises:
            ConfigError: An unknown part or argument.
            ModelError: ``E_FORMAT``, a state that does not belong to the spec.
        """
        backend = build_backend(spec)
        left = dict(state)
        cohort = left.pop("cohort", None)
        parts = {f"transforms.{place}.": part for place, part in enumerate(backend.transforms)} | {"scorer.": backend.scorer}
        for prefix, part in parts.items():
            part.restore({key.removeprefix(prefix): left.pop(key) for key in list(left) if key.startswith(prefix)})
        if left:
            raise ModelError(f"back-end: its parts have no place for {', '.join(sorted(left))}", "E_FORMAT")
        if cohort is not None:
            backend.cohort = restored({"cohort": cohort}, "back-end", cohort=("C", "D"))["cohort"].astype(np.float32)
        return backend

    def __repr__(self) -> str:
        names = [part["name"] for part in self._transform_specs]
        norm = f", {self.norm.kind}-norm" if self.norm is not None else ""
        return f"Backend({', '.join(names)}{' -> ' if names else ''}{self._scorer_spec['name']}{norm})"

    def _build(self) -> None:
        """New parts without a fit; the old ones may be shared with a copy of `with_norm`."""
        self.transforms = [registry.build("transform", spec) for spec in self._transform_specs]
        self.scorer = registry.build("scorer", self._scorer_spec)

    def _trials(self, left: NDArray, right: NDArray, enrol: NDArray, test: NDArray, counts: ArrayLike | None = None) -> NDArray:
        """Scores of trials between transformed rows, normalised."""
        scores = self.scorer.score_trials(left, right, enrol, test, counts)
        if self.norm is None or len(scores) == 0:
            return scores
        # The statistics cost as much as scores with the whole cohort: once for each row that occurs, not for each trial.
        first, second = _occurring(enrol, len(left)), _occurring(test, len(right))
        if left is right:
            first = second = first | second
        rows = left[first]
        others = rows if left is right else right[second]
        number = None if counts is None else as_counts(counts, len(left))[first]
        found = self.norm.statistics(self.scorer, rows, others, self._known_cohort(), number)
        return self.norm.trials(scores, found, (np.cumsum(first) - 1)[enrol], (np.cumsum(second) - 1)[test])

    def _known_cohort(self) -> NDArray:
        if self.cohort is None:
            raise DataError("back-end: score normalisation needs a cohort: call fit(...) or set_cohort(rows) first", "E_COHORT")
        return self.cohort

    def _mean_scores(self, recordings: NDArray, tested: NDArray, codes: NDArray, model: NDArray, test: NDArray) -> NDArray:
        places, tests, begin = recording_trials(codes, model, test)
        scores = self._trials(recordings, tested, places, tests)
        return np.add.reduceat(scores, begin) / np.bincount(codes)[model] if len(model) else scores


def check_multi(multi: str) -> None:
    """Raise `ConfigError` for the name of no way to count several enrolments."""
    if multi not in get_args(Multi):
        raise ConfigError(f"unknown multi {multi!r}: {did_you_mean(str(multi), get_args(Multi))}")


def _fit(part: Any, rows: NDArray, codes: NDArray, **more: NDArray | ArrayLike | None) -> None:
    """Call `fit` with those of the further arguments that it takes."""
    accepted = inspect.signature(part.fit).parameters
    part.fit(rows, codes, **{name: value for name, value in more.items() if name in accepted})


def _plain(spec: str | Mapping[str, Any]) -> dict[str, Any]:
    """The spec of a part as JSON has it, with its name."""
    part = {"name": spec} if isinstance(spec, str) else spec
    try:
        return json.loads(json.dumps(dict(part)))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"back-end: a part is a name or a mapping of plain data, got {spec!r}") from error


def _occurring(index: NDArray, count: int) -> NDArray:
    """Which of `count` rows an index points to [count] bool."""
    return np.bincount(index, minlength=count) > 0
