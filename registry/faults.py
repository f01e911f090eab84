"""What can go wrong with state, each with what to do about it. One base, so that a caller can catch them all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError


class StateFault(Exception):  # noqa: N818 - its children are named for what they mean, not for being errors
    """Base of everything that the registry raises on purpose."""


class StateNotDurable(StateFault):
    """The database does not promise what we promise: a commit would not survive a power cut."""


class StateDamaged(StateFault):
    """The file is not a database, or not a whole one."""


class StateTooNew(StateFault):
    """The database was written by a newer Barograph, or by something else."""


class StateBusy(StateFault):
    """Somebody else held the write lock for too long."""


class StateUnavailable(StateFault):
    """The database cannot be opened, read or written: rights, a missing folder, an I/O error."""


class DiskFull(StateFault):
    """No space left. Nothing half-written is visible; the same call succeeds once there is space."""


class MissingBlob(StateFault):
    """A file that state refers to is not there."""


class DamagedBlob(StateFault):
    """A file whose content is not what its name says."""


class ManifestConflict(StateFault):
    """A swap would remove parts that are no longer there: somebody else has replaced them."""


class EventConflict(StateFault):
    """Another payload was published under the same name and key."""


class UnknownCapability(StateFault):
    """No version of this capability was ever registered."""


class UnknownVersion(StateFault):
    """A version that was never registered."""


class MoveRefused(StateFault):
    """A move of an alias, or a change of a version's state, that makes no sense from where things stand."""


class LeaseLost(StateFault):
    """The lease has expired or somebody else holds it: what was being done under it must not be finished."""


class BadEntry(StateFault):
    """An entry that cannot be kept as it is."""


class LedgerFull(StateFault):
    """The queue of the ledger is full: nothing of this call was queued."""


class LedgerNotDurable(StateFault):
    """The entries are queued and will be written, but they are not on disk now."""


class LedgerClosed(StateFault):
    """The ledger was closed; it takes no more entries."""


_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_UNAVAILABLE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR}


@contextmanager
def told_apart(path: Path) -> Iterator[None]:
    """Raises what the database at `path` says went wrong as one of the faults above.

    What stays an error of SQLAlchemy is a mistake in our own statements.
    """
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        fault = _fault(path, getattr(cause, "sqlite_errorcode", 0) & 0xFF, str(cause))
        if fault is None:
            raise
        raise fault from error


def _fault(path: Path, code: int, said: str) -> StateFault | None:
    if code in _DAMAGED:
        return StateDamaged(
            f"{path} is not a whole SQLite database ({said}). Stop the server, move the file and its -wal and -shm "
            "neighbours aside, and restore all of them from one backup; without a backup, start with an empty folder."
        )
    if code == sqlite3.SQLITE_FULL:
        return DiskFull(f"no space left for {path} ({said}). Free some space; nothing was half-written.")
    if code in _BUSY:
        return StateBusy(
            f"{path} is locked by another process ({said}). One server owns a data folder: stop the other."
        )
    if code in _UNAVAILABLE:
        return StateUnavailable(f"{path} cannot be used ({said}). See that the folder exists and may be written to.")
    return None
