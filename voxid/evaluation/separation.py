"""A separation model and mixtures of known parts -> how well the voices come apart, by noise and by gender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from voxid.data.mixtures import CODE, Separation
from voxid.errors import DataError
from voxid.evaluation.mixture_list import Item, MixtureList
from voxid.evaluation.signal_metrics import USUAL, check_metrics
from voxid.evaluation.signal_report import Label, SignalEvaluation
from voxid.evaluation.signal_run import Places, run
from voxid.pipelines.separate import separate
from voxid.zoo.load import load

# Of the mixture's power: below it (-60 dB) what the sources leave of a ready mixture is the rounding of its files.
NO_NOISE = 1e-6


def evaluate_separation(
    model: str | Path | nn.Module | None = None,
    *,
    mixtures: str | Path,
    root: str | Path | None = None,
    where: Mapping[str, Any] | None = None,
    limit: int | None = None,
    metrics: Sequence[str] = USUAL,
    output: str | Path | None = None,
    rows: str | Path | None = None,
    report: str | Path | None = None,
    window: float = 10.0,
    overlap: float = 0.5,
    tracking: bool = True,
    device: str = "auto",
    imports: bool = False,
    progress: bool = True,
) -> SignalEvaluation:
    """Separate every mixture (`voxid.separate`) and measure each source before and after; means by noise, gender and voices.

    Before is the mixture itself. Estimates are given to sources so that the mean SI-SDR is highest. A silent source is in no mean
    and is counted. Mixtures are rendered, and measured, at the rate of the model.

    Args:
        model: A name, a file, a loaded model, or None for the bundled one.
        mixtures: Recipes of two voices (.jsonl), or a manifest of ready-made mixtures.
        root: The folder that its paths are relative to; a manifest's own by default.
        where: Take rows of a manifest with these values.
        limit: Take the first so many mixtures.
        metrics: Out of si_sdr, sdr, pesq (wide band at 16 kHz, narrow band at 8), stoi, estoi, dnsmos (overall).
        output: Where to write the result as JSON.
        rows: Where to write the measures of each source as CSV.
        report: Where to write a page, .html or .md.
        window, overlap, tracking: How to separate, see `voxid.separate`.
        device: "auto", "cpu", "cuda", ...
        imports: Allow a model file whose parts go by an import path. Importing runs code: only for files that you trust.
        progress: A bar on stderr.

    Raises:
        DataError: A list or recordings that cannot be read, mixtures of more sources than the model gives, a file that cannot be
            written.
        ModelError: A model that cannot be loaded, or is not for separation.
        ConfigError: A value out of its range, a measure whose package is missing (``E_EXTRA``).
    """
    places = Places(output, rows, report)
    places.check()
    listed = MixtureList(mixtures, root, where=where, limit=limit)
    listed.check(Separation)
    net: Any = load(model, kind="separation", device=device, imports=imports)
    check_metrics(metrics, net.sample_rate)
    if listed.num_sources > net.num_sources:
        raise DataError(f"{mixtures}: mixtures of {listed.num_sources} sources, and the model gives {net.num_sources}", CODE)
    settings: dict[str, Any] = {"window": window, "overlap": overlap, "tracking": tracking}

    def split(mixture: NDArray) -> NDArray:
        found = separate((mixture, net.sample_rate), model=net, **settings).waveforms
        assert found is not None  # no output was named
        return found

    result = run(net, listed, split, label=labels, metrics=metrics, settings=settings, progress=progress)
    places.write(result)
    return result


def labels(item: Item) -> tuple[Label, ...]:
    """What a mixture counts among: with noise or not, of one gender or two where it is known, of how many voices."""
    noise, mixture = (float(np.square(part, dtype=np.float64).sum()) for part in (item.rendered.noise, item.rendered.mixture))
    found = [Label(1, "noise") if noise > NO_NOISE * mixture else Label(0, "no noise")]
    if isinstance(item.recipe, Separation) and item.recipe.same_gender is not None:
        found.append(Label(2, "same gender") if item.recipe.same_gender else Label(3, "two genders"))
    voices = int(item.rendered.sources.any(axis=1).sum())
    if item.recipe is None:
        found.append(Label(3 + voices, f"{voices} voice{'s' if voices > 1 else ''}"))
    return tuple(found)
