"""The loop that an evaluation of enhancement and one of separation share: mixtures -> estimates -> measures -> a result."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from voxid.atomic import check_name
from voxid.data.prepare import check_place
from voxid.errors import ConfigError, DataError
from voxid.evaluation.mixture_list import Item, MixtureList
from voxid.evaluation.signal_metrics import measured
from voxid.evaluation.signal_page import check_signal_page, write_signal_page
from voxid.evaluation.signal_report import Label, SignalEvaluation, SignalRow, grouped, plain, write_rows, write_signal_result
from voxid.losses.permutation import best_order
from voxid.metrics.signal import si_sdr

Clean = Callable[[NDArray], NDArray]
# A bar on a terminal is drawn ten times a second; in a log file a line a minute is enough.
SHOWN_EVERY = {True: 0.1, False: 60.0}


@dataclass(frozen=True)
class Places:
    """Where the files go, None for nowhere: the result as JSON, the rows as CSV, a page as HTML or Markdown."""

    output: str | Path | None
    rows: str | Path | None
    report: str | Path | None

    def check(self) -> None:
        """Raise what would fail at the end, before the work.

        Raises:
            DataError: ``E_WRITE``.
            ConfigError: One place for two files; ``E_FORMAT``, a page of another kind.
        """
        places = [Path(place) for place in (self.output, self.rows, self.report) if place is not None]
        for place in places:
            check_place(place)
            check_name(place, DataError)
        if len({os.path.realpath(place) for place in places}) < len(places):
            raise ConfigError(f"output, rows and report share a place ({', '.join(map(str, places))}); choose one for each")
        check_signal_page(self.report)

    def write(self, result: SignalEvaluation) -> None:
        """Write what was asked for."""
        if self.rows is not None:
            write_rows(self.rows, result)
        if self.output is not None:
            write_signal_result(self.output, result)
        if self.report is not None:
            write_signal_page(self.report, result)


def run(
    net: Any,
    mixtures: MixtureList,
    clean: Clean,
    *,
    label: Callable[[Item], tuple[Label, ...]],
    metrics: Sequence[str],
    settings: Mapping[str, Any],
    progress: bool,
) -> SignalEvaluation:
    """Measure what `clean` makes of each mixture: [T] -> its sources [S, T], in any order, at the rate of the net.

    The estimates are given to the sources so that the mean SI-SDR is highest; silent sources take what is left.
    """
    rate, rows, seconds, silent = int(net.sample_rate), [], 0.0, 0
    with tqdm(total=len(mixtures), desc="measure", unit="mixture", **_bar(progress)) as bar:
        for item in mixtures.items(rate):
            found = _rows(item, clean(item.rendered.mixture), label(item), metrics, rate)
            silent += len(item.rendered.sources) - len(found)
            seconds += len(item.rendered.mixture) / rate
            rows += found
            bar.update()
            _say(bar, rows, metrics[0])
    card = getattr(net, "card", None) or {}
    return SignalEvaluation(
        task=str(net.kind),
        model={"name": card.get("name"), "sha256": card.get("sha256")},
        mixtures=str(mixtures.path),
        sample_rate=rate,
        settings=dict(settings),
        num_mixtures=len(mixtures),
        seconds=seconds,
        num_silent=silent,
        groups=grouped(rows, metrics),
        rows=tuple(rows),
        warnings=() if rows else ("all sources are silent: there is nothing to measure",),
    )


def matched(estimates: NDArray, targets: NDArray) -> NDArray[np.int64]:
    """Number of the estimate [S, T] of each target [R, T], R <= S, so that the mean SI-SDR over targets that sound is highest.

    Example:
        >>> targets = np.array([[1.0, -1.0, 1.0, -1.0], [0.0, 0.0, 0.0, 0.0], [1.0, 1.0, -1.0, -1.0]])
        >>> matched(targets[[2, 0, 1]], targets).tolist()
        [1, 2, 0]
    """
    ours, theirs = torch.from_numpy(np.array(estimates, np.float64)), torch.from_numpy(np.array(targets, np.float64))
    size = len(ours)
    pairs = si_sdr(ours[:, None].expand(size, len(theirs), -1), theirs[None].expand(size, len(theirs), -1))
    cost = torch.zeros(1, size, size, dtype=torch.float64)
    # An exact estimate has a ratio without bound: beyond what floats resolve, the order of the others decides.
    cost[0, :, : len(theirs)] = -torch.nan_to_num(pairs, nan=0.0).clamp(-300.0, 300.0)
    return best_order(cost)[1][0, : len(theirs)].numpy()


def _rows(item: Item, estimates: NDArray, groups: tuple[Label, ...], metrics: Sequence[str], rate: int) -> list[SignalRow]:
    """A row of each source that sounds."""
    mixture, targets = item.rendered.mixture, item.rendered.sources
    seconds = len(mixture) / rate
    rows = []
    for number, (target, place) in enumerate(zip(targets, matched(estimates, targets), strict=True), start=1):
        if target.any():
            before = plain(measured(metrics, mixture, target, rate))
            after = plain(measured(metrics, estimates[place], target, rate))
            rows.append(SignalRow(item.id, number, seconds, groups, before, after))
    return rows


def _bar(progress: bool) -> dict[str, Any]:
    return {"disable": not progress, "mininterval": SHOWN_EVERY[sys.stderr.isatty()]}


def _say(bar: tqdm, rows: Sequence[SignalRow], metric: str) -> None:
    """The mean gain so far behind the bar."""
    if bar.disable:
        return
    mean = grouped(rows, [metric])[-1].figures[metric].improvement
    if mean is not None:
        bar.set_postfix_str(f"{metric} {mean:+.2f}", refresh=False)
