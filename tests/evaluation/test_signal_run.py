"""Which estimate is whose, and what is written of the figures."""

from __future__ import annotations

import csv
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from fast_bss_eval import si_sdr as reference

from voxid.errors import ConfigError, DataError
from voxid.evaluation.signal_metrics import check_metrics, headings, measured
from voxid.evaluation.signal_page import write_signal_page
from voxid.evaluation.signal_report import (
    Label,
    SignalEvaluation,
    SignalRow,
    grouped,
    plain,
    write_rows,
    write_signal_result,
)
from voxid.evaluation.signal_run import Places, matched


@pytest.mark.parametrize("silent", [(), (1,), (0, 2)])
def test_the_order_is_the_best_of_all(silent: tuple[int, ...]) -> None:
    random = np.random.default_rng(len(silent))
    targets = random.normal(size=(4, 400))
    targets[list(silent)] = 0.0
    estimates = random.normal(size=(4, 4)) @ np.where(targets.any(axis=1)[:, None], targets, random.normal(size=(4, 400)))
    heard = [place for place in range(4) if place not in silent]

    def mean(order: tuple[int, ...]) -> float:
        return sum(float(reference(targets[None, p], estimates[None, order[p]], zero_mean=True)[0]) for p in heard) / len(heard)

    best = max(mean(order) for order in itertools.permutations(range(4)))
    found = matched(estimates, targets)
    assert sorted(found.tolist()) == [0, 1, 2, 3]
    assert mean(tuple(found.tolist())) == pytest.approx(best, abs=1e-6)


def test_more_estimates_than_sources() -> None:
    targets = np.random.default_rng(0).normal(size=(2, 300))
    estimates = np.stack([np.zeros(300), targets[1], 0.1 * targets.sum(axis=0), targets[0]])
    assert matched(estimates, targets).tolist() == [3, 1]


def test_measures_are_none_where_they_are_not_defined() -> None:
    sound = np.random.default_rng(0).normal(size=4000)
    assert all(math.isnan(value) for value in measured(["si_sdr", "stoi"], sound, np.zeros(4000), 16000).values())
    assert plain(measured(["stoi", "si_sdr"], sound, sound, 16000)) == {"stoi": None, "si_sdr": None}  # too short; +inf


def test_unknown_measures_and_rates_are_said_before_the_work() -> None:
    for metrics, rate, said in (
        (["si_sdr", "pseq"], 16000, "did you mean 'pesq'"),
        ([], 16000, "name one or more"),
        (["stoi", "stoi"], 16000, "twice"),
        (["pesq"], 44100, "8000 or 16000"),
        (["dnsmos"], 8000, "takes 16000 Hz"),
    ):
        with pytest.raises(ConfigError, match=said):
            check_metrics(metrics, rate)
    assert headings(["pesq", "si_sdr"], 16000) == {"pesq": "PESQ wide", "si_sdr": "SI-SDR dB"}


@pytest.fixture
def result() -> SignalEvaluation:
    """Three sources of two mixtures; one was the only source of its mixture, so it has no value before."""
    low, high = Label(-5.0, "-5 dB"), Label(10.0, "10 dB")
    rows = (
        SignalRow("a|b", 1, 4.0, (high,), {"si_sdr": 10.0, "stoi": 0.5}, {"si_sdr": 13.0, "stoi": 0.75}),
        SignalRow("c", 1, 2.0, (low,), {"si_sdr": -5.0, "stoi": None}, {"si_sdr": 4.0, "stoi": None}),
        SignalRow("c", 2, 2.0, (low,), {"si_sdr": None, "stoi": 1.0}, {"si_sdr": 30.0, "stoi": 0.5}),
    )
    facts = {"model": {"name": "m<1>", "sha256": "0" * 64}, "mixtures": "x/list.jsonl", "sample_rate": 16000}
    groups = grouped(rows, ["si_sdr", "stoi"])
    return SignalEvaluation("separation", **facts, settings={"window": 10.0}, num_mixtures=2, seconds=6.0, num_silent=1,
                            groups=groups, rows=rows, warnings=())  # fmt: skip


def test_means_are_over_what_is_defined_and_say_over_how_many(result: SignalEvaluation) -> None:
    assert [group.name for group in result.groups] == ["-5 dB", "10 dB", "all"]
    low, _, whole = (group.figures["si_sdr"] for group in result.groups)
    assert (low.before, low.after, low.improvement, low.count, low.compared) == (-5.0, 17.0, 9.0, 2, 1)
    assert (whole.before, whole.after, whole.improvement) == (2.5, pytest.approx(47 / 3), 6.0)
    stoi = result.groups[0].figures["stoi"]
    assert (stoi.before, stoi.improvement, stoi.count) == (1.0, -0.5, 1)
    text = result.describe()
    assert "1 silent sources, in no mean" in text
    assert "9.00 (1)" not in text.splitlines()[-1]
    assert "+9.00 (1)" in text
    assert "window 10.0" in text


def test_nothing_to_average_is_a_dash() -> None:
    row = SignalRow("a", 1, 1.0, (), {"pesq": None}, {"pesq": None})
    groups = grouped([row], ["pesq"])
    assert groups[0].figures["pesq"].after is None
    empty = SignalEvaluation("enhancement", {}, "l", 16000, {}, 1, 1.0, 0, groups, (row,), ())
    assert empty.describe().splitlines()[-1].split() == ["all", "1", "-", "-", "-"]


def test_files_say_the_same(result: SignalEvaluation, tmp_path: Path) -> None:
    write_rows(tmp_path / "r.csv", result)
    write_signal_result(tmp_path / "r.json", result)
    write_signal_page(tmp_path / "r.md", result)
    write_signal_page(tmp_path / "r.html", result)
    with (tmp_path / "r.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["id"] for row in rows] == ["a|b", "c", "c"]
    assert (rows[2]["si_sdr_before"], rows[2]["si_sdr_after"], rows[2]["groups"]) == ("", "30", "-5 dB")
    assert json.loads((tmp_path / "r.json").read_text())["groups"][2]["figures"]["si_sdr"]["improvement"] == 6.0
    assert "| -5 dB | 2 | -5.00 (1) | 17.00 | +9.00 (1) |" in (tmp_path / "r.md").read_text()
    page = (tmp_path / "r.html").read_text()
    assert "m&lt;1&gt; on list.jsonl" in page
    assert "<td>+9.00 (1)</td>" in page


def test_places_are_checked_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        Places(tmp_path / "no" / "a.json", None, None).check()
    with pytest.raises(ConfigError, match="share a place"):
        Places(tmp_path / "a.md", None, tmp_path / "a.md").check()
    with pytest.raises(ConfigError, match="--rows CSV"):
        Places(None, None, tmp_path / "a.csv").check()
