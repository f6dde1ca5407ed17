"""An evaluation to look at: its figures as files, and a page with figures and numbers, HTML or Markdown."""

from __future__ import annotations

import html
import io
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from numpy.typing import NDArray

from voxid.atomic import replacing
from voxid.data.prepare import check_place
from voxid.errors import ConfigError, DataError
from voxid.evaluation.report import Evaluation
from voxid.extras import need
from voxid.pipelines.system import Scored
from voxid.plots.calibration import calibration
from voxid.plots.detection import det, precision_recall, roc
from voxid.plots.score_histogram import score_histogram

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pictures = Mapping[str, bytes]
DPI = 110
PAGES = (".html", ".md")
CAPTIONS = {
    "det": "False rejects against false accepts; the circle is the EER, the cross the lowest cost at a prior of 0.01.",
    "roc": "True accepts against false accepts.",
    "precision_recall": "How many of those accepted are targets. It depends on the share of targets in the list.",
    "score_histogram": "Scores of both kinds of trials, and the threshold.",
    "calibration": (
        "Left: how often it was the same speaker, by what was said. Right: the cost at every prior, and the lowest possible."
    ),
}
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}"
    "td,th{text-align:left;padding:.25em 1em .25em 0;border-bottom:1px solid #ddd;vertical-align:top}"
    "img{max-width:100%}figure{margin:2em 0}figcaption{color:#555}"
)


def check_page(plots: str | Path | None, report: str | Path | None) -> None:
    """What would fail at the end, before the work.

    Raises:
        ConfigError: ``E_FORMAT`` for a page of another kind; ``E_EXTRA`` without matplotlib.
        DataError: ``E_WRITE``: a place that cannot be written.
    """
    if plots is None and report is None:
        return
    need("matplotlib", extra="viz")
    if plots is not None:
        _check_folder(Path(plots))
    if report is None:
        return
    page = Path(report)
    if page.suffix not in PAGES:
        raise ConfigError(f"{page}: a report is a page, {' or '.join(PAGES)}; --output writes JSON", "E_FORMAT")
    check_place(page)
    if page.suffix == ".md":
        _check_folder(_beside(page))


def drawn(scored: Scored, labels: NDArray, result: Evaluation) -> Pictures:
    """The figures as PNG, by their names."""
    return {name: _png(figure) for name, figure in figures(scored, labels, result)}


def write_figures(folder: str | Path, pictures: Pictures) -> None:
    """The figures as files of a folder, which is made where it is missing."""
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{place}: no folder for figures can be made ({error.strerror or error})", "E_WRITE") from error
    for name, picture in pictures.items():
        with replacing(place / f"{name}.png", DataError) as temporary:
            temporary.write_bytes(picture)


def write_page(path: str | Path, result: Evaluation, pictures: Pictures) -> None:
    """A page with the figures and the numbers, whole or not at all: HTML in one file, Markdown with the figures beside it."""
    path = Path(path)
    if path.suffix == ".md":
        write_figures(_beside(path), pictures)
        text = _markdown(result, [(name, f"{quote(_beside(path).name)}/{name}.png") for name in pictures])
    else:
        text = _html(result, [(name, f"data:image/png;base64,{b64encode(data).decode()}") for name, data in pictures.items()])
    with replacing(path, DataError) as temporary:
        temporary.write_text(text, encoding="utf-8")


def figures(scored: Scored, labels: NDArray, result: Evaluation) -> Iterator[tuple[str, Figure]]:
    """Name and figure, one after the other."""
    values = scored.decisive
    system = {result.model.get("name") or "model": (values, labels)}
    yield "det", det(system, p_target=0.01)
    yield "roc", roc(system, log=True)
    yield "precision_recall", precision_recall(system)
    unit = "score" if scored.llr is None else "log-likelihood ratio (nats)"
    yield "score_histogram", score_histogram(values, labels, threshold=result.threshold, unit=unit)
    if scored.llr is not None:
        yield "calibration", calibration(system)


def _check_folder(folder: Path) -> None:
    """Raise `DataError` where `write_figures` could not write: nothing is made yet."""
    for place in (folder, *folder.absolute().parents):
        try:
            place.stat()
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:  # too long a name, a file among its parents
            raise DataError(f"{folder}: no folder for figures can be made there ({error})", "E_WRITE") from error
        check_place(place / "det.png")
        return


def _beside(page: Path) -> Path:
    """The folder of a Markdown page's figures."""
    return page.with_name(f"{page.stem}_figures")


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return stream.getvalue()


def _title(result: Evaluation) -> str:
    return f"{result.model.get('name') or 'model'} on {Path(result.trial_list).name or 'trials'}"


def _html(result: Evaluation, images: list[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>\n" for name, text in result.rows())
    shown = "".join(
        f'<figure><img alt="{name}" src="{source}"><figcaption>{html.escape(CAPTIONS[name])}</figcaption></figure>\n'
        for name, source in images
    )
    title = html.escape(_title(result))
    head = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style></head>\n'
    return f"{head}<body><h1>{title}</h1>\n<table>\n{rows}</table>\n{shown}</body></html>\n"


def _markdown(result: Evaluation, images: list[tuple[str, str]]) -> str:
    rows = "\n".join(f"| {name} | {_cell(text)} |" for name, text in result.rows())
    shown = "\n\n".join(f"![{name}]({source})\n\n{CAPTIONS[name]}" for name, source in images)
    return f"# {_cell(_title(result))}\n\n| | |\n|---|---|\n{rows}\n\n{shown}\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
