"""How far the questions along history have come: what a kill must not lose, and what is never asked twice."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert

from registry.store import Store
from registry.tables import past


@dataclass(frozen=True, slots=True)
class Stretch:
    """One capability along one series, from `begins` to `ends`, asked up to `through` (all ms UTC; below `begins` where
    nothing was asked yet)."""

    capability: str
    symbol: str
    timeframe: str
    begins: int
    ends: int
    through: int

    @property
    def key(self) -> tuple[str, str, str]:
        return self.capability, self.symbol, self.timeframe


class Past:
    """Stretches of one tenant. The first that is begun under its key stands."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    def stretches(self) -> dict[tuple[str, str, str], Stretch]:
        """All that were begun, by key."""
        with self._store.read() as connection:
            rows = connection.execute(select(past).where(past.c.tenant == self._tenant)).all()
        found = [Stretch(row.capability, row.symbol, row.timeframe, row.begins, row.ends, row.through) for row in rows]
        return {one.key: one for one in found}

    def begin(self, stretch: Stretch) -> None:
        """Writes it down; on disk when this returns."""
        named = {"capability": stretch.capability, "symbol": stretch.symbol, "timeframe": stretch.timeframe}
        row = {**named, "begins": stretch.begins, "ends": stretch.ends, "through": stretch.through}
        with self._store.write() as connection:
            connection.execute(insert(past).values(tenant=self._tenant, **row).on_conflict_do_nothing())

    def reached(self, stretch: Stretch, through: int) -> None:
        """Asked up to `through` (ms), and all answers are on disk."""
        name, symbol, timeframe = stretch.key
        mine = (past.c.tenant == self._tenant) & (past.c.capability == name)
        mine &= (past.c.symbol == symbol) & (past.c.timeframe == timeframe)
        with self._store.write() as connection:
            connection.execute(update(past).where(mine).values(through=through))
