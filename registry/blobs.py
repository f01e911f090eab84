"""Files named by the sha256 of their content: parts of history, bytes of models."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Collection
from pathlib import Path

from registry.disk import UNFINISHED, make_folder, sync_folder, write_durably
from registry.faults import DamagedBlob, MissingBlob

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SUFFIX = re.compile(r"\.[a-z0-9]{1,16}")


class Blobs:
    """A folder of immutable files `{sha256}{suffix}`. Suffixes look like `.parquet`; others are a ValueError."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._changing = threading.Lock()
        make_folder(root)

    def put(self, content: bytes, suffix: str) -> str:
        """Keeps `content` and returns its sha256 as hex; on disk for good when this returns.

        The same content again costs one read, and makes the file young; a damaged file is healed by it. Raises
        DiskFull; nothing is left behind.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        path = self._where(sha256, suffix)
        if self.renew(sha256, suffix) and _sha256_of(path) == sha256:
            sync_folder(self._root)  # whoever wrote it may have been killed before this
        else:
            write_durably(path, content)
        return sha256

    def renew(self, sha256: str, suffix: str) -> bool:
        """Makes the file young, so that no sweep takes it for a while. Whether it is there."""
        with self._changing:
            try:
                os.utime(self._where(sha256, suffix))
            except FileNotFoundError:
                return False
        return True

    def path(self, sha256: str, suffix: str) -> Path:
        """Where the content is, after reading it and finding it whole. Raises MissingBlob or DamagedBlob."""
        path = self._where(sha256, suffix)
        try:
            found = _sha256_of(path)
        except FileNotFoundError:
            raise MissingBlob(_missing(path)) from None
        if found != sha256:
            raise DamagedBlob(_damaged(path, found))
        return path

    def read(self, sha256: str, suffix: str) -> bytes:
        """The content, checked. Raises MissingBlob or DamagedBlob."""
        path = self._where(sha256, suffix)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise MissingBlob(_missing(path)) from None
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise DamagedBlob(_damaged(path, found))
        return content

    def remove(self, sha256: str, suffix: str) -> None:
        """Removes the file, if it is there. Only after state has durably forgotten it."""
        self._where(sha256, suffix).unlink(missing_ok=True)

    def sweep(self, suffixes: Collection[str], keep: Collection[str], *, older_than: int) -> int:
        """Removes files of these suffixes that are not in `keep` (sha256s), and unfinished ones, all only where they
        were put, put again or renewed before `older_than` (ms UTC). Returns how many.

        May run beside everything else: who puts a file or replaces a part makes it young first, and refers to it, or
        stops referring to it, after that.
        """
        found = [path for path in self._root.iterdir() if _unwanted(path, suffixes, keep)]
        return sum(self._swept(path, older_than) for path in found)

    def _swept(self, path: Path, older_than: int) -> bool:
        with self._changing:
            try:
                if path.stat().st_mtime_ns // 1_000_000 >= older_than:
                    return False
                path.unlink()
            except FileNotFoundError:  # finished, or removed, meanwhile
                return False
        return True

    def _where(self, sha256: str, suffix: str) -> Path:
        if not _SHA256.fullmatch(sha256) or not _SUFFIX.fullmatch(suffix):
            raise ValueError(f"no name of a blob: {sha256!r} with suffix {suffix!r}")
        return self._root / f"{sha256}{suffix}"


def _unwanted(path: Path, suffixes: Collection[str], keep: Collection[str]) -> bool:
    return path.name.endswith(UNFINISHED) or (path.suffix in suffixes and path.stem not in keep)


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _missing(path: Path) -> str:
    return f"{path} is missing. Restore it from a backup, or start with an empty data folder and import again."


def _damaged(path: Path, found: str) -> str:
    return (
        f"{path} is damaged: its content has sha256 {found}. Restore it from a backup, or start with an empty data "
        "folder and import again; and look after that disk."
    )
