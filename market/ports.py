"""What history needs somebody to keep. The registry implements it; so does a test with a folder and a list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class Blobs(Protocol):
    """Immutable bytes, found by their sha256."""

    def put(self, content: bytes, suffix: str) -> str:
        """Keep `content`; its sha256 in hex. On disk when it returns. Raises the store's own error where it cannot."""

    def renew(self, sha256: str, suffix: str) -> bool:
        """Let no sweep take the bytes for a while, though nothing may refer to them. Whether they are there."""

    def path(self, sha256: str, suffix: str) -> Path:
        """Where the bytes lie, after a check that they are still those of `sha256`. Raises where they are not."""


class Manifest(Protocol):
    """Which parts make up a kind of history. One transaction per change."""

    def parts(self, kind: str) -> Sequence[str]:
        """sha256 of every part in force, in the order of their commits."""

    def swap(self, kind: str, *, add: str, n_rows: int, remove: Sequence[str] = (), at: int) -> None:
        """Put the part `add` in force and take `remove` out of it, both or neither. On disk when it returns.

        `at` is when (ms UTC), for the record only.
        """
