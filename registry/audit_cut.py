"""Shortening the audit log: rows go when they are old enough, and the hash of the last that went is kept, sealed, so
that `verify` still proves all that is left."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile

from sqlalchemy import bindparam, delete, select

from registry.audit import Note
from registry.audit_chain import GENESIS, Head, followed
from registry.store import Store
from registry.tables import audit

#: Rows are read, followed and removed by so many: a tenth of a second, for which other writes wait.
BATCH_ROWS = 10_000
_DAY_MS = 86_400_000

_MINE = audit.c.tenant == bindparam("of")
_NEXT = select(audit).where(_MINE, audit.c.id > bindparam("cut")).order_by(audit.c.id).limit(bindparam("most"))
_REMOVE = delete(audit).where(_MINE, audit.c.id <= bindparam("cut"))


@dataclass(frozen=True, slots=True)
class AuditCut:
    """Keeps the rows of `kept_days`; None: all. The newest row always stays: the next one follows it."""

    store: Store
    tenant: str
    note: Note
    kept_days: int | None

    def once(self, now_ms: int) -> int:
        """How many rows went. Raises Broken where the log is not as it was written (nothing more is removed then), a
        StateFault or an OSError; what is gone is gone, and the next run goes on."""
        if self.kept_days is None:
            return 0
        before, gone = now_ms - self.kept_days * _DAY_MS, 0
        while batch := self._batch(before):
            gone += batch
        return gone

    def _batch(self, before: int) -> int:
        begins = self.note.cut.read() or Head(0, GENESIS)
        with self.store.read() as connection:
            rows = connection.execute(_NEXT, {"of": self.tenant, "cut": begins.rows, "most": BATCH_ROWS + 1}).all()
        old = list(takewhile(lambda row: row.at < before, rows[:-1]))
        cut = followed(old, self.tenant, begins)
        if cut.rows > begins.rows:
            self.note.cut.write(cut)  # before they go: a cut that nobody sealed would be a forger's
        if cut.rows:
            with self.store.write() as connection:  # also what was left when the power failed between the two
                connection.execute(_REMOVE, {"of": self.tenant, "cut": cut.rows})
        return len(old)
