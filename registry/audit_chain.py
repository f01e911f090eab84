"""The audit log as a chain: each row's hash covers its own words and the hash of the row before it.

Who changes, removes, swaps or adds a row breaks the chain where they did it. Who takes rows off its end, or writes the
rest of it anew, is found by what is kept elsewhere: the count in `sequences`, a sealed note beside the database, and
the head that an operator noted down.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from json.encoder import encode_basestring as _word
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, bindparam, select
from sqlalchemy.dialects.sqlite import insert as upsert

from registry.tables import audit, sequences

#: What the first row follows.
GENESIS = "0" * 64
_SEQUENCE = "audit"

_INSERT = (
    "INSERT INTO audit (tenant, id, at, actor, action, subject, detail, previous_hash, hash) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_LAST = select(audit.c.hash).where(audit.c.tenant == bindparam("tenant")).order_by(audit.c.id.desc()).limit(1)
_TAKE = upsert(sequences).values(tenant=bindparam("of"), name=_SEQUENCE, last=bindparam("n"))
_TAKE_NUMBERS = _TAKE.on_conflict_do_update(
    index_elements=["tenant", "name"], set_={"last": sequences.c.last + _TAKE.excluded.last}
).returning(sequences.c.last)


#: Words that come over and over: who, what, to what.
_again = lru_cache(maxsize=1_024)(_word)


class Act(NamedTuple):
    """What was done: `actor` did `action` to `subject`, at `at` (ms). `detail` is JSON. No words of third parties. (A
    tuple, because one is made for every call.)"""

    at: int
    actor: str
    action: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class Head:
    """How many rows there are, and the hash of the last. Written as `rows:hash`, to be noted down."""

    rows: int
    hash: str

    def __str__(self) -> str:
        return f"{self.rows}:{self.hash}"


class Broken(Exception):  # noqa: N818 - told to the operator as it is
    """The log is not as it was written; says where it stops being so."""


def linked(previous: str, tenant: str, number: int, act: Act) -> str:
    """The hash of a row: SHA-256 over the hash before it and the row's words, as JSON without spaces."""
    at, actor, action, subject, detail = act
    told = f"[{_word(tenant)},{number},{at},{_again(actor)},{_again(action)},{_again(subject)},{_word(detail)}]"
    return hashlib.sha256(f"{previous}\n{told}".encode()).hexdigest()


def append(connection: Connection, tenant: str, acts: Sequence[Act]) -> Head:
    """Adds rows at the end of the chain, in the transaction of `connection`."""
    last: int = connection.execute(_TAKE_NUMBERS, {"of": tenant, "n": len(acts)}).scalar_one()
    previous: str = connection.execute(_LAST, {"tenant": tenant}).scalar_one_or_none() or GENESIS
    rows = []
    for number, act in enumerate(acts, last - len(acts) + 1):
        own = linked(previous, tenant, number, act)
        rows.append((tenant, number, *act, previous, own))
        previous = own
    if rows:
        connection.exec_driver_sql(_INSERT, rows)  # one for every call: the ORM's way takes three times as long
    return Head(last, previous)


def verify(
    connection: Connection, tenant: str, known: Iterable[Head] = (), cut: Callable[[], Head | None] = lambda: None
) -> Head:
    """Reads the whole log and returns its head. `known` are heads that it had before; `cut` reads the one where its old
    rows end, which are gone, when the first row was read: they go while others look. Raises Broken."""
    rows = connection.execute(select(audit).where(audit.c.tenant == tenant).order_by(audit.c.id))
    first = rows.fetchone()
    ended = cut() or Head(0, GENESIS)
    begins = _begins(first, ended)
    noted: dict[int, set[str]] = {}
    for head in (*known, ended):
        if head.rows and head.rows <= begins.rows and head != begins:
            raise Broken(f"row {head.rows:,} was removed when it was old: a head noted later is needed to compare with")
        if head.rows > begins.rows:
            noted.setdefault(head.rows, set()).add(head.hash)
    count, previous = begins.rows, begins.hash
    for row in chain(() if first is None else (first,), rows):
        count += 1
        previous = _checked(row, count, previous, tenant)
        if count in noted and noted.pop(count) != {previous}:
            raise Broken(f"the first {count:,} rows are not those that were noted: the log was written anew")
    written = _numbers_taken(connection, tenant)
    if count != written:
        raise Broken(f"{written:,} rows were written and {count:,} are there: the end of the log was cut or added to")
    if noted:
        raise Broken(f"the log had {max(noted):,} rows once and has {count:,}: its end was cut off")
    return Head(count, previous)


def followed(rows: Iterable[Row[Any]], tenant: str, begins: Head) -> Head:
    """The head that these rows make, which come right behind another. Raises Broken."""
    count, previous = begins.rows, begins.hash
    for row in rows:
        count += 1
        previous = _checked(row, count, previous, tenant)
    return Head(count, previous)


def _begins(first: Row[Any] | None, cut: Head) -> Head:
    """What the first row follows. Where some rows before the cut are still there, what they lead to is known."""
    if first is None or first.id > cut.rows:
        return cut
    return Head(first.id - 1, GENESIS if first.id == 1 else first.previous_hash)


def _checked(row: Row[Any], number: int, previous: str, tenant: str) -> str:
    if row.id != number:
        raise Broken(f"row {number:,} is missing: row {row.id:,} stands where it should be")
    if row.previous_hash != previous:
        raise Broken(f"row {number:,} does not follow the row before it: rows were changed, removed or swapped there")
    own = linked(previous, tenant, number, Act(row.at, row.actor, row.action, row.subject, row.detail))
    if row.hash != own:
        raise Broken(f"row {number:,} was changed")
    return own


def _numbers_taken(connection: Connection, tenant: str) -> int:
    mine = (sequences.c.tenant == tenant) & (sequences.c.name == _SEQUENCE)
    return connection.execute(select(sequences.c.last).where(mine)).scalar_one_or_none() or 0
