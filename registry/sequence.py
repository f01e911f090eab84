"""Numbers that only grow, per tenant and name."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.dialects.sqlite import insert

from registry.tables import sequences


def next_number(connection: Connection, tenant: str, name: str) -> int:
    """The next number of the sequence, from 1. Given back when the transaction of `connection` is undone."""
    first = insert(sequences).values(tenant=tenant, name=name, last=1)
    following = first.on_conflict_do_update(
        index_elements=["tenant", "name"], set_={"last": sequences.c.last + 1}
    ).returning(sequences.c.last)
    number: int = connection.execute(following).scalar_one()
    return number
