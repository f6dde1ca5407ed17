"""What each process of a training draws: its own batches, and the numbers of the validation lists."""

from __future__ import annotations

import lightning
from torch.utils.data import DataLoader

from voxid.training.corpus import Corpus


class Batches(lightning.LightningDataModule):
    """Batches of a corpus. The loaders are made in the process that uses them: only there its rank is known.

    Args:
        corpus: Training data.
        num_lists: Validation lists.
        epochs: Of the whole training, for a schedule of lengths.
        seed: Of the draw.
    """

    def __init__(self, corpus: Corpus, num_lists: int, epochs: int, seed: int) -> None:
        super().__init__()
        self.corpus, self.num_lists, self.epochs, self.seed = corpus, num_lists, epochs, seed

    def train_dataloader(self) -> DataLoader[object]:
        """Batches (waveform [B, T], class [B]) of this process."""
        trainer, workers = self.trainer, self.corpus.workers
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        return DataLoader(
            self.corpus.dataset,
            batch_size=None,
            sampler=self.corpus.sampler(self.seed, self.epochs, rank, world_size),
            num_workers=workers,
            persistent_workers=workers > 0,
            # Pinned pages travel to a GPU while it computes.
            pin_memory=trainer is not None and trainer.strategy.root_device.type == "cuda",
        )

    def val_dataloader(self) -> DataLoader[int] | list[object]:
        """One number a trial list."""
        return DataLoader(range(self.num_lists), batch_size=None) if self.num_lists else []  # type: ignore[arg-type]
