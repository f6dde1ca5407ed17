"""Files that are whole or not there: written beside their place, flushed to the disk, then renamed into it."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxid.errors import VoxidError


@contextmanager
def replacing(path: str | os.PathLike[str], error: type[VoxidError] = VoxidError) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it takes the place of `path` when the block ends without an error.

    Args:
        path: The file to be; what is there stays until the new one is whole.
        error: What a full disk, a missing folder or a forbidden one is raised as (codes ``E_DISK_FULL``, ``E_WRITE``).

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with replacing(Path(folder) / "a.txt") as temporary:
        ...         _ = temporary.write_text("whole")
        ...     (Path(folder) / "a.txt").read_text(), len(os.listdir(folder))
        ('whole', 1)
    """
    path = Path(path)
    check_name(path, error)
    temporary = None
    try:
        # A quarter of the 255 bytes of a name: a letter may take four.
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        _flush(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        temporary = None
        _flush(path.parent)
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise error(
                f"{path}: the disk is full; nothing was changed. Make room or choose another place", "E_DISK_FULL"
            ) from problem
        reason = problem.strerror or str(problem)
        raise error(f"{path}: cannot be written ({reason}); nothing was changed. Choose another place", "E_WRITE") from problem
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def check_name(path: Path, error: type[VoxidError] = VoxidError) -> None:
    """Raise `error` (``E_WRITE``) for what cannot be the name of a file: too long, or taken by a folder or a device."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise error(f"{path}: cannot be written ({reason}); choose another place", "E_WRITE") from problem
    if not regular:
        raise error(f"{path}: not a regular file, so it is not written over; choose another place", "E_WRITE")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
