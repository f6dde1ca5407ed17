"""Losses of speaker nets. The promise: ``forward(embedding [B, D], label [B]) -> (loss [], hits [B])``.

The loss is computed in float32 also under autocast. A hit is True where the own class is the nearest, without any margin; for
a loss without classes, where the nearest other item (or the nearest centroid) of the batch is of the own speaker. A loss with
classes also tells its ``logits(embedding) -> [B, K]``, without margin; identification by classification reads them; it keeps
its weights with the class as the first axis, and takes ``class_weights``. The constructor takes ``embedding_dim`` and
``num_classes``, whether it needs them or not; a margin that a schedule may move is the attribute ``margin``. A batch in which a
loss finds nothing to compare raises `ModelError` ``E_BATCH``.

Losses of waveforms are of the kind ``signal_loss``; their promise is in `voxid.losses.signal`.
"""

from voxid.registry import modules_of

__getattr__ = modules_of(__name__)
