"""Who did what, written in groups off the path of the answer; with `urgent`, on disk before anybody hears of it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path

from sqlalchemy import Connection

from registry.audit_chain import Act, Broken, Head, append, verify
from registry.disk import write_durably
from registry.faults import StateFault
from registry.secret import Secret
from registry.store import Store

#: A group is closed at this many rows.
GROUP_ROWS = 1_000
#: How often the sealed note of the head is written, while rows come.
NOTE_SECONDS = 10.0
RETRY_SECONDS = 1.0

_log = logging.getLogger("barograph.audit")

#: Told, in the transaction of a group, when each actor in it was last seen (ms).
Seen = Callable[[Connection, Mapping[str, int]], None]


class AuditFull(StateFault):
    """Too many rows wait to be written; this one was not taken."""


class AuditNotDurable(StateFault):
    """The row waits to be written, but it is not on disk now."""


class Note:
    """The head of the log, in a file of its own, sealed with the server's secret: whoever can write the database alone
    cannot make it fit a shorter log. `of` is what is noted: the head, or the cut."""

    def __init__(self, folder: Path, tenant: str, secret: Secret, of: str = "head") -> None:
        self._folder, self._of = folder, of
        self._path, self._tenant, self._secret = folder / f"audit-{tenant}.{of}", tenant, secret

    @property
    def cut(self) -> Note:
        """The note of the head that the log had where its old rows end, which are gone."""
        return Note(self._folder, self._tenant, self._secret, "cut")

    def write(self, head: Head) -> None:
        """Replaces the note. Raises DiskFull and OSError."""
        write_durably(self._path, json.dumps({"head": str(head), "seal": self._seal(str(head))}).encode(), mode=0o600)

    def read(self) -> Head | None:
        """The head that was noted last; None where none was. Raises Broken where the note is not ours."""
        if not self._path.is_file():
            return None
        try:
            said = json.loads(self._path.read_bytes())
            head, seal = parsed(str(said["head"])), str(said["seal"])
        except (ValueError, TypeError, KeyError):
            raise Broken(f"{self._path} cannot be read: it was changed, or is damaged") from None
        if seal != self._seal(str(head)):
            raise Broken(f"{self._path} is not sealed with the secret of this data folder: it was changed")
        return head

    def _seal(self, head: str) -> str:
        return self._secret.sign(f"audit-{self._of}".encode(), f"{self._tenant}:{head}".encode()).hex()


class Audit:
    """The log of one tenant. One thread writes what has come every `flush_ms`, or at once when somebody waits. What
    could not be written stays and is tried again. `monotonic` counts seconds, from any start."""

    def __init__(
        self,
        store: Store,
        tenant: str,
        note: Note,
        seen: Seen,
        *,
        capacity: int = 10_000,
        flush_ms: int = 500,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._tenant, self._note, self._seen = store, tenant, note, seen
        self._capacity, self._flush_seconds, self._monotonic = capacity, flush_ms / 1_000, monotonic
        self._changed = threading.Condition()
        self._waiting: list[Act] = []
        self._waiters: list[Future[None]] = []
        self._closing = False
        self._fault: Exception | None = None
        self._head: Head | None = None
        self._note_at = 0.0
        self._thread = threading.Thread(target=self._run, name="barograph-audit", daemon=True)
        self._thread.start()

    def record(self, act: Act) -> None:
        """Queues the act. Raises AuditFull."""
        with self._changed:
            self._take(act)

    def record_now(self, act: Act) -> Future[None]:
        """Queues the act; the future is done when it is on disk, and raises AuditNotDurable where that failed. Raises
        AuditFull."""
        waiter: Future[None] = Future()
        waiter.set_running_or_notify_cancel()
        with self._changed:
            self._take(act)
            self._waiters.append(waiter)
            self._changed.notify_all()
        return waiter

    def close(self) -> None:
        """Writes all that is queued, and the note. Raises AuditNotDurable where something could not be written."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        if self._waiting:
            raise AuditNotDurable(f"{len(self._waiting):,} rows of the audit log are lost: {self._fault}")

    def _take(self, act: Act) -> None:
        if self._closing or len(self._waiting) >= self._capacity:
            raise AuditFull(f"{len(self._waiting):,} rows of the audit log wait to be written")
        if not self._waiting:
            self._changed.notify_all()
        self._waiting.append(act)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._waiters or self._closing):
                    self._changed.wait()
                if not (self._waiters or self._closing):
                    self._changed.wait(RETRY_SECONDS if self._fault else self._flush_seconds)
                group, waiters = self._waiting[:GROUP_ROWS], self._waiters
                self._waiters = []
                last = self._closing and len(self._waiting) <= GROUP_ROWS
            try:
                self._write(group)
                self._settle(group, waiters)
                self._write_note(last)
            except Exception as fault:  # noqa: BLE001 - a writer that died would leave its callers waiting for ever
                self._failed(fault, waiters)
                last = self._closing
            if last:
                return

    def _write(self, group: list[Act]) -> None:
        if group:
            with self._store.write() as connection:
                self._head = append(connection, self._tenant, group)
                self._seen(connection, {act.actor: act.at for act in group})

    def _write_note(self, last: bool) -> None:
        if self._head is None or not (last or self._monotonic() >= self._note_at):
            return
        self._note_at = self._monotonic() + NOTE_SECONDS
        try:
            self._note.write(self._head)
        except (StateFault, OSError):  # the rows are written all the same; the older note is true of them still
            _log.exception("the note of the audit log's head cannot be written")

    def _settle(self, group: list[Act], waiters: list[Future[None]]) -> None:
        with self._changed:
            del self._waiting[: len(group)]
            if self._waiting and waiters:  # a waiter's act may be in the next group
                self._waiters = waiters + self._waiters
                waiters = []
            if self._fault is not None:
                _log.info("the audit log is written again")
            self._fault = None
        for waiter in waiters:
            waiter.set_result(None)

    def _failed(self, fault: Exception, waiters: list[Future[None]]) -> None:
        if self._fault is None:
            _log.error("the audit log cannot be written, its rows stay queued", exc_info=fault)
        self._fault = fault
        for waiter in waiters:
            waiter.set_exception(AuditNotDurable(f"not on disk: {type(fault).__name__}: {fault}"))


def verified(store: Store, tenant: str, note: Note, known: Head | None = None) -> Head:
    """Reads the whole log of a tenant and returns its head. Raises Broken."""
    noted = note.read()  # before the log: rows that come meanwhile only make it longer
    with store.read() as connection:
        return verify(connection, tenant, [head for head in (noted, known) if head is not None], note.cut.read)


def parsed(said: str) -> Head:
    """`rows:hash`. Raises ValueError."""
    rows, _, own = said.partition(":")
    if not rows.isdecimal() or len(own) != 64 or set(own) - set("0123456789abcdef"):
        raise ValueError("a head is written rows:hash, the hash in 64 hexadecimal digits")
    return Head(int(rows), own)
