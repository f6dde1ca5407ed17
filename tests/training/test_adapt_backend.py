"""A back-end for another domain: the file holds what `Backend.adapt` gives, Kaldi's own files are taken too."""

from __future__ import annotations

import numpy as np
import pytest

from voxid.cli import main
from voxid.data.embeddings import save_embeddings
from voxid.errors import ConfigError
from voxid.scoring.backend import build_backend
from voxid.scoring.plda_adapt import adapt_plda
from voxid.training.adapt_backend import adapt_backend
from voxid.zoo.backend import backend_card, load_backend, save_backend
from voxid.zoo.plda_files import read_plda, write_kaldi_plda

RNG = np.random.default_rng(0)
SPEAKERS = np.repeat(np.arange(40), 5)
ROWS = RNG.normal(size=(40, 4)).repeat(5, axis=0) * 2 + RNG.normal(size=(200, 4))
OTHER = (3 * RNG.normal(size=(500, 4)) + 1).astype(np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_embeddings("new.safetensors", [f"{place}.wav" for place in range(500)], OTHER, {})
    fitted = build_backend("gplda").fit(ROWS, SPEAKERS)
    save_backend("b.safetensors", fitted, {"kind": "gplda"})
    return fitted


def test_the_shell_writes_what_python_computes(folder) -> None:
    assert main(["train", "adapt", "b.safetensors", "--embeddings", "new.safetensors", "-o", "a.safetensors"]) == 0
    adapted = load_backend("a.safetensors")
    expected = adapt_plda(folder.scorer, folder.transform(OTHER))
    np.testing.assert_allclose(adapted.scorer.model.within, expected.model.within, rtol=1e-9)
    np.testing.assert_allclose(adapted.scorer.model.mean, folder.transform(OTHER).mean(axis=0), rtol=1e-9)
    assert backend_card("a.safetensors") == {"kind": "gplda", "adapted_to": 500}
    assert not np.allclose(adapted.score(ROWS[:5], ROWS[5:10]), folder.score(ROWS[:5], ROWS[5:10]))


def test_a_plda_of_kaldi_is_a_back_end(folder) -> None:
    write_kaldi_plda("plda", folder.scorer)
    imported, direct = load_backend("plda"), read_plda("plda", length_norm="kaldi")
    pairs = np.arange(20)
    np.testing.assert_array_equal(
        imported.score(ROWS[:20], ROWS[20:40]), direct.score_trials(ROWS[:20], ROWS[20:40], pairs, pairs)
    )
    result = adapt_backend("plda", embeddings="new.safetensors", output="k.safetensors", within_covar_scale=0.3)
    assert result.parts == ("plda",)
    assert load_backend("k.safetensors").scorer.length_norm == "kaldi"


def test_what_cannot_be_adapted_is_said(folder, capsys) -> None:
    with pytest.raises(ConfigError, match="only the scorer 'plda'"):
        adapt_backend("cosine", embeddings="new.safetensors", output="c.safetensors")
    assert main(["train", "adapt", "b.safetensors", "--embeddings", "none.safetensors", "-o", "c.safetensors"]) == 2
    assert "none.safetensors" in capsys.readouterr().err
