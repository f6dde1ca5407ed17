"""Figures and pages of an evaluation: drawn, well formed, and beside or inside the page."""

import base64
import io
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from voxid.errors import ConfigError
from voxid.evaluation.evaluate import evaluate
from voxid.models import checkpoint
from voxid.scoring.calibration import Calibration


def run(net, corpus, **options):
    return evaluate(net, **{"trials": corpus / "list.trials", "root": corpus, "progress": False, **options})


CALIBRATED = ["det", "roc", "precision_recall", "score_histogram", "calibration"]


def picture(data):
    """Height, width and variety of a PNG, by an independent reader."""
    from matplotlib.image import imread

    pixels = imread(io.BytesIO(data), format="png")
    return pixels.shape[:2], len(np.unique(pixels[..., :3].reshape(-1, 3), axis=0))


def looks_drawn(data):
    (height, width), colours = picture(data)
    return min(height, width) > 300 and colours > 20


def test_figures_are_written_into_a_folder(net, corpus, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra viz")
    run(net, corpus, plots=tmp_path / "new" / "figures", bootstrap=0)
    found = {file.stem: file.read_bytes() for file in (tmp_path / "new" / "figures").iterdir()}
    assert sorted(found) == sorted(CALIBRATED[:-1])  # no calibration to draw
    assert all(looks_drawn(data) for data in found.values())


class Page(HTMLParser):
    """What a page holds, by a parser of its own."""

    def __init__(self, text):
        super().__init__()
        self.images, self.cells, self.open, self.closed = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.images.append(dict(attrs))
        elif tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag  # well nested
        self.closed.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th", "title", "figcaption"):
            self.cells.append(data)


def test_a_page_of_html_holds_figures_and_figures_of_speech_do_no_harm(net, corpus, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra viz")
    card = {"name": "<script>alert(1)</script>", "calibration": Calibration((30.0,), -29.0, source="a & b").to_card()}
    checkpoint.save(net, tmp_path / "m.safetensors", card=card)
    result = run(tmp_path / "m.safetensors", corpus, report=tmp_path / "r.html", bootstrap=0)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert "script" not in page.closed
    assert [image["alt"] for image in page.images] == CALIBRATED
    for image in page.images:
        kind, _, data = image["src"].partition(",")
        assert kind == "data:image/png;base64"
        assert looks_drawn(base64.b64decode(data, validate=True))
    assert page.cells[0] == "<script>alert(1)</script> on list.trials"
    told = dict(result.rows())
    assert told["scored by"] == "cosine, calibrated on a & b"
    assert all(value in page.cells for pair in told.items() for value in pair)
    assert [file.name for file in tmp_path.iterdir() if file.suffix != ".safetensors"] == ["r.html"]


def test_a_page_of_markdown_has_its_figures_beside_it(net, corpus, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra viz")
    result = run(net, corpus, report=tmp_path / "my page.md", plots=tmp_path / "p", bootstrap=0)
    text = (tmp_path / "my page.md").read_text(encoding="utf-8")
    assert text.startswith("# model on list.trials\n")
    assert [line.split("](")[1].rstrip(")") for line in text.splitlines() if line.startswith("![")] == [
        f"my%20page_figures/{name}.png" for name in CALIBRATED[:-1]
    ]
    for name in CALIBRATED[:-1]:
        assert looks_drawn((tmp_path / "my page_figures" / f"{name}.png").read_bytes())
    for name, value in result.rows():
        assert f"| {name} | {value} |" in text


@pytest.mark.parametrize("scores", [[0.9, 0.8, 0.1, 0.2], [0.5] * 4], ids=["parted", "tied"])
def test_scores_without_a_curve_are_drawn_too(net, corpus, trials, tmp_path, scores, monkeypatch):
    pytest.importorskip("matplotlib", reason="needs the extra viz")
    asked = [t for t in trials if t.label][:2] + [t for t in trials if not t.label][:2]
    monkeypatch.setattr("voxid.scoring.backend.Backend.score_trials", lambda *_: np.array(scores))
    net.card = {"calibration": Calibration((30.0,), -15.0, source="dev").to_card()}
    try:
        result = run(net, corpus, trials=asked, plots=tmp_path, bootstrap=0)
    finally:
        net.card = {}
    assert result.eer == {0.9: 0, 0.5: 0.5}[scores[0]]
    assert all(looks_drawn(file.read_bytes()) for file in tmp_path.iterdir())


def test_without_matplotlib_a_page_is_refused_before_the_work(net, corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("voxid.evaluation.evaluate.embed_files", lambda *a, **k: pytest.fail("it began to work"))
    with pytest.raises(ConfigError, match="viz") as caught:
        run(net, corpus, report=tmp_path / "r.html")
    assert caught.value.code == "E_EXTRA"
