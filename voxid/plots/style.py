"""What the figures share: a canvas that needs no screen, colours and lines that differ in print too, and files of them.

Nothing here touches pyplot or rcParams: figures may be made in several threads at once, and are freed as any other object.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxid.atomic import check_name, replacing
from voxid.errors import ConfigError, DataError
from voxid.extras import need

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito, "Color universal design", 2008; their yellow is left out, it is lost on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (7, 1.5, 1.2, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
GREY = "#8c8c8c"
MAP = "viridis"  # rises in lightness from end to end, so that it reads in grey
FORMATS = ("png", "svg", "pdf")
# Fonts for letters that matplotlib's own lacks; whichever of them the machine has.
FALLBACKS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "PingFang SC", "Microsoft YaHei")
# Axes of matplotlib, or a figure that is being drawn: the hints of its methods change from version to version.
Panel = Any
BARE = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}  # the same figure gives the same file


def new_figure(width: float = 6.4, height: float = 4.4) -> Any:
    """An empty figure of this size in inches; its parts make room for each other.

    Raises:
        ConfigError: ``E_EXTRA``: matplotlib is not installed.
    """
    need("matplotlib", extra="viz")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def look(number: int) -> dict[str, Any]:
    """Colour and line style of the n-th line; 35 differ."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": LINES[(number + number // 35) % len(LINES)]}


def label(axes: Panel, x: str, y: str, title: str | None = None, *, grid: bool = True) -> None:
    """Name what the axes show and in which unit; a quiet grid behind the data."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if title:
        axes.set_title(shown(title), fontsize=11)
    if grid:
        axes.set_axisbelow(True)
        axes.grid(True, color="#d9d9d9", linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def legend(axes: Panel, **options: Any) -> None:
    """A legend of what has a name."""
    settings = {"fontsize": 9, "framealpha": 0.9, "edgecolor": "#cccccc", "handlelength": 3.0} | options
    axes.legend(**settings)


def legend_below(axes: Panel, **options: Any) -> None:
    """A legend under the axes, where it hides no line."""
    legend(axes, **{"loc": "upper center", "bbox_to_anchor": (0.5, -0.12), "frameon": False} | options)


def shown(text: object, width: int = 80) -> str:
    """Text of a user as matplotlib draws it letter for letter: no formula, no line end, no letter that the fonts lack.

    Example:
        >>> shown("cost in $, €"), shown("_hidden")
        ('cost in \\\\$, €', ' _hidden')
    """
    plain = "".join(letter if letter.isprintable() and _drawn(letter) else _escaped(letter) for letter in str(text))
    plain = plain if len(plain) <= width else f"{plain[: width - 1]}…"
    plain = plain.replace("$", r"\$")
    return f" {plain}" if plain.startswith("_") else plain  # a name with this first letter has no place in a legend


def families() -> list[str]:
    """Fonts to draw with, the first that has a letter draws it."""
    return [name for name, _ in _fonts()]


@functools.cache
def _fonts() -> tuple[tuple[str, frozenset[int]], ...]:
    need("matplotlib", extra="viz")
    from matplotlib.font_manager import fontManager, get_font

    places = {entry.name: entry.fname for entry in reversed(fontManager.ttflist) if entry.style == "normal"}
    wanted = [name for name in ("DejaVu Sans", *FALLBACKS) if name in places]
    return tuple((name, frozenset(get_font(places[name]).get_charmap())) for name in wanted)


def _drawn(letter: str) -> bool:
    return letter.isascii() or any(ord(letter) in letters for _, letters in _fonts())


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()


def finish(figure: Figure) -> Figure:
    """The figure, its texts in fonts that have their letters."""
    if len(families()) > 1:
        from matplotlib.text import Text

        for text in figure.findobj(Text):
            text.set_fontfamily(families())
    return figure


def names_of(systems: Mapping[str, Any] | Sequence[Any], what: str) -> list[str]:
    """The keys of a mapping, checked to be some.

    Raises:
        DataError: ``E_SHAPE``: no entry, or no mapping.
    """
    if not isinstance(systems, Mapping) or not systems:
        raise DataError(
            f"expected a mapping from a name to {what}, with an entry or more, got {type(systems).__name__}", "E_SHAPE"
        )
    return [str(name) for name in systems]


def format_of(path: str | Path) -> str:
    """The format that a file name asks for; said before the work is done.

    Raises:
        ConfigError: ``E_FORMAT``: a suffix that is none of png, svg and pdf.

    Example:
        >>> format_of("det.SVG")
        'svg'
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise ConfigError(f"{path}: a figure is written as .{', .'.join(FORMATS)}; choose one of these endings", "E_FORMAT")
    return suffix


def check_dpi(dpi: float) -> None:
    """Raise `ConfigError` for a resolution outside 20 ... 1200 pixels an inch."""
    if not 20 <= dpi <= 1200:
        raise ConfigError(f"dpi lies within 20 ... 1200, got {dpi}")


def save(figure: Figure, path: str | Path, *, dpi: float = 150) -> None:
    """Write a figure as PNG, SVG or PDF, by the suffix; whole or not at all.

    Args:
        dpi: Pixels an inch, of PNG and of the pictures inside the others.

    Raises:
        ConfigError: ``E_FORMAT``, or a `dpi` outside 20 ... 1200.
        DataError: ``E_DISK_FULL`` or ``E_WRITE``.
    """
    kind = format_of(path)
    check_dpi(dpi)
    check_name(Path(path), DataError)
    with replacing(path, DataError) as temporary:
        figure.savefig(temporary, format=kind, dpi=dpi, metadata=BARE[kind])
