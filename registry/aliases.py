"""The history of an alias: which version was in force when, and for which strata of questions. It is only added to."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from registry.tables import alias_strata, aliases

CHAMPION = "champion"
#: The version that every capability has: its rules.
RULES = 0


@dataclass(frozen=True, slots=True)
class InForce:
    """A version, and the strata of questions for which it is in force; None is everywhere. Elsewhere the rules are."""

    version: int
    strata: frozenset[str] | None = None


#: Before the first move: the rules need no training data.
AT_FIRST = InForce(RULES)


@dataclass(frozen=True, slots=True)
class Moves:
    """Where an alias pointed: from `moved_at[i]` (ms, not decreasing) on, to `to[i]`. There is at least one."""

    moved_at: tuple[int, ...]
    to: tuple[InForce, ...]

    def at(self, as_of: int) -> InForce:
        nth = bisect_right(self.moved_at, as_of)
        return self.to[nth - 1] if nth else AT_FIRST

    @property
    def last(self) -> InForce:
        return self.to[-1]

    def before(self) -> list[InForce]:
        """Who was in force before the one now in force first was, newest first. Empty where it was the first of all."""
        versions = [one.version for one in self.to]
        return list(reversed(self.to[: versions.index(versions[-1])]))


def moves_of(connection: Connection, tenant: str) -> Mapping[str, Moves]:
    """All moves of the champions, by capability."""
    mine = (alias_strata.c.tenant == tenant) & (alias_strata.c.alias == CHAMPION)
    strata: dict[tuple[str, int], set[str]] = defaultdict(set)
    for row in connection.execute(select(alias_strata).where(mine)):
        strata[row.capability, row.move].add(row.stratum)
    found: dict[str, list[tuple[int, InForce]]] = defaultdict(list)
    wanted = select(aliases).where(aliases.c.tenant == tenant, aliases.c.alias == CHAMPION).order_by(aliases.c.move)
    for row in connection.execute(wanted):
        some = strata.get((row.capability, row.move))
        found[row.capability].append((row.moved_at, InForce(row.version, frozenset(some) if some else None)))
    return {name: Moves(tuple(at for at, _ in moves), tuple(to for _, to in moves)) for name, moves in found.items()}


def move(connection: Connection, tenant: str, capability: str, number: int, to: InForce, at: int) -> None:
    """Writes down that the champion is `to` from `at` (ms) on. `number` counts moves from 1."""
    named = {"tenant": tenant, "capability": capability, "alias": CHAMPION, "move": number}
    connection.execute(insert(aliases).values(**named, version=to.version, moved_at=at))
    if to.strata:
        connection.execute(insert(alias_strata), [{**named, "stratum": one} for one in sorted(to.strata)])
