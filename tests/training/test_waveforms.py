"""What a step of an enhancer or a separator costs, and what validation measures, against formulas written out."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

pytest.importorskip("lightning")

from voxid.data.mixtures import Rendered, add
from voxid.errors import ConfigError, DataError
from voxid.losses.permutation import Pit
from voxid.losses.signal import SiSdr
from voxid.training.waveforms import FIGURES, WaveformTask, signal_loss

RATE = 16000


class Fixed(nn.Module):
    """A net that gives what it was made with, times a weight."""

    def __init__(self, kind: str, answers: list[np.ndarray]) -> None:
        super().__init__()
        self.kind, self.sample_rate, self.answers, self.asked = kind, RATE, answers, 0
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, waveform: Tensor) -> Tensor:
        answer = torch.from_numpy(np.stack(self.answers[self.asked : self.asked + len(waveform)]))
        self.asked += len(waveform)
        return self.weight * answer


class Held:
    """Mixtures in memory."""

    name = "held"

    def __init__(self, items: list[Rendered]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def item(self, number: int) -> Rendered:
        return self.items[number]


def si_sdr(estimate: np.ndarray, target: np.ndarray) -> float:
    estimate, target = (x.astype(np.float64) - x.astype(np.float64).mean() for x in (estimate, target))
    wanted = target * (estimate @ target) / (target @ target)
    return float(10 * np.log10((wanted @ wanted) / ((estimate - wanted) @ (estimate - wanted))))


def drawn(sources: int, number: int, level: float = 0.1) -> Rendered:
    draw = np.random.default_rng([number])
    return add([draw.normal(0, level, 8000) for _ in range(sources)], draw.normal(0, 0.02, 8000))


def task_of(net: nn.Module, **more: Any) -> WaveformTask:
    return WaveformTask(net, {"name": "si_sdr"}, 10, **more)


def guesses(items: list[Rendered], shift: int = 1) -> list[np.ndarray]:
    """The sources of each in another order, with something of the others."""
    draw = np.random.default_rng(9)
    return [
        (np.roll(x.sources, shift, axis=0) + draw.normal(0, 0.03 + 0.02 * n, x.sources.shape)).astype(np.float32)
        for n, x in enumerate(items)
    ]


@pytest.mark.parametrize("sources", [2, 3])
def test_a_separation_is_measured_in_the_best_order(sources: int) -> None:
    items = [drawn(sources, number) for number in range(3)]
    answers = guesses(items)
    measured = task_of(Fixed("separation", answers)).measure(Held(items))
    best, gains = [], []
    for item, answer in zip(items, answers, strict=True):
        orders = itertools.permutations(range(sources))
        rows = [[si_sdr(answer[one], target) for one, target in zip(order, item.sources, strict=True)] for order in orders]
        best.append(max(rows, key=np.mean))
        gains.append(np.array(best[-1]) - [si_sdr(item.mixture, target) for target in item.sources])
    assert measured["si_sdr"] == pytest.approx(np.mean(best), abs=1e-3)
    assert measured["si_sdr_improvement"] == pytest.approx(np.mean(gains), abs=1e-3)


def test_a_silent_source_is_left_out_of_the_mean() -> None:
    """Sources of all mixtures count alike: two of the first, one of the second."""
    first, second = drawn(2, 0), drawn(2, 1)
    second = add([second.sources[0], np.zeros(8000)], second.noise)
    answers = guesses([first, second], shift=0)
    measured = task_of(Fixed("separation", answers)).measure(Held([first, second]))
    pairs = [(answers[0][0], first.sources[0]), (answers[0][1], first.sources[1]), (answers[1][0], second.sources[0])]
    assert measured["si_sdr"] == pytest.approx(np.mean([si_sdr(*pair) for pair in pairs]), abs=1e-3)
    silent = add([np.zeros(8000), np.zeros(8000)], second.noise)
    with pytest.raises(DataError, match="held: si_sdr is not defined"):
        task_of(Fixed("separation", answers)).measure(Held([silent]))


def test_an_enhancement_is_measured_also_by_pesq(shared) -> None:
    package = pytest.importorskip("pesq")
    from voxid.data.mixtures import read_mixtures, render

    item = render(read_mixtures(shared / "data" / "protocols" / "enh_dev.jsonl")[0], shared / "data")
    answer = (0.5 * item.mixture + 0.5 * item.sources[0]).astype(np.float32)
    measured = task_of(Fixed("enhancement", [answer]), measure_pesq=True).measure(Held([item]))
    assert measured["si_sdr_improvement"] == pytest.approx(
        si_sdr(answer, item.sources[0]) - si_sdr(item.mixture, item.sources[0]), abs=1e-3
    )
    assert measured["pesq"] == pytest.approx(package.pesq(RATE, item.sources[0], answer, "wb"), abs=1e-6)


def step(task: WaveformTask, items: list[Rendered]) -> Tensor:
    trainer = SimpleNamespace(global_step=0, current_epoch=0, num_training_batches=9, is_last_batch=False, global_rank=0)
    task._trainer = trainer
    task.log = lambda *_, **__: None  # type: ignore[method-assign]
    mixture, sources = (torch.from_numpy(np.stack([getattr(x, name) for x in items])) for name in ("mixture", "sources"))
    return task.training_step((mixture, sources), 0)


def test_a_step_of_a_separation_costs_the_best_order_and_has_its_gradient() -> None:
    items = [drawn(2, number) for number in range(3)]
    answers = guesses(items, shift=1)
    task = task_of(Fixed("separation", answers))
    loss = step(task, items)
    costs = [
        -max(np.mean([si_sdr(answer[one], item.sources[two]) for two, one in enumerate(order)]) for order in ((0, 1), (1, 0)))
        for item, answer in zip(items, answers, strict=True)
    ]
    assert float(loss.detach()) == pytest.approx(np.mean(costs), abs=1e-3)
    loss.backward()
    assert task.model.weight.grad is not None


def test_a_step_of_an_enhancement_costs_the_mean_over_the_batch() -> None:
    items = [drawn(1, number) for number in range(3)]
    answers = [answer[0] for answer in guesses(items)]
    loss = step(task_of(Fixed("enhancement", answers)), items)
    assert float(loss.detach()) == pytest.approx(
        np.mean([-si_sdr(answer, item.sources[0]) for answer, item in zip(answers, items, strict=True)]), abs=1e-3
    )


def test_losses_of_a_separation_are_wrapped_once() -> None:
    assert isinstance(signal_loss({"name": "si_sdr"}, "separation"), Pit)
    wrapped = signal_loss({"name": "pit", "loss": {"name": "si_sdr", "clamp": 20.0}}, "separation")
    assert isinstance(wrapped, Pit)
    assert isinstance(wrapped.loss, SiSdr)
    assert isinstance(signal_loss({"name": "si_sdr"}, "enhancement"), SiSdr)
    with pytest.raises(ConfigError, match="did you mean 'si_sdr'"):
        signal_loss({"name": "si_sd"}, "separation")


def test_a_plateau_goes_by_what_is_better() -> None:
    """Here more is better: a falling figure is a bad one."""
    net = Fixed("enhancement", [])
    task = task_of(net, figure=FIGURES["pesq"], schedule={"name": "plateau", "patience": 0, "factor": 0.5})
    task._trainer = SimpleNamespace(strategy=SimpleNamespace(broadcast=lambda value: value))
    factors = []
    for found in ([1.0, 2.0], [2.0, 2.0], [1.9, 2.0], [3.0, 3.0]):
        task.found = found
        task.on_validation_epoch_end()
        factors.append(task.plateau.factor)
    assert factors == [1.0, 1.0, 0.5, 0.5]
