"""train backend: embeddings and their speakers -> a fitted back-end in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from voxid import __version__
from voxid.data.embeddings import Embeddings, check_like, read_vectors
from voxid.data.prepared import check_place
from voxid.data.speaker_labels import speaker_labels
from voxid.errors import ConfigError
from voxid.scoring.backend import Backend, build_backend
from voxid.scoring.drawn_cohort import drawn_cohort
from voxid.training.backend_spec import backend_spec
from voxid.zoo.backend import check_backend_name, norm_spec, parts_of, save_backend

Files = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class TrainedBackend:
    """What `train_backend` wrote.

    Attributes:
        output: The .safetensors file.
        kind: Preset or file that it was made of.
        parts: Its transforms, its scorer and its normalisation, in order.
        num_embeddings, num_speakers: What it was fitted on.
        embedding_dim: D.
        cohort: Rows that `norm` compares with; 0 without one.
        model: Facts about the model of the embeddings: name, sha256; empty where their file does not tell.
    """

    output: str
    kind: str
    parts: tuple[str, ...]
    num_embeddings: int
    num_speakers: int
    embedding_dim: int
    cohort: int
    model: Mapping[str, Any]

    def describe(self) -> str:
        """The result in a few lines of text."""
        lines = [
            f"{self.output}: {', '.join(self.parts)}",
            f"fitted on {self.num_embeddings} embeddings of {self.num_speakers} speakers, D = {self.embedding_dim}",
        ]
        if self.cohort:
            lines.append(f"cohort: {self.cohort} rows")
        if self.model.get("name"):
            lines.append(f"model: {self.model['name']} ({str(self.model.get('sha256'))[:12]})")
        return "\n".join(lines)


def train_backend(
    kind: str | Path | Mapping[str, Any],
    *,
    embeddings: Files,
    speakers: Files,
    output: str | Path,
    cohort: Files | None = None,
    norm: str | None = None,
    top: int | None = None,
    set: Sequence[str] = (),
    groups: str | None = None,
    target: Files | None = None,
    draw_cohort: int | None = None,
) -> TrainedBackend:
    """Fit a back-end on labelled embeddings and write it as one file, whole or not at all.

    Args:
        kind: A preset (cosine, lda, wccn, gplda, lda_gplda, heavy_tailed_plda), a YAML or JSON file with ``transforms``,
            ``scorer`` and perhaps ``norm``, or such a mapping.
        embeddings: Files of `read_vectors`: what `voxid embed` wrote, Kaldi's .ark or .scp, .npz.
        speakers: Who speaks in them: manifests (.csv, .jsonl) with the columns path and speaker, or Kaldi's utt2spk.
        output: The .safetensors file.
        cohort: Embeddings that score normalisation compares with, as in `embeddings`; by default the mean of each speaker.
        norm: Score normalisation: none, z, t, s or as; None = as `kind` has it.
        top: Of ``as``: how many of the cohort's scores count.
        set: Overrides of the preset, ``lda.dim=100``, ``scorer.iterations=20``, ``transforms.0.dim=100``; values are YAML.
        groups: Column of the manifests that names the group of each recording, for ``nap`` with ``nuisance: groups``.
        target: Embeddings of the domain that will be scored, without labels, for ``coral``.
        draw_cohort: Draw so many rows like the speakers' means, group by group where `groups` are given, in place of a cohort of
            real people: the file then holds nobody's embedding.

    Raises:
        DataError: Files that cannot be read or do not fit together; recordings without a speaker (``E_NAMES``); too few of them.
        ConfigError: An unknown preset, part or argument; `groups` or a `target` that no part has a use for.
        ModelError: A place that cannot be written to.
    """
    check_backend_name(Path(output))
    check_place(Path(output))
    spec = backend_spec(kind, set)
    backend = build_backend(spec | {"norm": norm_spec(spec["norm"], norm, top)})
    if cohort is not None and draw_cohort is not None:
        raise ConfigError("a cohort is given or drawn, not both: leave out cohort or draw_cohort")
    _check_used(backend, groups=groups is not None and draw_cohort is None, target=target is not None)
    known = read_vectors(embeddings)
    labels = speaker_labels(known.names, speakers)
    domains = None if groups is None else speaker_labels(known.names, speakers, column=groups)
    others = _rows(cohort, known, "the cohort")
    if draw_cohort is not None:
        others = drawn_cohort(known.embeddings, labels, size=draw_cohort, groups=domains)
    backend.fit(
        known.embeddings,
        labels,
        cohort=others,
        groups=domains,
        target=_rows(target, known, "the target"),
    )
    card = {
        "kind": Path(kind).name if isinstance(kind, str | Path) else "",
        "model": dict(known.model),
        "embedding_dim": known.embeddings.shape[1],
        "num_embeddings": len(known.names),
        "num_speakers": len({*labels}),
        "voxid": __version__,
    }
    save_backend(output, backend, card)
    return TrainedBackend(
        output=str(output),
        kind=card["kind"],
        parts=parts_of(backend),
        num_embeddings=card["num_embeddings"],
        num_speakers=card["num_speakers"],
        embedding_dim=card["embedding_dim"],
        cohort=0 if backend.cohort is None else len(backend.cohort),
        model=dict(known.model),
    )


def _check_used(backend: Backend, **given: bool) -> None:
    """Raise `ConfigError` for what was given and would change nothing."""
    for name, wanted in (("groups", "nap with nuisance: groups, or a drawn cohort"), ("target", "coral")):
        if given[name] and not backend.takes(name):
            raise ConfigError(f"no part of {', '.join(parts_of(backend))} has a use for {name}; it is for {wanted}")


def _rows(files: Files | None, known: Embeddings, what: str) -> NDArray | None:
    """Further embeddings, which must come from the same model."""
    if files is None:
        return None
    others = read_vectors(files)
    check_like(known, others, what)
    return others.embeddings
