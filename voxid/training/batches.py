"""What each process of a training draws: its own batches, and the numbers of the validation lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import lightning
from torch.utils.data import DataLoader, Dataset

from voxid.errors import VoxidError


class Draws(Protocol):
    """The draws of a process, batch by batch."""

    def __iter__(self) -> Iterator[Any]:
        """Those of an epoch."""
        ...

    def __len__(self) -> int:
        """Batches of an epoch."""
        ...

    def set_epoch(self, epoch: int) -> None:
        """Which epoch is drawn next."""
        ...


class Source(Protocol):
    """What batches are drawn from: a corpus of speakers, or of mixtures."""

    @property
    def dataset(self) -> Dataset[Any]:
        """Answers what the sampler draws with a batch."""
        ...

    @property
    def workers(self) -> int:
        """Processes that load."""
        ...

    def sampler(self, seed: int, epochs: int = 1, rank: int = 0, world_size: int = 1) -> Draws:
        """The draws of a process."""
        ...


class Batches(lightning.LightningDataModule):
    """Batches of a corpus. The loaders are made in the process that uses them: only there its rank is known.

    Args:
        corpus: Training data.
        num_lists: Validation lists.
        epochs: Of the whole training, for a schedule of lengths.
        seed: Of the draw.
        behind: Epochs that a resumed training has behind it.
    """

    def __init__(self, corpus: Source, num_lists: int, epochs: int, seed: int, behind: int = 0) -> None:
        super().__init__()
        self.corpus, self.num_lists, self.epochs, self.seed, self.behind = corpus, num_lists, epochs, seed, behind

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of this process, e.g. (waveform [B, T], class [B])."""
        trainer, workers = self.trainer, self.corpus.workers
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        draws = self.corpus.sampler(self.seed, self.epochs, rank, world_size)
        draws.set_epoch(self.behind)  # Lightning lets the workers of a resumed run begin before it tells the epoch
        return DataLoader(
            self.corpus.dataset,
            batch_size=None,
            sampler=draws,
            num_workers=workers,
            persistent_workers=workers > 0,
            # Pinned pages travel to a GPU while it computes.
            pin_memory=trainer is not None and trainer.strategy.root_device.type == "cuda",
        )

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Raise the error that a process which loads has met, in place of a batch."""
        if isinstance(batch, VoxidError):
            raise batch
        return batch

    def val_dataloader(self) -> DataLoader[int] | list[object]:
        """One number a trial list."""
        return DataLoader(range(self.num_lists), batch_size=None) if self.num_lists else []  # type: ignore[arg-type]
