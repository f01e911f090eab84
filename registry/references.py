"""All files that state refers to."""

from __future__ import annotations

from sqlalchemy import select, union

from registry.store import Store
from registry.tables import parts, versions


class References:
    """Of one tenant: parts of every kind of history, and artefacts of every version, whatever its state."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant

    def blobs(self) -> frozenset[str]:
        """sha256s. Raises a StateFault."""
        wanted = union(
            select(parts.c.sha256).where(parts.c.tenant == self._tenant),
            select(versions.c.sha256).where(versions.c.tenant == self._tenant, versions.c.sha256.is_not(None)),
        )
        with self._store.read() as connection:
            return frozenset(connection.execute(wanted).scalars())
