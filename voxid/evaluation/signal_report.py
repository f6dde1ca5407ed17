"""What an evaluation of enhancement or separation found: rows, means of groups, text, JSON and CSV."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from voxid.atomic import replacing
from voxid.data.table import write_table
from voxid.errors import DataError
from voxid.evaluation.report import named
from voxid.evaluation.signal_metrics import headings

Values = Mapping[str, float | None]
WORDS = {"enhancement": ("noisy", "enhanced", "gain"), "separation": ("mixture", "separated", "gain")}


class Label(NamedTuple):
    """Of a group of rows.

    Args:
        rank: Where it stands among the others.
        text: What it says.
    """

    rank: float
    text: str


@dataclass(frozen=True)
class SignalRow:
    """A source of a mixture: measures before and after, higher is better; None where one is not defined.

    Args:
        id: Of the mixture.
        source: Its number, from 1.
        seconds: Length of the mixture.
        groups: What it counts among.
        before: Of the mixture itself.
        after: Of what the model made of it.
    """

    id: str
    source: int
    seconds: float
    groups: tuple[Label, ...]
    before: Values
    after: Values


@dataclass(frozen=True)
class Figure:
    """Means of a measure over the rows that it is defined for; None over none.

    Args:
        before: Of the mixtures, over `compared` rows.
        after: Of what the model made of them, over `count` rows.
        improvement: Of one over the other, row by row, over `compared` rows.
        count: Rows with a value after.
        compared: Rows with a value before and after. Fewer than `count` where a mixture already was its only source.
    """

    before: float | None
    after: float | None
    improvement: float | None
    count: int
    compared: int


@dataclass(frozen=True)
class Group:
    """Rows that have something in common.

    Args:
        name: What, or ``all``.
        num_rows: How many, those of silent targets left out.
        figures: Means by measure.
    """

    name: str
    num_rows: int
    figures: Mapping[str, Figure]


@dataclass(frozen=True)
class SignalEvaluation:
    """Measures of an enhancement or separation model on mixtures; higher is better.

    Args:
        task: ``enhancement`` or ``separation``.
        model: Name and sha256 of the model.
        mixtures: The list, as it was named.
        sample_rate: Rate in Hz that was worked and measured at: the model's.
        settings: How the model was run.
        num_mixtures: How many.
        seconds: Their length together.
        num_silent: Sources that are silent, for which no measure is defined: they are in no mean.
        groups: Means; the last one is of all.
        rows: One a source that is not silent.
        warnings: What a reader of the figures must know.
    """

    task: str
    model: Mapping[str, Any]
    mixtures: str
    sample_rate: int
    settings: Mapping[str, Any]
    num_mixtures: int
    seconds: float
    num_silent: int
    groups: tuple[Group, ...]
    rows: tuple[SignalRow, ...]
    warnings: tuple[str, ...]

    @property
    def metrics(self) -> list[str]:
        """Names of the measures."""
        return list(self.groups[-1].figures)

    def facts(self) -> list[tuple[str, str]]:
        """Name and text of what the table says nothing of."""
        asked = ", ".join(f"{name} {value}" for name, value in self.settings.items() if value is not None)
        silent = f"; {self.num_silent} silent sources, in no mean" if self.num_silent else ""
        return [
            ("model", named(self.model)),
            *([("settings", asked)] if asked else []),
            ("mixtures", f"{self.mixtures}: {self.num_mixtures}, {self.seconds / 60:.1f} min at {self.sample_rate} Hz{silent}"),
            *(("warning", text) for text in self.warnings),
        ]

    def table(self) -> list[list[str]]:
        """Cells: two rows of headings, then one a group. A mean over fewer rows than its group has says over how many."""
        names = headings(self.metrics, self.sample_rate)
        head = [["", ""], ["", "n"]]
        for name in names.values():
            head[0] += [name, "", ""]
            head[1] += WORDS[self.task]
        return head + [[group.name, str(group.num_rows), *_cells(group)] for group in self.groups]

    def describe(self) -> str:
        """The result as text."""
        lines = [f"{name:<10}{text}" for name, text in self.facts()]
        return "\n".join([*lines, *_aligned(self.table())])


def grouped(rows: Sequence[SignalRow], metrics: Sequence[str]) -> tuple[Group, ...]:
    """Means of each group in the order of their ranks, and of all.

    Example:
        >>> rows = [SignalRow("0", 1, 4.0, (), {"si_sdr": 1.0}, {"si_sdr": 5.0})]
        >>> grouped(rows, ["si_sdr"])[0].figures["si_sdr"].improvement
        4.0
    """
    labels = sorted({label for row in rows for label in row.groups})
    some = [_group(label.text, [row for row in rows if label in row.groups], metrics) for label in labels]
    return (*some, _group("all", rows, metrics))


def plain(values: Mapping[str, float]) -> dict[str, float | None]:
    """Values with None in the place of what is not finite.

    Example:
        >>> plain({"pesq": float("nan")})
        {'pesq': None}
    """
    return {name: float(value) if math.isfinite(value) else None for name, value in values.items()}


def write_signal_result(path: str | Path, result: SignalEvaluation) -> None:
    """Write all fields as JSON, whole or not at all."""
    with replacing(path, DataError) as temporary:
        temporary.write_text(json.dumps(asdict(result), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_rows(path: str | Path, result: SignalEvaluation) -> None:
    """Write the rows as CSV: id, source, seconds, groups, and each measure before and after; empty where it is not defined."""
    header = ["id", "source", "seconds", "groups"]
    header += [f"{name}_{when}" for name in result.metrics for when in ("before", "after")]
    rows = []
    for row in result.rows:
        values = [side[name] for name in result.metrics for side in (row.before, row.after)]
        texts = ["" if value is None else f"{value:.6g}" for value in values]
        rows.append([row.id, str(row.source), f"{row.seconds:.6g}", "; ".join(label.text for label in row.groups), *texts])
    write_table(Path(path), header, rows)


def _group(name: str, rows: Sequence[SignalRow], metrics: Sequence[str]) -> Group:
    return Group(name, len(rows), {metric: _figure(rows, metric) for metric in metrics})


def _figure(rows: Sequence[SignalRow], metric: str) -> Figure:
    after = [value for row in rows if (value := row.after[metric]) is not None]
    pairs = [(old, new) for row in rows if (old := row.before[metric]) is not None and (new := row.after[metric]) is not None]
    return Figure(
        before=_mean([old for old, _ in pairs]),
        after=_mean(after),
        improvement=_mean([new - old for old, new in pairs]),
        count=len(after),
        compared=len(pairs),
    )


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None


def _cells(group: Group) -> list[str]:
    cells = []
    for name, figure in group.figures.items():
        digits = 2 if name not in ("stoi", "estoi") else 3
        cells += [
            _cell(figure.before, f".{digits}f", figure.compared, group.num_rows),
            _cell(figure.after, f".{digits}f", figure.count, group.num_rows),
            _cell(figure.improvement, f"+.{digits}f", figure.compared, group.num_rows),
        ]
    return cells


def _cell(value: float | None, form: str, count: int, whole: int) -> str:
    return "-" if value is None else f"{value:{form}}" + (f" ({count})" if count < whole else "")


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Lines of cells in columns; the first row's headings stand over three columns each."""
    below = table[1:]
    widths = [max(len(row[column]) for row in below) for column in range(len(below[0]))]
    for first in range(2, len(widths), 3):  # room for the heading above
        widths[first + 2] += max(0, len(table[0][first]) - sum(widths[first : first + 3]) - 4)
    top = " " * (widths[0] + 2 + widths[1])
    for first in range(2, len(widths), 3):
        top += "   " + table[0][first].center(sum(widths[first : first + 3]) + 4)
    lines = [top.rstrip()]
    for row in below:
        line = row[0].ljust(widths[0]) + "  " + row[1].rjust(widths[1])
        for column in range(2, len(widths)):
            line += ("   " if column % 3 == 2 else "  ") + row[column].rjust(widths[column])
        lines.append(line.rstrip())
    return lines
