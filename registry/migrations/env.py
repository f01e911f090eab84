"""Run by alembic, on the connection and in the transaction that `registry.store.migrate` hands in.

For a new step: `alembic.command.revision` with the same Config; there is no alembic.ini.
"""

from __future__ import annotations

from alembic import context

from registry.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
