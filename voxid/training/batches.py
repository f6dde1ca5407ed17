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
        seed: Of the draw.
    """

    def __init__(self, corpus: Corpus, num_lists: int, seed: int) -> None:
        super().__init__()
        self.corpus, self.num_lists, self.seed = corpus, num_lists, seed

    def train_dataloader(self) -> DataLoader[object]:
        """Batches (waveform [B, T], class [B]) of this process."""
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        sampler = self.corpus.sampler(self.seed, rank, world_size)
        return DataLoader(self.corpus.dataset, batch_size=None, sampler=sampler, num_workers=self.corpus.workers)

    def val_dataloader(self) -> DataLoader[int] | list[object]:
        """One number a trial list."""
        return DataLoader(range(self.num_lists), batch_size=None) if self.num_lists else []  # type: ignore[arg-type]
