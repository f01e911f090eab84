"""The outbox: facts that others want to hear of, in the order in which they became true."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select

from registry.faults import EventConflict
from registry.sequence import next_number
from registry.store import Store
from registry.tables import events


@dataclass(frozen=True, slots=True)
class Event:
    """A fact. `id` grows in commit order, without gaps; `key` names it among those of `name`; `payload` is JSON."""

    id: int
    key: str
    name: str
    payload: str
    at: int


@dataclass(frozen=True, slots=True)
class Fact:
    """What is to be published: the first word under a `name` and `key` stands. `payload` is JSON."""

    name: str
    key: str
    payload: str


_COLUMNS = (events.c.id, events.c.key, events.c.name, events.c.payload, events.c.at)


class Events:
    """Events of one tenant. Read at least once: whoever reads keeps the last id that it has dealt with."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    def publish(self, key: str, name: str, payload: str, at: int) -> int:
        """Keeps the event and returns its id; on disk when this returns.

        A fact is published once: the same name, key and payload again give the id of the first, so that a job that was
        killed may simply run again. Raises EventConflict for another payload under that name and key.
        """
        with self._store.write() as connection:
            return put(connection, self._tenant, key, name, payload, at)

    def publish_all(self, facts: Sequence[Fact], at: int) -> None:
        """Keeps those of the facts whose name and key are new, in order, in one transaction; on disk when this
        returns."""
        with self._store.write() as connection:
            for one in facts:
                with suppress(EventConflict):  # told before, with what was known then: that word stands
                    put(connection, self._tenant, one.key, one.name, one.payload, at)

    def newest(self) -> int:
        """The id of the newest event, 0 where there is none."""
        wanted = select(func.max(events.c.id)).where(events.c.tenant == self._tenant)
        with self._store.read() as connection:
            return int(connection.execute(wanted).scalar_one() or 0)

    def newest_of(self, name: str, most: int) -> Sequence[Event]:
        """The newest events of a name, newest first, at most so many."""
        wanted = select(*_COLUMNS).where(events.c.tenant == self._tenant, events.c.name == name)
        with self._store.read() as connection:
            return [Event(*row) for row in connection.execute(wanted.order_by(events.c.id.desc()).limit(most))]

    def prune(self, before: int, most: int) -> int:
        """Forgets events from before `before` (ms), and all but the newest `most`; how many. What is left has no gaps,
        and the newest event stays, whatever its age: ids go on from it."""
        mine = events.c.tenant == self._tenant
        with self._store.write() as connection:
            newest = int(connection.execute(select(func.max(events.c.id)).where(mine)).scalar_one() or 0)
            young = connection.execute(select(func.min(events.c.id)).where(mine, events.c.at >= before)).scalar_one()
            first = max(min(newest, newest if young is None else int(young)), newest - most + 1)
            return connection.execute(delete(events).where(mine, events.c.id < first)).rowcount

    def since(self, id: int, limit: int) -> Sequence[Event]:
        """Up to `limit` events after `id` (0: from the beginning), in order."""
        wanted = select(*_COLUMNS).where(events.c.tenant == self._tenant, events.c.id > id)
        with self._store.read() as connection:
            rows = connection.execute(wanted.order_by(events.c.id).limit(limit))
            return [Event(*row) for row in rows]


def put(connection: Connection, tenant: str, key: str, name: str, payload: str, at: int) -> int:
    """`Events.publish` inside a transaction of the caller's: the fact and its event are on disk together or not at all.
    Raises EventConflict."""
    same = (events.c.tenant == tenant) & (events.c.name == name) & (events.c.key == key)
    first = connection.execute(select(events.c.id, events.c.payload).where(same)).first()
    if first is None:
        number = next_number(connection, tenant, "events")
        row = {"id": number, "key": key, "name": name, "payload": payload, "at": at}
        connection.execute(insert(events).values(tenant=tenant, **row))
        return number
    if first.payload != payload:
        raise EventConflict(f"{name} {key!r} was published with another payload as event {first.id}")
    return int(first.id)
