"""An enhancement model and mixtures of known parts -> how much nearer to the clean voice they come, by SNR."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from voxid.data.mixtures import CODE, Enhancement
from voxid.errors import DataError
from voxid.evaluation.mixture_list import Item, MixtureList
from voxid.evaluation.signal_metrics import USUAL, check_metrics
from voxid.evaluation.signal_report import Label, SignalEvaluation
from voxid.evaluation.signal_run import Places, run
from voxid.pipelines.enhance import enhance
from voxid.zoo.load import load

BIN = 5.0  # dB; mixtures whose SNR was drawn from a range are taken together in steps of it
MOST_LEVELS = 12  # a list with more different SNRs has them from a range


def evaluate_enhancement(
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
    wet: float = 1.0,
    max_attenuation: float | None = None,
    below_snr: float | None = None,
    device: str = "auto",
    imports: bool = False,
    progress: bool = True,
) -> SignalEvaluation:
    """Enhance every mixture (`voxid.enhance`) and measure it before and after, against the voice that is in it; means by SNR.

    Mixtures are rendered, and measured, at the rate of the model.

    Args:
        model: A name, a file, a loaded model, or None for the bundled one.
        mixtures: Recipes of noisy speech (.jsonl), or a manifest of ready-made mixtures of one source.
        root: The folder that its paths are relative to; a manifest's own by default.
        where: Take rows of a manifest with these values.
        limit: Take the first so many mixtures.
        metrics: Out of si_sdr, sdr, pesq (wide band at 16 kHz, narrow band at 8), stoi, estoi, dnsmos (overall).
        output: Where to write the result as JSON.
        rows: Where to write the measures of each mixture as CSV.
        report: Where to write a page, .html or .md.
        window, overlap, wet, max_attenuation, below_snr: How to enhance, see `voxid.enhance`.
        device: "auto", "cpu", "cuda", ...
        imports: Allow a model file whose parts go by an import path. Importing runs code: only for files that you trust.
        progress: A bar on stderr.

    Raises:
        DataError: A list or recordings that cannot be read, mixtures of several sources, a file that cannot be written.
        ModelError: A model that cannot be loaded, or is not for enhancement.
        ConfigError: A value out of its range, a measure whose package is missing (``E_EXTRA``).
    """
    places = Places(output, rows, report)
    places.check()
    listed = MixtureList(mixtures, root, where=where, limit=limit)
    listed.check(Enhancement)
    if not listed.recipes and listed.num_sources != 1:
        raise DataError(f"{mixtures}: mixtures of {listed.num_sources} sources; enhancement is measured on one voice", CODE)
    net: Any = load(model, kind="enhancement", device=device, imports=imports)
    check_metrics(metrics, net.sample_rate)
    settings: dict[str, Any] = {"window": window, "overlap": overlap, "wet": wet}
    settings |= {"max_attenuation": max_attenuation, "below_snr": below_snr}

    def clean(mixture: NDArray) -> NDArray:
        found = enhance((mixture, net.sample_rate), model=net, **settings).waveform
        assert found is not None  # no output was named
        return found[None]

    result = run(net, listed, clean, label=_label(listed), metrics=metrics, settings=settings, progress=progress)
    places.write(result)
    return result


def _label(listed: MixtureList) -> Callable[[Item], tuple[Label, ...]]:
    """How a mixture is named by its SNR: the one of its recipe, or a range where the list has many, or it must be measured."""
    levels = {recipe.snr_db for recipe in listed.recipes if isinstance(recipe, Enhancement)}
    if 0 < len(levels) <= MOST_LEVELS:
        return lambda item: (_exact(item),)
    return lambda item: (_range(measured_snr(item)),)


def measured_snr(item: Item) -> float:
    """Power of the voice over that of the noise, in dB; inf without noise, -inf without a voice."""
    voice, noise = (float(np.square(part, dtype=np.float64).sum()) for part in (item.rendered.sources, item.rendered.noise))
    if not noise:
        return math.inf
    return 10.0 * math.log10(voice / noise) if voice else -math.inf


def _exact(item: Item) -> Label:
    level = item.recipe.snr_db if isinstance(item.recipe, Enhancement) else math.nan
    return Label(level, f"{level:g} dB")


def _range(level: float) -> Label:
    if math.isinf(level):
        return Label(level, "no noise" if level > 0 else "no voice")
    low = BIN * math.floor(level / BIN)
    return Label(low, f"{low:g} to {low + BIN:g} dB")
