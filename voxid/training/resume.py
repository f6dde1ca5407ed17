"""Where a training starts: from nothing, from a model file, or from the checkpoint of another training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voxid.errors import ConfigError
from voxid.training.origin import check_origin
from voxid.zoo.load import load


def start_from(init: str, model: torch.nn.Module, loss: torch.nn.Module, speakers: Sequence[str], num_classes: int) -> None:
    """Take the weights of a model file or of a training's checkpoint.

    Args:
        init: The file.
        model, loss: What takes them.
        speakers: Names of the first classes of the loss; a checkpoint brings the weights of those that it knows.
        num_classes: Of the loss, speeds included.

    Raises:
        ConfigError: A file that is neither, or weights that do not fit.
    """
    found: dict[str, Any] = {}
    if Path(init).suffix == ".ckpt":
        found = read_checkpoint(init)
        weights = found.get("average", found["state_dict"])
        state = _of_net(weights)
    else:
        state = load(init, device="cpu").state_dict()
    try:
        model.load_state_dict(state)
        if found:
            known = {speaker: row for row, speaker in enumerate(found["speakers"])}
            rows = [(row, known[speaker]) for row, speaker in enumerate(speakers) if speaker in known]
            _take_classes(loss, weights, rows, num_classes)
    except (RuntimeError, KeyError, IndexError) as error:
        raise _unfit(init, error) from error


def start_net(init: str, model: torch.nn.Module) -> None:
    """Take the weights of a net alone, out of a model file of its kind or a training's checkpoint.

    Raises:
        ConfigError: A file that is neither, or weights that do not fit.
    """
    if Path(init).suffix == ".ckpt":
        found = read_checkpoint(init)
        state = _of_net(found.get("average", found["state_dict"]))
    else:
        state = load(init, kind=str(model.kind), device="cpu").state_dict()
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise _unfit(init, error) from error


def _of_net(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix("model."): value for key, value in weights.items() if key.startswith("model.")}


def _unfit(init: str, error: Exception) -> ConfigError:
    reason = " ".join(str(error).split())[:300]
    return ConfigError(f"init={init}: its weights do not fit the recipe's model and loss: {reason}")


@torch.no_grad()
def _take_classes(
    loss: torch.nn.Module, weights: Mapping[str, Tensor], rows: Sequence[tuple[int, int]], num_classes: int
) -> None:
    """Copy the parameters of a loss: those with a row a class (new row, old row) by speaker, others whole."""
    for name, value in loss.named_parameters():
        old = weights[f"loss.{name}"]
        by_class = value.ndim > 0 and len(value) == num_classes
        if old.shape[by_class:] != value.shape[by_class:]:  # copying would broadcast one centre to all sub-centres, say
            raise RuntimeError(f"loss.{name} is {list(old.shape)} there and {list(value.shape)} here")
        if by_class:
            value[[new for new, _ in rows]] = old[[row for _, row in rows]].to(value)
        else:
            value.copy_(old)


def check_same(
    path: Path,
    speakers: Sequence[str],
    shapes: Mapping[str, Sequence[int]],
    utterances: int,
    origin: Mapping[str, object] | None = None,
) -> None:
    """Raise `ConfigError` when a checkpoint belongs to another training: other speakers, utterances or files, another net."""
    found = read_checkpoint(path)
    if found["speakers"] != list(speakers):
        raise ConfigError(
            f"{path}: a training of {len(found['speakers'])} other speakers than the {len(speakers)} of this manifest; "
            "resume with the manifest it began with, or start from its weights: init=FILE.ckpt with another output"
        )
    if found.get("utterances", utterances) != utterances:
        raise ConfigError(
            f"{path}: a training of {found['utterances']} utterances, and now there are {utterances}, of which other batches are "
            "drawn; resume with the manifest it began with, or start from its weights: init=FILE.ckpt with another output"
        )
    check_origin(path, found.get("origin", {}), origin or {})
    if {name: list(value.shape) for name, value in found["state_dict"].items()} != {name: list(s) for name, s in shapes.items()}:
        raise ConfigError(
            f"{path}: a training of another model or loss; resume with the recipe it began with (recipe.yaml beside it)"
        )


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint of a training, on the CPU; only tensors and plain data are read, no code is run.

    Raises:
        ConfigError: Not a checkpoint of voxid, or a damaged one.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged pickle raises depends on the byte that is damaged
        reason = " ".join(str(error).split())[:120]
        raise ConfigError(f"{path}: not a checkpoint that can be read ({reason}); take an earlier one beside it") from error
    if not isinstance(found, dict) or not {"state_dict", "speakers"} <= found.keys():
        raise ConfigError(f"{path}: not a checkpoint of voxid train; expected FOLDER/checkpoints/*.ckpt")
    return found
