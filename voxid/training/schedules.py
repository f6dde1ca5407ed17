"""What moves during training: the learning rate and the margin. All but the plateau are functions of the step alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from voxid.errors import ConfigError, did_you_mean

SCHEDULES = ("constant", "cosine", "exponential", "cyclic", "plateau")
SHAPES = ("triangular", "triangular2")
RISES = ("linear", "exp")


@dataclass(frozen=True)
class Schedule:
    """The section `schedule` of a recipe: a factor on the learning rate.

    Args:
        name: ``constant``; ``cosine`` and ``exponential``: down to `final`; ``cyclic``: up and down again between `final` and 1;
            ``plateau``: lower whenever the EER stays (`Plateau`).
        warmup_steps: Steps of the linear rise from 0 at the start.
        final: The lowest factor.
        cycle_steps: Of ``cyclic``: steps of one rise and fall; None = one over the whole training.
        shape: Of ``cyclic``: ``triangular``, or ``triangular2``, whose peak halves from cycle to cycle.
        patience, factor: Of ``plateau``: so many validations without a better EER are borne, then the rate falls by `factor`.

    Raises:
        ConfigError: Unknown name, or a value out of range.

    Example:
        >>> [round(Schedule(warmup_steps=10, final=0.0).at(step, 100), 2) for step in (0, 5, 10, 55, 100)]
        [0.0, 0.5, 1.0, 0.5, 0.0]

    Cyclic: Smith, "Cyclical learning rates for training neural networks", WACV 2017.
    """

    name: str = "cosine"
    warmup_steps: int = 0
    final: float = 1e-3
    cycle_steps: int | None = None
    shape: str = "triangular"
    patience: int = 2
    factor: float = 0.5

    def __post_init__(self) -> None:
        for kind, value, known in (("schedule", self.name, SCHEDULES), ("shape of a cyclic schedule", self.shape, SHAPES)):
            if value not in known:
                raise ConfigError(f"unknown {kind} {value!r}: {did_you_mean(value, known)}")
        if self.warmup_steps < 0 or not 0.0 <= self.final <= 1.0:
            raise ConfigError(
                f"schedule: warmup_steps >= 0 and 0 <= final <= 1 are needed, got {self.warmup_steps} and {self.final}"
            )
        if self.name == "exponential" and not self.final:
            raise ConfigError("schedule: exponential never gets to 0; set schedule.final above 0, e.g. 0.001")
        if self.patience < 0 or not 0.0 < self.factor < 1.0:
            raise ConfigError(f"schedule: patience >= 0 and 0 < factor < 1 are needed, got {self.patience} and {self.factor}")
        if self.cycle_steps is not None and self.cycle_steps < 2:
            raise ConfigError(f"schedule: cycle_steps must be 2 or more, or null, got {self.cycle_steps}")
        if self.name == "cyclic" and self.warmup_steps:
            raise ConfigError("schedule: cyclic rises by itself; set schedule.warmup_steps=0")

    def at(self, step: int, steps: int) -> float:
        """Factor at a step of a training of `steps`."""
        if step < self.warmup_steps:
            return step / self.warmup_steps
        gone, whole = step - self.warmup_steps, max(steps - self.warmup_steps, 1)
        done = min(gone / whole, 1.0)
        if self.name == "cosine":
            return self.final + (1.0 - self.final) * 0.5 * (1.0 + math.cos(math.pi * done))
        if self.name == "exponential":
            return self.final**done
        if self.name == "cyclic":
            return self.final + (1.0 - self.final) * _triangle(gone, self.cycle_steps or whole, self.shape)
        return 1.0


def _triangle(step: int, cycle_steps: int, shape: str) -> float:
    cycle, place = divmod(step, cycle_steps)
    height = 1.0 - abs(2.0 * place / cycle_steps - 1.0)
    return height * 0.5**cycle if shape == "triangular2" else height


class Plateau:
    """A factor that falls when the EER has stayed for longer than the patience of a schedule.

    Example:
        >>> plateau = Plateau(Schedule("plateau", patience=1, factor=0.5))
        >>> [plateau.observe(eer) for eer in (0.3, 0.2, 0.2, 0.25, 0.1)]
        [1.0, 1.0, 1.0, 0.5, 0.5]
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.factor, self.best, self.bad = 1.0, math.inf, 0

    def observe(self, eer: float) -> float:
        """Take the EER of a validation; the factor from here on."""
        self.bad = 0 if eer < self.best else self.bad + 1
        self.best = min(self.best, eer)
        if self.bad > self.schedule.patience:
            self.factor, self.bad = max(self.factor * self.schedule.factor, self.schedule.final), 0
        return self.factor

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs."""
        return {"factor": self.factor, "best": self.best, "bad": self.bad}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.factor, self.best, self.bad = state["factor"], state["best"], state["bad"]


@dataclass(frozen=True)
class MarginSchedule:
    """The section `margin_schedule` of a recipe: 0 until the share `start` of the training, whole from the share `stop` on.

    Args:
        start, stop: Shares of the training.
        rise: Between them: ``linear``, or ``exp``, which is steep at first (1 - 0.001 ** x, as wespeaker's).

    Raises:
        ConfigError: Unknown rise, or a share outside 0 ... 1.

    Example:
        >>> [round(MarginSchedule(0.2, 0.6).at(step, 100, 0.2), 2) for step in (0, 20, 40, 60, 100)]
        [0.0, 0.0, 0.1, 0.2, 0.2]
    """

    start: float = 0.15
    stop: float = 0.45
    rise: str = "linear"

    def __post_init__(self) -> None:
        if self.rise not in RISES:
            raise ConfigError(f"unknown rise of the margin {self.rise!r}: {did_you_mean(self.rise, RISES)}")
        if not 0.0 <= self.start <= self.stop <= 1.0:
            raise ConfigError(f"margin_schedule: 0 <= start <= stop <= 1 is needed, got {self.start} and {self.stop}")

    def at(self, step: int, steps: int, margin: float) -> float:
        """Margin at a step of a training of `steps`; `margin` is the whole one."""
        if step >= self.stop * steps:
            return margin
        if step <= self.start * steps:
            return 0.0
        share = (step / steps - self.start) / (self.stop - self.start)
        return margin * (1.0 - 0.001**share if self.rise == "exp" else share)
