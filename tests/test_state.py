"""The state store: durable on every connection, brought to its schema, and honest about what is wrong."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, PrimaryKeyConstraint, Table, UniqueConstraint, insert, text
from sqlalchemy.exc import IntegrityError

import registry
from registry import store as store_module
from registry.faults import DiskFull, StateBusy, StateDamaged, StateNotDurable, StateTooNew, StateUnavailable
from registry.store import HEAD, REVISIONS, Store, make_durable, migrate, open_store, upgrade
from registry.tables import keys, metadata, predictions

ROOT = Path(registry.__file__).parent
TABLES = sorted(metadata.tables.values(), key=lambda table: table.name)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "data" / "state.db")
    migrate(opened)
    yield opened
    opened.close()


def _key(name: str) -> dict[str, object]:
    words = {"key_id": name, "name": "n", "scopes": "read", "secret_hash": name, "created_by": "local"}
    return {"tenant": "local", "created_at": 1, **words}


def _count(store: Store) -> int:
    with store.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM keys")).scalar_one())


def test_every_connection_of_the_pool_is_durable(store: Store) -> None:
    connections = [store.engine.connect() for _ in range(5)]
    try:
        for connection in connections:
            found = [connection.execute(text(f"PRAGMA {name}")).scalar_one() for name, _, _ in store_module._PRAGMAS]
            assert found == [expected for _, _, expected in store_module._PRAGMAS]
            assert found[:3] == [10_000, "wal", 2]
    finally:
        for connection in connections:
            connection.close()


def test_a_database_that_cannot_promise_durability_is_refused() -> None:
    in_memory = sqlite3.connect(":memory:")
    with pytest.raises(StateNotDurable, match=r"journal_mode is 'memory' where 'wal' is needed"):
        make_durable(in_memory, Path("state.db"))
    in_memory.close()


class Deaf(sqlite3.Connection):
    """Does less than it was asked, and does not say so."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        return super().execute(sql.replace("synchronous = full", "synchronous = normal"), *parameters)


def test_a_pragma_that_was_ignored_without_a_word_is_noticed(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "state.db", factory=Deaf)
    with pytest.raises(StateNotDurable, match="synchronous is 1 where 2 is needed"):
        make_durable(connection, tmp_path / "state.db")
    connection.close()


