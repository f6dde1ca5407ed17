"""A system: model, back-end, calibration, and what of it belongs together."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from voxid.data.embeddings import Embeddings, save_embeddings
from voxid.errors import ConfigError, DataError, ModelError
from voxid.models import checkpoint
from voxid.models.speaker.encoder import SpeakerEncoder
from voxid.pipelines.embed import embed
from voxid.pipelines.system import build_system
from voxid.scoring.backend import Backend, build_backend
from voxid.scoring.calibration import Calibration, fit_pav
from voxid.zoo.backend import save_backend

D = 8
POINTS = [{"far": 0.01, "threshold": 2.0, "frr": 0.2}, {"far": 0.1, "threshold": -1.0, "frr": 0.1}]


@pytest.fixture(scope="module")
def net() -> SpeakerEncoder:
    torch.manual_seed(0)
    return SpeakerEncoder(backbone={"name": "ecapa_tdnn", "channels": 16, "output_dim": 32}, embedding_dim=D).eval()


@pytest.fixture(scope="module")
def training() -> tuple[np.ndarray, np.ndarray]:
    """Embeddings [240, D] of 30 speakers, two-covariance Gaussian, and the speakers."""
    random = np.random.default_rng(0)
    return random.normal(0, 2, (30, D)).repeat(8, axis=0) + random.normal(size=(240, D)), np.arange(30).repeat(8)


@pytest.fixture(scope="module")
def done() -> Embeddings:
    """Ten recordings that no training knows."""
    random = np.random.default_rng(1)
    facts = {"seconds": random.uniform(1, 9, 10), "snr_db": random.uniform(5, 30, 10)}
    rows = random.normal(size=(10, D)).astype(np.float32)
    return Embeddings(tuple(f"{number}.wav" for number in range(10)), rows, {}, {}, facts)


@pytest.fixture
def calibrated(net: SpeakerEncoder, tmp_path: Path) -> Path:
    """A model file with a calibration and thresholds."""
    card = {"calibration": Calibration((10.0,), -4.0, source="dev").to_card(), "thresholds": {"source": "dev", "points": POINTS}}
    checkpoint.save(net, tmp_path / "calibrated.safetensors", card={"name": "tiny"} | card)
    return tmp_path / "calibrated.safetensors"


def cosines(rows: np.ndarray, enrol: list[int], test: list[int]) -> np.ndarray:
    unit = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return np.sum(unit[enrol] * unit[test], axis=1)


ENROL, TEST = [0, 1, 2, 9], [3, 4, 5, 0]


def test_a_plain_model_scores_by_the_cosine(net: SpeakerEncoder, done: Embeddings) -> None:
    system = build_system(net)
    scored = system.score(done, ENROL, TEST)
    assert scored.scores == pytest.approx(cosines(done.embeddings, ENROL, TEST), abs=1e-6)
    assert (scored.llr, scored.quality, system.unit) == (None, None, "score")
    assert scored.decisive is scored.scores
    assert (system.describe(), system.points(), system.notes) == ("cosine", ([], ""), ())


def test_the_calibration_of_the_file_is_used(calibrated: Path, done: Embeddings) -> None:
    system = build_system(calibrated)
    scored = system.score(done, ENROL, TEST)
    assert scored.llr == pytest.approx(10 * cosines(done.embeddings, ENROL, TEST) - 4, abs=1e-5)
    assert scored.decisive is scored.llr
    assert (system.unit, system.points()) == ("log-likelihood ratio", (POINTS, "dev"))
    assert system.describe() == "cosine, calibrated on dev"


def test_the_back_end_of_the_file_is_used(
    net: SpeakerEncoder, done: Embeddings, training: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    backend = build_backend({"transforms": ["center"], "scorer": "plda", "norm": {"name": "as", "top": 10}}).fit(*training)
    checkpoint.save(net, tmp_path / "m.safetensors", backend=backend)
    save_backend(tmp_path / "b.safetensors", backend)
    expected = backend.score(done.embeddings[ENROL], done.embeddings[TEST])
    inside, beside = build_system(tmp_path / "m.safetensors"), build_system(net, backend=tmp_path / "b.safetensors")
    for system in (inside, beside):
        assert system.score(done, ENROL, TEST).scores == pytest.approx(expected, abs=1e-9)
        assert system.describe() == "center, plda, as-norm"
    plain = build_system(tmp_path / "m.safetensors", backend="cosine").score(done, ENROL, TEST)
    assert plain.scores == pytest.approx(cosines(done.embeddings, ENROL, TEST), abs=1e-6)
    bare = build_system(tmp_path / "m.safetensors", norm="none").score(done, ENROL, TEST)
    assert bare.scores == pytest.approx(backend.with_norm(None).score(done.embeddings[ENROL], done.embeddings[TEST]), abs=1e-9)


def test_normalisation_by_a_file_of_embeddings(
    net: SpeakerEncoder, done: Embeddings, training: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    others = training[0][::9].astype(np.float32)
    save_embeddings(tmp_path / "c.safetensors", [str(number) for number in range(len(others))], others, {})
    system = build_system(net, norm="as", top=5, cohort=tmp_path / "c.safetensors")
    unit = done.embeddings.astype(np.float64) / np.linalg.norm(done.embeddings, axis=1, keepdims=True)
    against = unit @ (others / np.linalg.norm(others, axis=1, keepdims=True)).T
    highest = np.sort(against, axis=1)[:, -5:]
    mean, std = highest.mean(axis=1), highest.std(axis=1)
    score = cosines(done.embeddings, ENROL, TEST)
    expected = ((score - mean[ENROL]) / std[ENROL] + (score - mean[TEST]) / std[TEST]) / 2
    assert system.score(done, ENROL, TEST).scores == pytest.approx(expected, rel=1e-4)
    assert (system.describe(), system.notes) == ("cosine, as-norm", ())


def test_a_cohort_of_a_manifest_is_the_mean_of_each_speaker(net: SpeakerEncoder, done: Embeddings, tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    lines = []
    for number in range(6):
        soundfile.write(tmp_path / f"{number}.wav", random.normal(0, 0.1, 6000), 16000, subtype="FLOAT")
        lines.append(f"{number}.wav,speaker{number % 3},0.4")
    (tmp_path / "m.csv").write_text("path,speaker,duration\n" + "\n".join(lines) + "\n")
    rows = np.stack([embed(tmp_path / f"{number}.wav", model=net).astype(np.float64) for number in range(6)])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    means = (rows[:3] + rows[3:]) / 2
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    unit = done.embeddings.astype(np.float64) / np.linalg.norm(done.embeddings, axis=1, keepdims=True)
    against = unit @ means.T
    score = cosines(done.embeddings, ENROL, TEST)
    expected = (score - against[ENROL].mean(axis=1)) / against[ENROL].std(axis=1)
    system = build_system(net, norm="z", cohort=tmp_path / "m.csv", progress=False)
    assert system.score(done, ENROL, TEST).scores == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("asked", [{"backend": "cosine"}, {"norm": "none"}])
def test_scores_of_another_kind_have_neither_calibration_nor_thresholds(calibrated: Path, asked: dict[str, Any]) -> None:
    system = build_system(calibrated, **asked)
    assert (system.calibration, system.points()) == (None, ([], ""))


def test_a_cohort_that_nothing_uses_is_refused(net: SpeakerEncoder, tmp_path: Path) -> None:
    said = refusal(ConfigError, "E_CONFIG", model=net, cohort=tmp_path / "none.safetensors")
    assert "--norm as" in said
    refusal(ConfigError, "E_CONFIG", model=net, cohort=tmp_path / "none.safetensors", norm="none")


def test_mistakes_are_said_before_a_cohort_is_embedded(
    net: SpeakerEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m.csv").write_text("path,speaker,duration\na.wav,anna,1\n")
    monkeypatch.setattr("voxid.pipelines.system.embed_files", lambda *a, **k: pytest.fail("it began to work"))
    asked = {"model": net, "norm": "s", "cohort": tmp_path / "m.csv"}
    refusal(ModelError, "E_NOT_FOUND", **asked, calibration=tmp_path / "none.json")
    card = {"calibration": Calibration((1.0, 2.0), 0.0, systems=("a", "b")).to_card()}
    (tmp_path / "c.json").write_text(json.dumps(card))
    refusal(ConfigError, "E_CONFIG", **asked, calibration=tmp_path / "c.json")


def test_the_model_keeps_its_own_cohort_and_back_end(
    net: SpeakerEncoder, training: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    backend = build_backend({"transforms": ["center"], "scorer": "cosine", "norm": "s"}).fit(*training)
    checkpoint.save(net, tmp_path / "m.safetensors", backend=backend)
    save_embeddings(tmp_path / "c.safetensors", ["a", "b", "c"], np.eye(3, D), {})
    model = checkpoint.load(tmp_path / "m.safetensors")
    before = model.backend.cohort.copy()
    assert len(build_system(model, cohort=tmp_path / "c.safetensors").backend.cohort) == 3
    np.testing.assert_array_equal(model.backend.cohort, before)


def test_quality_measures_are_told_and_used(
    net: SpeakerEncoder, done: Embeddings, training: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    score, seconds = cosines(done.embeddings, ENROL, TEST), done.facts["seconds"]
    shorter = np.log(np.minimum(seconds[ENROL], seconds[TEST]))
    length = np.linalg.norm(done.embeddings.astype(np.float64), axis=1)
    names = ("log_duration_min", "snr_max", "magnitude_mean")
    told = build_system(net).score(done, ENROL, TEST, quality=names).quality
    louder = np.maximum(done.facts["snr_db"][ENROL], done.facts["snr_db"][TEST])
    assert told == pytest.approx(np.column_stack([shorter, louder, (length[ENROL] + length[TEST]) / 2]))
    leaning = Calibration(
        (10.0, 0.5, 2.0), -4.0, quality=("log_duration_min",), limits=((0.0, math.log(5)),), products=True, source="dev"
    )
    (tmp_path / "c.json").write_text(json.dumps({"calibration": leaning.to_card()}))
    scored = build_system(net, calibration=tmp_path / "c.json").score(done, ENROL, TEST)
    clipped = shorter.clip(0, math.log(5))
    assert scored.llr == pytest.approx(10 * score + 0.5 * clipped + 2 * score * clipped - 4, abs=1e-5)
    assert scored.quality is None


def test_quality_measures_of_the_cohort(
    net: SpeakerEncoder, done: Embeddings, training: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    save_backend(tmp_path / "b.safetensors", build_backend({"scorer": "cosine", "norm": {"name": "as", "top": 4}}).fit(*training))
    system = build_system(net, backend=tmp_path / "b.safetensors")
    unit = done.embeddings.astype(np.float64) / np.linalg.norm(done.embeddings, axis=1, keepdims=True)
    others = system.backend.cohort.astype(np.float64)
    highest = np.sort(unit @ (others / np.linalg.norm(others, axis=1, keepdims=True)).T, axis=1)[:, -4:]
    told = system.score(done, ENROL, TEST, quality=["cohort_mean_min", "cohort_std_max"]).quality
    mean, std = highest.mean(axis=1), highest.std(axis=1)
    expected = np.column_stack([np.minimum(mean[ENROL], mean[TEST]), np.maximum(std[ENROL], std[TEST])])
    assert told == pytest.approx(expected, rel=1e-3)


def refusal(kind: type, code: str, **asked: Any) -> str:
    """The message of what `build_system` raises."""
    with pytest.raises(kind) as caught:
        build_system(**asked)
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_normalisation_needs_a_cohort_and_says_so(net: SpeakerEncoder) -> None:
    said = refusal(DataError, "E_COHORT", model=net, norm="as")
    assert said.startswith("score normalisation 'as' needs a cohort: give --cohort,")
    assert "top is an option" in refusal(ConfigError, "E_CONFIG", model=net, top=100)
    assert "top is an option" in refusal(ConfigError, "E_CONFIG", model=net, norm="z", top=100)
    with pytest.raises(DataError, match=r"^cohort_mean_min: measures of the scores with a cohort.* --norm as") as caught:
        build_system(net).check_quality(["snr_min", "cohort_mean_min"])
    assert caught.value.code == "E_COHORT"


def test_a_calibration_that_needs_a_cohort_is_refused_before_the_work(net: SpeakerEncoder, tmp_path: Path) -> None:
    leaning = Calibration((1.0, 1.0), 0.0, quality=("cohort_std_min",), limits=((0.0, 1.0),))
    (tmp_path / "c.json").write_text(json.dumps({"calibration": leaning.to_card()}))
    assert "cohort_std_min" in refusal(DataError, "E_COHORT", model=net, calibration=tmp_path / "c.json")


def test_sizes_that_do_not_fit_are_refused_before_the_work(net: SpeakerEncoder, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows, speakers = random.normal(size=(60, 5)), np.arange(10).repeat(6)
    for spec in ("gplda", {"scorer": "plda"}):
        save_backend(tmp_path / "b.safetensors", build_backend(spec).fit(rows, speakers))
        said = refusal(DataError, "E_SHAPE", model=net, backend=tmp_path / "b.safetensors")
        assert "b.safetensors: not for embeddings of this model, D = 8" in said
    save_embeddings(tmp_path / "c.safetensors", ["a", "b"], rows[:2], {})
    said = refusal(DataError, "E_SHAPE", model=net, norm="s", cohort=tmp_path / "c.safetensors")
    assert "D = 5, those of the model 8" in said


def test_a_cohort_of_another_model_is_noted(calibrated: Path, tmp_path: Path) -> None:
    save_embeddings(tmp_path / "c.safetensors", ["a", "b"], np.eye(2, D), {"name": "other", "sha256": "ab" * 32})
    (note,) = build_system(calibrated, norm="s", cohort=tmp_path / "c.safetensors").notes
    assert "embedded by another model file (abababababab)" in note
    own = checkpoint.load(calibrated).card["sha256"]
    save_embeddings(tmp_path / "c.safetensors", ["a", "b"], np.eye(2, D), {"name": "tiny", "sha256": own})
    assert build_system(calibrated, norm="s", cohort=tmp_path / "c.safetensors").notes == ()


def test_a_calibration_of_a_model_file_or_of_json(calibrated: Path, net: SpeakerEncoder, done: Embeddings) -> None:
    expected = build_system(calibrated).score(done, ENROL, TEST).llr
    system = build_system(net, calibration=calibrated)
    assert system.score(done, ENROL, TEST).llr == pytest.approx(expected)
    assert system.points() == (POINTS, "dev")
    curve = fit_pav([0.1, 0.2, 0.3, 0.4, 0.5], [0, 0, 1, 0, 1], source="few")
    path = calibrated.with_name("c.json")
    path.write_text(json.dumps({"calibration": curve.to_card(), "thresholds": None}))
    system = build_system(calibrated, calibration=path)
    assert system.score(done, ENROL, TEST).llr == pytest.approx(curve.llr(cosines(done.embeddings, ENROL, TEST)), abs=1e-5)
    assert system.points() == ([], "")


def test_a_calibration_of_other_scores_is_refused_or_noted(calibrated: Path, tmp_path: Path) -> None:
    card = {"calibration": Calibration((1.0,), 0.0).to_card()}
    path = tmp_path / "c.json"
    path.write_text(json.dumps(card | {"scored_by": {"backend": "center, plda", "model": {"name": "x", "sha256": None}}}))
    said = refusal(ConfigError, "E_CONFIG", model=calibrated, calibration=path)
    assert "of the back-end center, plda, these are of cosine" in said
    path.write_text(json.dumps(card | {"scored_by": {"backend": "cosine", "model": {"name": "x", "sha256": "cd" * 32}}}))
    (note,) = build_system(calibrated, calibration=path).notes
    assert "another model file (cdcdcdcdcdcd)" in note
    path.write_text(json.dumps({"calibration": Calibration((1.0, 2.0), 0.0, systems=("a", "b")).to_card()}))
    said = refusal(ConfigError, "E_CONFIG", model=calibrated, calibration=path)
    assert "a fusion of 2 systems (a, b)" in said
    assert "voxid calibrate apply" in said


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "E_NOT_FOUND"),
        ("{", "E_FORMAT"),
        ("[]", "E_FORMAT"),
        ("{}", "E_FORMAT"),
        ('{"calibration": null}', "E_FORMAT"),
        ('{"calibration": 3}', "E_FORMAT"),
        ('{"calibration": {"kind": "logistic", "weights": [1], "offset": NaN}}', "E_FORMAT"),
        ("[" * 100_000, "E_FORMAT"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_malformed_calibrations(net: SpeakerEncoder, tmp_path: Path, text: str | None, code: str) -> None:
    if text is not None:
        (tmp_path / "c.json").write_text(text)
    refusal(ModelError, code, model=net, calibration=tmp_path / "c.json")


def test_other_files_are_no_calibration(net: SpeakerEncoder, tmp_path: Path) -> None:
    checkpoint.save(net, tmp_path / "plain.safetensors")
    assert "no calibration in it" in refusal(ModelError, "E_FORMAT", model=net, calibration=tmp_path / "plain.safetensors")
    refusal(ModelError, "E_NOT_FOUND", model=net, calibration=tmp_path / "none.safetensors")
    refusal(ModelError, "E_NOT_FOUND", model=net, calibration="x" * 300 + ".json")
    refusal(ModelError, "E_NOT_FITTED", model=net, backend="gplda")
    refusal(ModelError, "E_NOT_FOUND", model=net, backend=tmp_path / "none.safetensors")
    refusal(DataError, "E_NOT_FILE", model=net, norm="s", cohort=tmp_path / "none.csv")
    refusal(DataError, "E_NOT_FILE", model=net, norm="s", cohort=tmp_path / "none.safetensors")


def test_a_malformed_calibration_in_the_card_is_the_models_fault(net: SpeakerEncoder, tmp_path: Path) -> None:
    checkpoint.save(net, tmp_path / "m.safetensors", card={"calibration": {"kind": "logistic", "weights": ["x"]}})
    assert "calibrate again" in refusal(ModelError, "E_FORMAT", model=tmp_path / "m.safetensors")
    assert isinstance(build_system(tmp_path / "m.safetensors", norm="none").backend, Backend)  # not needed, not read
