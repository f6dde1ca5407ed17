"""train adapt: a back-end with PLDA, and embeddings of another domain without labels -> the back-end for that domain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voxid.data.embeddings import read_vectors
from voxid.data.prepared import check_place
from voxid.training.backend import Files
from voxid.zoo.backend import backend_card, check_backend_name, load_backend, parts_of, save_backend


@dataclass(frozen=True)
class AdaptedBackend:
    """What `adapt_backend` wrote.

    Args:
        output: The .safetensors file.
        parts: Its transforms, its scorer and its normalisation, in order.
        num_embeddings: What it was adapted to.
    """

    output: str
    parts: tuple[str, ...]
    num_embeddings: int

    def describe(self) -> str:
        """The result in a line."""
        return f"{self.output}: {', '.join(self.parts)}, adapted to {self.num_embeddings} embeddings"


def adapt_backend(
    backend: str | Path,
    *,
    embeddings: Files,
    output: str | Path,
    mean_diff_scale: float = 1.0,
    within_covar_scale: float = 0.75,
    between_covar_scale: float = 0.25,
    imports: bool = False,
) -> AdaptedBackend:
    """Adapt the PLDA of a back-end the way Kaldi does, and write the whole as one file; transforms and cohort stay.

    Args:
        backend: A file of `voxid train backend`, a model with a back-end inside, or a plda of Kaldi or WeSpeaker.
        embeddings: Of the domain that will be scored, without labels; many more than D of them.
        output: The .safetensors file.
        mean_diff_scale, within_covar_scale, between_covar_scale: See `scoring.plda_adapt.adapt_plda`.
        imports: Allow a back-end whose parts go by an import path. Importing runs code: only for files that you trust.

    Raises:
        DataError: Embeddings that cannot be read or have another size.
        ModelError: A back-end that cannot be loaded, a place that cannot be written to.
        ConfigError: A back-end without PLDA, a negative scale.
    """
    check_backend_name(Path(output))
    check_place(Path(output))
    known = read_vectors(embeddings)
    adapted = load_backend(backend, imports=imports).adapt(
        known.embeddings,
        mean_diff_scale=mean_diff_scale,
        within_covar_scale=within_covar_scale,
        between_covar_scale=between_covar_scale,
    )
    save_backend(output, adapted, backend_card(backend) | {"adapted_to": len(known.names)})
    return AdaptedBackend(str(output), parts_of(adapted), len(known.names))
