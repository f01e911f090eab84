"""Leases: who alone may do something for now. Whoever stops saying that it lives loses the lease when it expires."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.dialects.sqlite import insert

from registry.faults import LeaseLost
from registry.store import Store
from registry.tables import leases


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was given. `term` tells it from all others of its name: a later one has a higher term."""

    name: str
    term: int
    holder: str
    claimed_at: int


class Leases:
    """Leases of one tenant, each kept for `keep_ms` after its last sign of life. The caller brings the time (ms)."""

    def __init__(self, store: Store, tenant: str, keep_ms: int) -> None:
        self._store = store
        self._tenant = tenant
        self._keep_ms = keep_ms

    def claim(self, name: str, holder: str, at: int) -> Lease | None:
        """The lease, on disk when this returns; None where somebody holds it still."""
        with self._store.write() as connection:
            last = connection.execute(select(leases.c.term, leases.c.expires_at).where(self._named(name))).first()
            if last is not None and at < last.expires_at:
                return None
            lease = Lease(name, (last.term if last else 0) + 1, holder, at)
            row = {"term": lease.term, "holder": holder, "claimed_at": at, "expires_at": at + self._keep_ms}
            fresh = insert(leases).values(tenant=self._tenant, name=name, **row)
            connection.execute(fresh.on_conflict_do_update(index_elements=["tenant", "name"], set_=row))
        return lease

    def beat(self, lease: Lease, at: int) -> None:
        """A sign of life. Raises LeaseLost where it had expired, even if nobody has claimed it since."""
        held = self._mine(lease) & (leases.c.expires_at > at)
        with self._store.write() as connection:
            done = connection.execute(update(leases).where(held).values(expires_at=at + self._keep_ms))
            if done.rowcount != 1:
                raise LeaseLost(f"the lease on {lease.name} of {lease.holder} has expired, or somebody else has it")

    def release(self, lease: Lease, at: int) -> None:
        """Gives it back, if it is still held: the next claim need not wait."""
        with self._store.write() as connection:
            connection.execute(update(leases).where(self._mine(lease)).values(expires_at=at))

    def void(self, at: int) -> None:
        """For a new owner of the folder: whoever held any of them is dead."""
        mine = (leases.c.tenant == self._tenant) & (leases.c.expires_at > at)
        with self._store.write() as connection:
            connection.execute(update(leases).where(mine).values(expires_at=at))

    def holder(self, name: str, at: int) -> Lease | None:
        """Who holds it at `at`."""
        wanted = select(leases).where(self._named(name) & (leases.c.expires_at > at))
        with self._store.read() as connection:
            row = connection.execute(wanted).first()
        return None if row is None else Lease(name, row.term, row.holder, row.claimed_at)

    def _named(self, name: str) -> ColumnElement[bool]:
        return and_(leases.c.tenant == self._tenant, leases.c.name == name)

    def _mine(self, lease: Lease) -> ColumnElement[bool]:
        return and_(self._named(lease.name), leases.c.term == lease.term)
