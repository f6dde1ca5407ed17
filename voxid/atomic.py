"""Files that are whole or not there: written beside their place, flushed to the disk, then renamed into it."""

from __future__ import annotations

import errno
import os
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
    if path.exists() and not path.is_file():
        raise error(f"{path}: not a regular file, so it is not written over; choose another place", "E_WRITE")
    temporary = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:80]}.", suffix=".part", dir=path.parent)
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
