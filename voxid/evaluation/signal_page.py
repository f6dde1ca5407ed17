"""An evaluation of enhancement or separation as a page, HTML or Markdown."""

from __future__ import annotations

import html
from pathlib import Path

from voxid.atomic import replacing
from voxid.errors import ConfigError, DataError
from voxid.evaluation.page import PAGES, STYLE
from voxid.evaluation.signal_report import SignalEvaluation


def check_signal_page(report: str | Path | None) -> None:
    """Raise `ConfigError` (``E_FORMAT``) for a page of another kind."""
    if report is not None and Path(report).suffix not in PAGES:
        raise ConfigError(f"{report}: a report is a page, {' or '.join(PAGES)}; --output writes JSON, --rows CSV", "E_FORMAT")


def write_signal_page(path: str | Path, result: SignalEvaluation) -> None:
    """Write facts and table as a page, whole or not at all."""
    text = _markdown(result) if Path(path).suffix == ".md" else _html(result)
    with replacing(path, DataError) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _title(result: SignalEvaluation) -> str:
    return f"{result.task.capitalize()}: {result.model.get('name') or 'model'} on {Path(result.mixtures).name}"


def _html(result: SignalEvaluation) -> str:
    title = html.escape(_title(result))
    facts = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>\n" for name, text in result.facts())
    first, second, *rows = result.table()
    wide = "".join(f'<th colspan="3">{html.escape(name)}</th>' for name in first[2::3])
    head = f"<tr><th></th><th></th>{wide}</tr>\n<tr>{''.join(f'<th>{html.escape(name)}</th>' for name in second)}</tr>\n"
    body = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
    top = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style></head>\n'
    return (
        f"{top}<body><h1>{title}</h1>\n<table>\n{facts}</table>\n<h2>Means</h2>\n<table>\n{head}{body}</table>\n</body></html>\n"
    )


def _markdown(result: SignalEvaluation) -> str:
    facts = "\n".join(f"| {name} | {_cell(text)} |" for name, text in result.facts())
    first, second, *rows = result.table()
    names = [first[2 + 3 * (column // 3)] for column in range(len(second) - 2)]
    head = ["", "n", *(f"{name}, {word}" for name, word in zip(names, second[2:], strict=True))]
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    table = "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)
    return f"# {_cell(_title(result))}\n\n| | |\n|---|---|\n{facts}\n\n{table}\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
