"""The sub-commands' tree, and the options that several of them share."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import App, Parameter

from voxid import __version__
from voxid.errors import ConfigError

app = App(name="voxid", version=__version__, help="Who spoke, when, and can the answer be trusted?", help_format="plaintext")
prepare_app = App(name="prepare", help="Make manifests of folders, and trial lists of manifests.", help_format="plaintext")
evaluate_app = App(name="evaluate", help="Measure models.", help_format="plaintext")
train_app = App(name="train", help="Train models and back-ends.", help_format="plaintext")
plot_app = App(name="plot", help="Draw a figure: PNG, SVG or PDF, by the suffix of the output.", help_format="plaintext")
calibrate_app = App(name="calibrate", help="Make log-likelihood ratios of scores.", help_format="plaintext")
models_app = App(name="models", help="The models that voxid knows.", help_format="plaintext")
app.command(prepare_app)
app.command(evaluate_app)
app.command(train_app)
app.command(calibrate_app)
app.command(plot_app)
app.command(models_app)

Norm = Literal["none", "z", "t", "s", "as"]
Output = Annotated[str, Parameter(name=["--output", "-o"])]
Words = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")]
Imports = Annotated[
    bool, Parameter(name="--imports", negative="", help="Allow parts that go by an import path; importing runs code.")
]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print the result as JSON.")]


def conditions(words: tuple[str, ...]) -> dict[str, list[str]]:
    """What ``--where`` takes: split=test lang=fr lang=de -> {"split": ["test"], "lang": ["fr", "de"]}."""
    out: dict[str, list[str]] = {}
    for word in words:
        column, equals, value = word.partition("=")
        if not equals:
            raise ConfigError(f"--where takes column=value, got {word!r}")
        out.setdefault(column, []).append(value)
    return out