def test_a_write_is_seen_whole_or_not_at_all(store: Store) -> None:
    def half() -> None:
        with store.write() as connection:
            connection.execute(insert(keys), [_key("a"), _key("b")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert _count(store) == 0
    with store.write() as connection:
        connection.execute(insert(keys), [_key("a"), _key("b")])
        assert _count(store) == 0
    assert _count(store) == 2


def test_the_tables_themselves_are_made_in_a_transaction(store: Store) -> None:
    def half() -> None:
        with store.write() as connection:
            connection.execute(text("CREATE TABLE passing (n INTEGER)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    with store.read() as connection:
        found = connection.execute(text("SELECT count(*) FROM sqlite_master WHERE name = 'passing'")).scalar_one()
    assert found == 0


def test_a_write_takes_the_lock_before_its_first_statement(store: Store) -> None:
    other = sqlite3.connect(store.path, timeout=0, isolation_level=None)
    with store.write() as connection:
        connection.execute(text("SELECT 1"))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    other.execute("BEGIN IMMEDIATE")
    other.close()


def test_writers_of_one_process_take_turns(store: Store) -> None:
    def write(worker: int) -> None:
        for step in range(20):
            with store.write() as connection:
                connection.execute(text("SELECT count(*) FROM keys")).scalar_one()
                connection.execute(insert(keys), [_key(f"{worker}-{step}")])

    workers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert _count(store) == 80


def test_another_process_that_holds_the_lock_is_told_apart(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with store.engine.connect() as connection:  # goes back to the pool as it is
        connection.execute(text("PRAGMA busy_timeout = 0"))
    with pytest.raises(StateBusy, match="locked by another process"), store.write():
        pass
    other.close()
    monkeypatch.setattr(store_module, "BUSY_MS", 0)
    with store.write(), pytest.raises(StateBusy, match="another write"), store.write():
        pass


def test_a_full_disk_is_told_apart(store: Store) -> None:
    big = {**_key("a"), "name": "x" * 10_000_000}
    with store.engine.connect() as connection:
        connection.execute(text("PRAGMA max_page_count = 100"))
    with pytest.raises(DiskFull, match="Free some space"), store.write() as connection:
        connection.execute(insert(keys), [big])
    assert _count(store) == 0


@pytest.mark.parametrize(
    "content", [b"this is not a database, it is a letter" * 200, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_not_a_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(content)
    with pytest.raises(StateDamaged, match="restore all of them from one backup"):
        open_store(path)
    assert path.read_bytes() == content


def test_a_database_with_damaged_pages_is_found_out(store: Store) -> None:
    with store.write() as connection:
        connection.execute(insert(keys), [_key(f"{n:0300d}") for n in range(200)])
    store.check()
    store.close()
    content = bytearray(store.path.read_bytes())
    for at in range(len(content) - 10 * 4096, len(content), 4096):  # the newest pages: rows, not the schema
        content[at : at + 64] = b"\x5a" * 64
    store.path.write_bytes(content)
    damaged = open_store(store.path)
    with pytest.raises(StateDamaged):
        damaged.check()
    damaged.close()


def test_a_truncated_database_is_found_out(store: Store) -> None:
    store.close()
    content = store.path.read_bytes()
    store.path.write_bytes(content[: 2 * 4096])
    with pytest.raises(StateDamaged):
        open_store(store.path)


def test_a_path_that_cannot_be_a_file_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(StateUnavailable, match="cannot be used"):
        open_store(tmp_path)


def test_the_head_constant_is_what_alembic_knows() -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    known = [script.revision for script in scripts.walk_revisions()]
    assert tuple(reversed(known)) == REVISIONS
    assert scripts.get_current_head() == HEAD


@pytest.fixture
def migrated(tmp_path: Path) -> Iterator[Store]:
    """A database that the migrations made, one after another."""
    made = open_store(tmp_path / "migrated.db")
    with made.write() as connection:
        upgrade(connection)
    yield made
    made.close()


def test_the_migrated_schema_is_the_schema_in_the_code(migrated: Store) -> None:
    with migrated.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_the_migrated_tables_have_the_keys_and_the_strictness_of_the_code(migrated: Store, tmp_path: Path) -> None:
    def statements(of: Store) -> list[str]:  # alembic compares neither primary keys nor STRICT
        with of.read() as connection:
            found = connection.execute(text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"))
            return [re.sub(r"\s+", " ", sql) for (sql,) in found if "alembic_version" not in sql]

    straight = open_store(tmp_path / "straight.db")
    with straight.write() as connection:
        metadata.create_all(connection)
    assert statements(straight) == statements(migrated)
    assert len(statements(migrated)) >= len(TABLES)
    straight.close()


def test_a_new_database_stands_where_the_migrations_end(store: Store, migrated: Store) -> None:
    def revision(of: Store) -> list[Any]:
        with of.read() as connection:
            return list(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())

    assert revision(store) == revision(migrated) == [HEAD]


def test_migrating_again_changes_nothing(store: Store) -> None:
    with store.write() as connection:
        connection.execute(insert(keys), [_key("a")])
    migrate(store)
    assert _count(store) == 1


def test_a_migration_that_fails_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    fresh = open_store(tmp_path / "state.db")
    with fresh.write() as connection:
        connection.execute(text("CREATE TABLE parts (n INTEGER)"))  # in the way of the last tables
    with pytest.raises(Exception, match="parts"):
        migrate(fresh)
    with fresh.read() as connection:
        left = connection.execute(text("SELECT name FROM sqlite_master")).scalars().all()
    assert left == ["parts"]
    fresh.close()


def test_a_database_of_a_newer_version_is_refused_with_what_to_do(store: Store) -> None:
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StateTooNew, match=r"schema '9999'.*Install the version that wrote it"):
        migrate(store)


def test_a_start_on_a_ready_database_does_not_import_alembic(store: Store) -> None:
    program = (
        "import sys; from pathlib import Path; from registry.store import migrate, open_store\n"
        "store = open_store(Path(sys.argv[1])); migrate(store); store.close()\n"
        "print([name for name in ('alembic', 'mako', 'sqlalchemy.orm', 'numpy') if name in sys.modules])"
    )
    command = [sys.executable, "-c", program, str(store.path)]
    done = subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_carries_its_tenant_in_every_key(table: Table) -> None:
    assert not table.c.tenant.nullable
    unique = [c for c in table.constraints if isinstance(c, PrimaryKeyConstraint | UniqueConstraint)]
    unique_columns = [[column.name for column in constraint.columns] for constraint in unique]
    unique_columns += [[column.name for column in index.columns] for index in table.indexes]
    unique_columns += [list(constraint.column_keys) for constraint in table.foreign_key_constraints]
    assert unique_columns
    assert all(columns[0] == "tenant" for columns in unique_columns)
    assert not any(isinstance(c, CheckConstraint) for c in table.constraints)


def test_a_column_of_whole_numbers_refuses_what_is_none(store: Store) -> None:
    row = {column.name: "text" for column in predictions.c} | {"features": b""}
    with pytest.raises(IntegrityError), store.write() as connection:
        connection.execute(insert(predictions), [row])


def test_two_tenants_may_use_the_same_key(store: Store) -> None:
    with store.write() as connection:
        connection.execute(insert(keys), [_key("a"), {**_key("a"), "tenant": "other"}])
    with pytest.raises(IntegrityError), store.write() as connection:
        connection.execute(insert(keys), [_key("a")])
