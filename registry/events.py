"""The outbox: facts that others want to hear of, in the order in which they became true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, select

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
            same = (events.c.tenant == self._tenant) & (events.c.name == name) & (events.c.key == key)
            first = connection.execute(select(events.c.id, events.c.payload).where(same)).first()
            if first is None:
                number = next_number(connection, self._tenant, "events")
                row = {"id": number, "key": key, "name": name, "payload": payload, "at": at}
                connection.execute(insert(events).values(tenant=self._tenant, **row))
                return number
            if first.payload != payload:
                raise EventConflict(f"{name} {key!r} was published with another payload as event {first.id}")
            return int(first.id)

    def since(self, id: int, limit: int) -> Sequence[Event]:
        """Up to `limit` events after `id` (0: from the beginning), in order."""
        columns = (events.c.id, events.c.key, events.c.name, events.c.payload, events.c.at)
        wanted = select(*columns).where(events.c.tenant == self._tenant, events.c.id > id)
        with self._store.read() as connection:
            rows = connection.execute(wanted.order_by(events.c.id).limit(limit))
            return [Event(*row) for row in rows]
