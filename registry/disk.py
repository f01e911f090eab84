"""Files that survive a power cut: write, fsync, rename, fsync the folder, in this order."""

from __future__ import annotations

import errno
import os
import sys
import threading
from pathlib import Path

from registry.faults import DiskFull

if sys.platform == "darwin":
    from fcntl import F_FULLFSYNC, fcntl

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}

#: End of the names of files that are being written. What is left of them after a crash may be removed.
UNFINISHED = ".unfinished"


def write_durably(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Puts `content` at `path`: after a crash at any moment the file is there as it was before, or whole and new.

    When this returns, it is there after a power cut too. Raises DiskFull (nothing is left behind) or OSError.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}{UNFINISHED}")
    try:
        _write(unfinished, content, mode)
        unfinished.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        if error.errno in _NO_SPACE:
            raise DiskFull(
                f"no space left for {path}, {len(content):,} bytes. Free some space and try again."
            ) from error
        raise


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Makes `folder` and those above it where they are missing, durably."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        _sync(descriptor)
    finally:
        os.close(descriptor)


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)
    if sys.platform == "darwin":
        fcntl(descriptor, F_FULLFSYNC)  # fsync alone leaves the bytes in the drive's cache there
