"""Errors that a user can cause: what came, what is accepted, the way out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VoxidError(Exception):
    """A user's mistake, said in one line; the shell exits with code 2.

    Args:
        message: What came, what is accepted and the way out.
        code: A stable word for programs, e.g. ``"E_NOT_FOUND"``.
    """

    default_code = "E_INPUT"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code or self.default_code


class AudioError(VoxidError):
    """Audio that cannot be read, or must not be used."""

    default_code = "E_AUDIO"


class ConfigError(VoxidError):
    """A recipe, an option or a name that voxid does not know."""

    default_code = "E_CONFIG"


class DataError(VoxidError):
    """A manifest, a trial list or a score file that does not hold together."""

    default_code = "E_DATA"


class ModelError(VoxidError):
    """A model file that cannot be loaded or saved, or an input of a wrong shape."""

    default_code = "E_MODEL"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The hint behind an unknown name: the nearest known one, then all of them.

    Example:
        >>> did_you_mean("tdn", ["xvector", "tdnn"])
        "did you mean 'tdnn'? Known: tdnn, xvector"
    """
    names = sorted(known)
    near = [name for name in names if word and name.startswith(word)] or difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}Known: {', '.join(names) or '(none)'}"
