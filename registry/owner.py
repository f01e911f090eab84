"""Who owns a data folder: one process at a time, by a lock that dies with it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

LOCK = "owner.lock"
CARD = "owner.json"

#: `owner_of` shares the lock for microseconds while it looks; a claim that meets such a glance tries again, this often.
GLANCES = 100
GLANCE_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that owns a folder, and where it can be asked (`url` is None while it is not serving). `pid` is 0
    in the instant before it has said who it is."""

    pid: int
    url: str | None
    started_at: int

    def __str__(self) -> str:
        who = f"process {self.pid}" if self.pid else "another process"
        return f"{who} at {self.url}" if self.url else who


_UNKNOWN = Owner(pid=0, url=None, started_at=0)


class FolderOwned(Exception):  # noqa: N818 - told to the operator as it is
    """Another process owns the data folder."""

    def __init__(self, folder: Path, owner: Owner) -> None:
        ask = "ask that one, stop it" if owner.url else "wait for it, stop it"
        super().__init__(f"{folder} is owned by {owner}; {ask}, or name another folder with --data")
        self.owner = owner


class Ownership:
    """Holds the lock of a data folder from `claim` to `release`, or until the process dies."""

    def __init__(self, folder: Path, lock: IO[str], pid: int, started_at: int) -> None:
        self._folder, self._lock, self._pid, self._started_at = folder, lock, pid, started_at

    @staticmethod
    def claim(folder: Path, pid: int, started_at: int) -> Ownership:
        """Takes the folder (made where it is missing). Raises FolderOwned, at once, where it is taken, and OSError."""
        from registry.disk import make_folder  # pulls SQLAlchemy in, which those who only look need not wait for

        make_folder(folder)
        lock = (folder / LOCK).open("a+")
        if not _locked(lock):
            lock.close()
            raise FolderOwned(folder, _card(folder))
        ownership = Ownership(folder, lock, pid, started_at)
        try:
            ownership.announce(None)
        except BaseException:  # an interrupt, too, must leave the folder to the next
            lock.close()
            raise
        return ownership

    def announce(self, url: str | None) -> None:
        """Writes down where the owner can be asked, for clients on this machine; replaced whole."""
        card = Owner(self._pid, url, self._started_at)
        written = self._folder / f"{CARD}.{self._pid}"
        try:
            written.write_text(json.dumps(asdict(card)), "utf-8")
            os.replace(written, self._folder / CARD)  # noqa: PTH105 - the atomic one, by its name
        except OSError:
            written.unlink(missing_ok=True)
            raise

    def release(self) -> None:
        """Gives the folder back."""
        try:
            (self._folder / CARD).unlink(missing_ok=True)
        finally:
            self._lock.close()


def owner_of(folder: Path) -> Owner | None:
    """The living owner of a folder, or None. A card left by a killed process counts for nothing: its lock is free."""
    try:
        lock = (folder / LOCK).open("rb")
    except FileNotFoundError:
        return None
    with lock:
        return None if _take(lock, fcntl.LOCK_SH) else _card(folder)


def _locked(lock: IO[str]) -> bool:
    for _ in range(GLANCES):
        if _take(lock, fcntl.LOCK_EX):
            return True
        if not _take(lock, fcntl.LOCK_SH):
            return False  # held by an owner, not by a glance
        fcntl.flock(lock, fcntl.LOCK_UN)
        time.sleep(GLANCE_SECONDS)
    return False


def _take(lock: IO[str] | IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _card(folder: Path) -> Owner:
    """What the owner says of itself. It may be about to: then it is an owner all the same, of whom nothing is known."""
    try:
        return Owner(**json.loads((folder / CARD).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return _UNKNOWN
