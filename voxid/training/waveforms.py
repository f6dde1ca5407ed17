"""The tasks `enhancement` and `separation`: waveforms in, waveforms out, trained on mixtures whose parts are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from voxid import registry
from voxid.data.mixtures import Rendered
from voxid.errors import DataError
from voxid.losses.permutation import Pit, reorder
from voxid.metrics.pesq import pesq
from voxid.metrics.signal import si_sdr, si_sdr_improvement
from voxid.training.figure import Figure
from voxid.training.mixture_sets import MixtureSet
from voxid.training.resume import start_net
from voxid.training.task import Task

# What validation measures, all of it the better the higher.
FIGURES = {name: Figure(name, higher_is_better=True) for name in ("si_sdr_improvement", "si_sdr", "pesq")}


def signal_loss(loss: Mapping[str, Any], task: str) -> nn.Module:
    """The loss of a recipe; that of a separation is the least over all orders of the sources.

    Raises:
        ConfigError: A name or an argument that is not known.
    """
    built: nn.Module = registry.build("signal_loss", loss)
    return built if task == "enhancement" or isinstance(built, Pit) else Pit(dict(loss))


class WaveformTask(Task):
    """Model, loss and optimiser of a recipe; batches are (mixture [B, T], sources [B, S, T]).

    Args:
        model: An enhancer, [B, T] -> [B, T], or a separator, [B, T] -> [B, S, T].
        loss: Part of the recipe.
        steps: Steps of the optimiser in the whole training.
        figure: One of `FIGURES`: its mean over the lists chooses the checkpoint.
        sets: What validation measures.
        measure_pesq: Measure PESQ, too (slow, needs the extra `signal`).
        speakers: Whose speech is trained on.
        optimizer, schedule: Sections of the recipe.
        seed: Of torch's draws within a step.
        compile: Compile the net with torch.compile.
        init: A model file, or a checkpoint of a training, whose weights to start from; or None.
        notes: What the checkpoints hold beside weights.
    """

    def __init__(
        self,
        model: Any,
        loss: Mapping[str, Any],
        steps: int,
        figure: Figure = FIGURES["si_sdr_improvement"],
        *,
        sets: Sequence[MixtureSet] = (),
        measure_pesq: bool = False,
        speakers: Sequence[str] = (),
        optimizer: Mapping[str, Any] | None = None,
        schedule: Mapping[str, Any] | None = None,
        seed: int = 0,
        compile: bool = False,
        init: str | None = None,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        built = signal_loss(loss, model.kind)
        super().__init__(
            model, built, steps, figure, speakers=speakers, optimizer=optimizer, schedule=schedule, seed=seed, notes=notes
        )
        if init is not None:
            start_net(init, self.model)
        self.sets, self.measure_pesq = list(sets), measure_pesq
        self.by_ratio = Pit({"name": "si_sdr", "clamp": None})
        self.compile_net = compile
        self.run = self.model.forward

    def setup(self, stage: str) -> None:
        """Compile in the process that trains."""
        if self.compile_net and stage == "fit":
            self.run = torch.compile(self.model.forward)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Loss [] of a batch."""
        mixture, sources = batch
        self.seeded(batch_idx)
        target = sources[:, 0] if self.model.kind == "enhancement" else sources
        loss: Tensor = self.loss(self.run(mixture), target, mixture=mixture).mean()
        self.look(loss, batch_idx)
        self.log("loss", loss.detach(), prog_bar=True, on_step=True, on_epoch=True, batch_size=len(mixture))
        return loss

    def validation_step(self, batch: int, batch_idx: int) -> None:
        """Figures of one list; `batch` is its number."""
        measured = self.measure(self.sets[batch])
        self.found.append(measured[self.figure.name])
        for name, value in measured.items():
            self.log(f"{name}/{self.sets[batch].name}", value, batch_size=1)
            self.log(name, value, prog_bar=name == self.figure.name, batch_size=1)

    def measure(self, mixtures: MixtureSet) -> dict[str, float]:
        """Mean figures of the net on a list, in the order of the sources that fits best.

        Every source counts alike; one that is silent has no figures and is left out.

        Raises:
            DataError: ``E_MIXTURES``, a list of silence only.
        """
        rows = [self._figures(mixtures.item(number)) for number in range(len(mixtures))]
        columns = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
        silent = [name for name, values in columns.items() if bool(values.isnan().all())]
        if silent:
            raise DataError(f"{mixtures.name}: {silent[0]} is not defined for any of its sources: are they silent?", "E_MIXTURES")
        return {name: float(values.nanmean()) for name, values in columns.items()}

    @torch.inference_mode()
    def _figures(self, item: Rendered) -> dict[str, Tensor]:
        """Of the sources [S] of one mixture."""
        mixture, sources = torch.from_numpy(item.mixture)[None], torch.from_numpy(item.sources)
        with torch.autocast(self.device.type, enabled=False):
            estimate = self.model(mixture.to(self.device)).float().cpu().reshape(1, *sources.shape)
        if len(sources) > 1:
            order = self.by_ratio.solve(estimate, sources[None], mixture=mixture)[1]
            estimate = reorder(estimate, order)
        found = {
            "si_sdr": si_sdr(estimate[0], sources),
            "si_sdr_improvement": si_sdr_improvement(estimate[0], sources, mixture[0]),
        }
        if self.measure_pesq:
            rate = self.model.sample_rate
            found["pesq"] = pesq(estimate[0], sources, rate, band="wide" if rate == 16000 else "narrow")
        return {name: value.double() for name, value in found.items()}
