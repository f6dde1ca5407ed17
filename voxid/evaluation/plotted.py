"""A figure that was written to a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voxid.atomic import check_name
from voxid.data.prepared import check_place
from voxid.errors import DataError
from voxid.extras import need
from voxid.plots.style import check_dpi, format_of, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150.0


@dataclass(frozen=True)
class Plotted:
    """What was drawn and where it lies.

    Args:
        kind: Of the plot.
        output: The file.
        format: png, svg or pdf.
    """

    kind: str
    output: str
    format: str


def check_output(output: str | Path, dpi: float) -> None:
    """What would fail at the end, before the work.

    Raises:
        ConfigError: ``E_FORMAT`` for a suffix, ``E_EXTRA`` without matplotlib, a `dpi` out of its range.
        DataError: ``E_WRITE``: a place that cannot be written.
    """
    format_of(output)
    check_dpi(dpi)
    check_place(Path(output))
    check_name(Path(output), DataError)
    need("matplotlib", extra="viz")


def written(kind: str, figure: Figure, output: str | Path, dpi: float) -> Plotted:
    """Write the figure, whole or not at all."""
    save(figure, output, dpi=dpi)
    return Plotted(kind, str(output), format_of(output))
