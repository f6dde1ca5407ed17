"""Files of figures, colours that differ, texts of users as they are, and no trace left behind."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from voxid.errors import ConfigError, DataError
from voxid.plots import style
from voxid.plots.signal import waveform

ROOT = Path(__file__).resolve().parents[2]


def step() -> object:
    return waveform(np.ones(80), 8000, title="a step")


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml"), ("a.pdf", b"%PDF")])
def test_the_suffix_is_the_format_and_equal_figures_are_equal_files(tmp_path: Path, name: str, start: bytes) -> None:
    style.save(step(), tmp_path / name)
    style.save(step(), tmp_path / f"b{name}")
    first, second = (tmp_path / name).read_bytes(), (tmp_path / f"b{name}").read_bytes()
    assert first.startswith(start)
    if not name.endswith("SVG"):  # names of its inner parts are drawn by chance
        assert first == second


def test_dpi_sets_the_pixels(tmp_path: Path) -> None:
    figure = style.new_figure(4.0, 3.0)
    style.save(figure, tmp_path / "a.png", dpi=50)
    assert Image.open(tmp_path / "a.png").size == (200, 150)


@pytest.mark.parametrize(("name", "dpi", "code"), [("a.gif", 100, "E_FORMAT"), ("a", 100, "E_FORMAT"), ("a.png", 5, "E_CONFIG")])
def test_what_cannot_be_written_is_said(tmp_path: Path, name: str, dpi: float, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        style.save(step(), tmp_path / name, dpi=dpi)
    assert caught.value.code == code
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_no_file_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    for place in (tmp_path / "a.png", tmp_path / "none" / "a.png"):
        with pytest.raises(DataError, match=r"cannot be written|not a regular file"):
            style.save(step(), place)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_failed_drawing_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_text("before")
    figure = step()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(DataError, match="disk is full"):
        style.save(figure, tmp_path / "a.png")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_lines_differ_in_style_or_colour_and_neighbours_in_both() -> None:
    looks = [tuple(style.look(number).values()) for number in range(35)]
    assert len(set(map(str, looks))) == 35
    for first, second in pairwise(looks):
        assert first[0] != second[0]
        assert first[1] != second[1]


@pytest.mark.parametrize("text", ["costs $5 and $6", "_hidden", "100 % \\alpha", "a\nb", "中文", "x" * 500, "$", "\u200b"])
def test_texts_of_users_are_drawn_letter_for_letter(readable, text: str) -> None:
    figure = readable(waveform(np.ones((2, 80)), 8000, labels=[text, "b"], title=text))
    shown = figure.get_suptitle()
    assert "\n" not in shown
    assert len(shown) <= 90
    if text.isascii() and text.isprintable() and len(text) < 80:
        assert shown.replace("\\$", "$").strip() == text


def test_a_name_with_an_underscore_keeps_its_place_in_a_legend() -> None:
    axes = style.new_figure().add_subplot()
    axes.plot([0, 1], [0, 1], label=style.shown("_mine"))
    style.legend(axes)
    assert [text.get_text().strip() for text in axes.get_legend().get_texts()] == ["_mine"]


def test_figures_are_freed_and_pyplot_stays_out() -> None:
    code = (
        "import sys, numpy as np, matplotlib\n"
        "def settings(): return {key: str(dict.__getitem__(matplotlib.rcParams, key)) for key in matplotlib.rcParams}\n"
        "before = settings()\n"
        "from voxid.plots import signal, detection\n"
        "signal.spectrogram_3d(np.ones(8000), 8000).canvas.draw()\n"
        "detection.det({'a': ([1., 0.], [1, 0])}).canvas.draw()\n"
        "assert 'matplotlib.pyplot' not in sys.modules, 'pyplot'\n"
        "assert settings() == before, 'settings'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    figure = step()
    figure.canvas.draw()
    gone = weakref.ref(figure)
    del figure
    gc.collect()
    assert gone() is None


def test_threads_draw_side_by_side(tmp_path: Path) -> None:
    style.save(step(), tmp_path / "alone.png")
    places = [tmp_path / f"{number}.png" for number in range(6)]
    threads = [threading.Thread(target=lambda place=place: style.save(step(), place)) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {place.read_bytes() for place in places} == {(tmp_path / "alone.png").read_bytes()}


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"voxid\[viz\]") as caught:
        style.new_figure()
    assert caught.value.code == "E_EXTRA"
