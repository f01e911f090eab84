"""The ledger: every prediction that was given, written in groups off the path of the answer."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select
from sqlalchemy.dialects.sqlite import insert

from registry.entry import Entry, keep_names, kept
from registry.faults import LedgerClosed, LedgerFull, LedgerNotDurable
from registry.store import Store
from registry.tables import predictions, seals

__all__ = ["Entry", "Ledger"]

#: A group is closed at this many entries, so that nobody waits long behind a replay.
GROUP_ENTRIES = 1_000
#: How late a kill -9 may find the note of what was asked again within a bar, when nothing new was said.
SEALS_SECONDS = 1.0
FIRST_RETRY_SECONDS = 0.1
LAST_RETRY_SECONDS = 5.0

_log = logging.getLogger("barograph.ledger")

_INSERT = insert(predictions).on_conflict_do_nothing(index_elements=["tenant", "prediction_id"])
_FIND = kept().where(
    predictions.c.tenant == bindparam("tenant"), predictions.c.prediction_id == bindparam("prediction_id")
)
_SEAL = insert(seals)
_SEAL = _SEAL.on_conflict_do_update(
    index_elements=["tenant", "symbol", "timeframe"],
    set_={"as_of": func.max(seals.c.as_of, _SEAL.excluded.as_of)},
)
_COUNT = select(func.count()).select_from(predictions).where(predictions.c.tenant == bindparam("tenant"))


@dataclass(slots=True, eq=False)
class _Batch:
    """What one call of `record` brought. `waiter` is None when the caller has been told."""

    number: int
    entries: tuple[Entry, ...]
    queued_at: float
    urgent: bool
    waiter: Future[None] | None


class Ledger:
    """Predictions of one tenant. The first entry under a `prediction_id` stands; later ones change nothing.

    `record` puts entries in a queue of at most `capacity`; one thread writes all that has queued every `flush_ms`, in
    one durable transaction, or at once when somebody waits. When that fails, a full disk say, everything stays queued
    and is tried again. `monotonic` counts seconds, from any start.
    """

    def __init__(
        self,
        store: Store,
        tenant: str,
        *,
        capacity: int = 10_000,
        flush_ms: int = 50,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._tenant = tenant
        self._capacity = capacity
        self._flush_seconds = flush_ms / 1_000
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._waiting: deque[_Batch] = deque()
        self._pending = 0
        self._by_id: dict[str, Entry] = {}
        self._number = 0
        self._hurry_through = 0
        self._closing = False
        self._gave_up = False
        self._fault: str | None = None
        self._retry_seconds = 0.0
        self._retry_at = 0.0
        with store.read() as connection:
            self._asked_through = _asked_through(connection, tenant)
        self._unsealed: set[tuple[str, str]] = set()
        self._seal_at = math.inf
        self._thread = threading.Thread(target=self._run, name="barograph-ledger", daemon=True)
        self._thread.start()

    def record(self, entries: Sequence[Entry], *, urgent: bool = False) -> Future[None]:
        """Queues entries and returns at once. The future is done when all of them are on disk.

        `urgent` has them written now; its future raises LedgerNotDurable where that failed (they stay queued). Entries
        of one call are written together. Raises LedgerFull, with nothing queued, or LedgerClosed.
        """
        waiter: Future[None] = Future()
        waiter.set_running_or_notify_cancel()  # a caller who walks away must not stop the writer
        with self._changed:
            if self._closing:
                raise LedgerClosed("the ledger was closed; nothing was queued")
            if self._pending + len(entries) > self._capacity:
                raise LedgerFull(
                    f"{self._pending:,} entries wait to be written and {len(entries):,} more do not fit in "
                    f"{self._capacity:,}; nothing was queued. {self._fault or 'The disk is too slow.'}"
                )
            self._number += 1
            batch = _Batch(self._number, tuple(entries), self._monotonic(), urgent, waiter)
            idle = not self._waiting
            self._take(batch)
            if urgent:
                self._hurry_through = self._number
            if urgent or idle:
                self._changed.notify_all()
        return waiter

    def flush_now(self) -> None:
        """Waits until all that is queued is on disk. Raises LedgerNotDurable where that failed."""
        self.record((), urgent=True).result()

    def find(self, prediction_id: str) -> Entry | None:
        """The entry, queued or on disk; the first that was recorded under this id."""
        with self._changed:
            queued = self._by_id.get(prediction_id)
        with self._store.read() as connection:  # after the look at the queue: what left it meanwhile is here
            row = connection.execute(_FIND, {"tenant": self._tenant, "prediction_id": prediction_id}).first()
        return queued if row is None else Entry.of(row)

    def asked(self, symbol: str, timeframe: str, as_of: int) -> None:
        """Somebody is answered as of then (ms), with a new entry or with one that stands. Kept within `SEALS_SECONDS`,
        and with the next group."""
        series = symbol, timeframe
        if as_of <= self._asked_through.get(series, as_of - 1):
            return
        with self._changed:
            self._asked_through[series] = max(as_of, self._asked_through.get(series, as_of))
            self._unsealed.add(series)
            if self._seal_at == math.inf and not self._closing:
                self._seal_at = self._monotonic() + SEALS_SECONDS
                self._changed.notify_all()

    def asked_through(self, symbol: str, timeframe: str) -> int | None:
        """The latest `as_of` (ms) that was ever answered on this series, queued entries included."""
        with self._changed:
            return self._asked_through.get((symbol, timeframe))

    def asked_through_all(self) -> dict[tuple[str, str], int]:
        """The same for every (symbol, timeframe)."""
        with self._changed:
            return dict(self._asked_through)

    def count(self) -> int:
        """Entries on disk. Reads an index: some milliseconds per million."""
        with self._store.read() as connection:
            number: int = connection.execute(_COUNT, {"tenant": self._tenant}).scalar_one()
        return number

    def pending(self) -> int:
        """Entries that wait to be written."""
        with self._changed:
            return self._pending

    def lag_ms(self) -> float:
        """For how long the oldest waiting entry has waited; 0 where none does."""
        with self._changed:
            return 1_000 * (self._monotonic() - self._waiting[0].queued_at) if self._waiting else 0.0

    def error(self) -> str | None:
        """Why entries cannot be written at present, or None."""
        with self._changed:
            return self._fault

    def close(self) -> None:
        """Writes all that is queued and stops. Raises LedgerNotDurable where something could not be written."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        self._thread.join()
        if self._pending:
            raise LedgerNotDurable(f"{self._pending:,} entries could not be written and are lost: {self._fault}")

    def _take(self, batch: _Batch) -> None:
        self._waiting.append(batch)
        self._pending += len(batch.entries)
        for entry in batch.entries:
            self._by_id.setdefault(entry.prediction_id, entry)
            series = (entry.symbol, entry.timeframe)
            if entry.as_of > self._asked_through.get(series, entry.as_of - 1):
                self._asked_through[series] = entry.as_of
                self._unsealed.add(series)

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            try:
                self._write(group)
            except Exception as fault:  # noqa: BLE001 - a writer that died would leave its callers waiting for ever
                self._failed(fault)
            else:
                self._committed(group)

    def _next_group(self) -> list[_Batch] | None:
        """Waits for the time to write, and says what; None when there is nothing more to do."""
        with self._changed:
            while not self._closing and self._seconds_left() > 0:
                left = self._seconds_left()
                self._changed.wait(None if left == math.inf else left)
            if self._gave_up or (self._closing and not self._waiting and not self._unsealed):
                return None
            return _first_of(self._waiting)

    def _seconds_left(self) -> float:
        now = self._monotonic()
        seals_left = max(self._seal_at, self._retry_at) - now
        if not self._waiting:
            return seals_left
        if self._waiting[0].number <= self._hurry_through:
            return 0.0
        return min(max(self._waiting[0].queued_at + self._flush_seconds, self._retry_at) - now, seals_left)

    def _write(self, group: Sequence[_Batch]) -> None:
        rows = [entry.row(self._tenant) for batch in group for entry in batch.entries]
        with self._changed:
            sealed = {series: self._asked_through[series] for series in self._unsealed}
        told = [
            {"tenant": self._tenant, "symbol": symbol, "timeframe": timeframe, "as_of": as_of}
            for (symbol, timeframe), as_of in sealed.items()
        ]
        if rows or told:
            with self._store.write() as connection:
                if rows:
                    keep_names(connection, self._tenant, (entry for batch in group for entry in batch.entries))
                    connection.execute(_INSERT, rows)
                if told:
                    connection.execute(_SEAL, told)
        with self._changed:
            self._unsealed -= {series for series, as_of in sealed.items() if self._asked_through[series] == as_of}
            self._seal_at = self._monotonic() + SEALS_SECONDS if self._unsealed else math.inf

    def _committed(self, group: Sequence[_Batch]) -> None:
        with self._changed:
            for batch in group:
                self._waiting.popleft()
                self._pending -= len(batch.entries)
                for entry in batch.entries:
                    if self._by_id.get(entry.prediction_id) is entry:
                        del self._by_id[entry.prediction_id]
            if self._fault is not None:
                _log.info("the ledger is written again")
            self._fault, self._retry_seconds, self._retry_at = None, 0.0, 0.0
        for batch in group:
            if batch.waiter is not None:
                batch.waiter.set_result(None)

    def _failed(self, fault: Exception) -> None:
        with self._changed:
            if self._fault is None:
                _log.error("the ledger cannot be written, its entries stay queued", exc_info=fault)
            self._fault = f"{type(fault).__name__}: {fault}"
            self._retry_seconds = min(max(2 * self._retry_seconds, FIRST_RETRY_SECONDS), LAST_RETRY_SECONDS)
            self._retry_at = self._monotonic() + self._retry_seconds
            self._hurry_through = 0
            self._gave_up = self._closing
            waiters = [batch.waiter for batch in self._waiting if batch.urgent or self._gave_up]
            for batch in self._waiting:
                if batch.urgent:
                    batch.waiter = None
        for waiter in waiters:
            if waiter is not None:
                waiter.set_exception(LedgerNotDurable(f"not on disk: {self._fault}"))


def _first_of(waiting: deque[_Batch]) -> list[_Batch]:
    group: list[_Batch] = []
    size = 0
    for batch in waiting:
        if group and size + len(batch.entries) > GROUP_ENTRIES:
            break
        group.append(batch)
        size += len(batch.entries)
    return group


def _asked_through(connection: Connection, tenant: str) -> dict[tuple[str, str], int]:
    kept = select(seals.c.symbol, seals.c.timeframe, seals.c.as_of).where(seals.c.tenant == tenant)
    return {(row.symbol, row.timeframe): row.as_of for row in connection.execute(kept)}
