"""Optional dependencies, asked for at the moment they are needed."""

from __future__ import annotations

import importlib
from types import ModuleType

from voxid.errors import ConfigError


def need(module: str, *, extra: str) -> ModuleType:
    """Import an optional module, or say which extra brings it.

    Args:
        module: Import path, e.g. ``"matplotlib"``.
        extra: The extra of voxid that installs it, e.g. ``"viz"``.

    Raises:
        ConfigError: ``E_EXTRA``, with the line to type.

    Example:
        >>> need("json", extra="core").dumps([1])
        '[1]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{module} is not installed or does not import ({error}); it comes with an extra: pip install 'voxid[{extra}]'",
            "E_EXTRA",
        ) from error
