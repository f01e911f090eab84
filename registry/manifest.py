"""Which parts make up the history."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from registry.faults import ManifestConflict
from registry.sequence import next_number
from registry.store import Store
from registry.tables import parts


class Manifest:
    """The list of immutable parts (sha256 of their bytes), by kind, in the order in which they were committed."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    def parts(self, kind: str) -> Sequence[str]:
        """sha256s of the parts of `kind`, oldest first."""
        with self._store.read() as connection:
            return list(self._positions(connection, kind))

    def swap(self, kind: str, *, add: str, n_rows: int, remove: Sequence[str] = (), at: int) -> None:
        """Adds one part and takes out those that it replaces, in one step that is on disk when this returns.

        The new part stands where the first of those that it replaces stood, else at the end. A swap that has been done
        already changes nothing. Raises ManifestConflict, with nothing changed, where a part to remove is not there.
        """
        with self._store.write() as connection:
            standing = self._positions(connection, kind)
            gone = [sha256 for sha256 in remove if sha256 not in standing]
            if add in standing and len(gone) == len(remove):
                return
            if gone:
                raise ManifestConflict(
                    f"{len(gone)} of {len(remove)} {kind} parts to remove are not in the manifest: {gone[0]}"
                )
            replaced = [standing[sha256] for sha256 in (*remove, add) if sha256 in standing]
            self._take_out(connection, kind, (*remove, add))
            position = min(replaced) if replaced else next_number(connection, self._tenant, f"parts/{kind}")
            row = {"sha256": add, "position": position, "n_rows": n_rows, "added_at": at}
            connection.execute(insert(parts).values(tenant=self._tenant, kind=kind, **row))

    def _positions(self, connection: Connection, kind: str) -> dict[str, int]:
        mine = (parts.c.tenant == self._tenant) & (parts.c.kind == kind)
        rows = connection.execute(select(parts.c.sha256, parts.c.position).where(mine).order_by(parts.c.position))
        return {row.sha256: row.position for row in rows}

    def _take_out(self, connection: Connection, kind: str, sha256s: Sequence[str]) -> None:
        mine = (parts.c.tenant == self._tenant) & (parts.c.kind == kind)
        for sha256 in sha256s:
            connection.execute(delete(parts).where(mine, parts.c.sha256 == sha256))
