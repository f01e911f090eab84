"""The state store: one SQLite file whose commits survive a power cut, and its schema."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text

from registry.disk import make_folder
from registry.faults import StateBusy, StateDamaged, StateNotDurable, StateTooNew, told_apart
from registry.tables import metadata

#: Revisions of the schema, oldest first. A copy of what alembic knows, so that a start need not import alembic.
REVISIONS = ("0001", "0002", "0003", "0004", "0005")
HEAD = REVISIONS[-1]

BUSY_MS = 10_000
#: The write-ahead log is cut back to this after a burst.
WAL_LIMIT_BYTES = 64 * 1024 * 1024
#: STRICT tables (3.37) and RETURNING (3.35).
OLDEST_SQLITE = (3, 37, 0)

_MIGRATIONS = Path(__file__).parent / "migrations"
#: (pragma, what we set, what must then be read back)
_PRAGMAS = (
    ("busy_timeout", str(BUSY_MS), BUSY_MS),
    ("journal_mode", "wal", "wal"),
    ("synchronous", "full", 2),
    ("fullfsync", "on", 1),  # on macOS fsync alone does not reach the platter; elsewhere it means nothing
    ("checkpoint_fullfsync", "on", 1),
    ("foreign_keys", "on", 1),
    ("journal_size_limit", str(WAL_LIMIT_BYTES), WAL_LIMIT_BYTES),
)


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """State on disk. Read through `read`, write through `write`; `engine` is there for tests and migrations.

    Writers of this process take turns under a lock, and so do the checkpoints that their commits run: SQLite before
    3.51.3 can damage a database when two connections write or checkpoint at the same instant (the WAL-reset bug).
    """

    path: Path
    engine: Engine
    _writing: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection whose statements all see the same state. Raises a StateFault where the file is unwell."""
        with told_apart(self.path), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, on disk when the block has ended, undone when it raises. Not to be nested.

        Raises StateBusy after `BUSY_MS`, DiskFull, StateDamaged or StateUnavailable.
        """
        if not self._writing.acquire(timeout=BUSY_MS / 1_000):
            raise StateBusy(f"another write to {self.path} has taken more than {BUSY_MS:,} ms")
        try:
            with told_apart(self.path), self.engine.execution_options(immediate=True).begin() as connection:
                yield connection
        finally:
            self._writing.release()

    def check(self) -> None:
        """Reads the whole file. Raises StateDamaged with the first of what is wrong. Takes a second per gigabyte."""
        with self.read() as connection:
            found = connection.execute(text("PRAGMA integrity_check(1)")).scalar_one()
            orphans = connection.execute(text("PRAGMA foreign_key_check")).first()
        if found != "ok" or orphans is not None:
            raise StateDamaged(f"{self.path} is damaged ({found}, {orphans}): restore it from a backup")

    def close(self) -> None:
        """Closes every connection. The last one folds the write-ahead log into the database."""
        with self._writing:
            self.engine.dispose()


def open_store(path: Path) -> Store:
    """Opens the database at `path`, or makes an empty one; folders above it too. `migrate` brings the tables.

    Raises StateDamaged, StateNotDurable (no write-ahead log here: a network drive, say), StateUnavailable.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StateNotDurable(f"SQLite {sqlite3.sqlite_version} is too old: 3.37 or newer is needed")
    make_folder(path.parent)
    # Without isolation_level=None the driver opens transactions by itself, late and deferred.
    engine = create_engine(
        URL.create("sqlite", database=str(path)), connect_args={"isolation_level": None}, hide_parameters=True
    )
    event.listen(engine, "connect", lambda connection, _record: _connected(connection, path))
    event.listen(engine, "begin", _begin)
    store = Store(path, engine)
    try:
        with store.read() as connection:
            connection.execute(text("SELECT count(*) FROM sqlite_master"))
    except BaseException:  # an interrupt, too, must leave no connection behind
        engine.dispose()
        raise
    return store


def migrate(store: Store) -> None:
    """Brings the tables to `HEAD`, in one transaction; at `HEAD` it only looks. Raises StateTooNew.

    An empty file gets the tables of the code as they are: a first start need not import alembic. A test holds them
    equal to what the migrations make.
    """
    with store.read() as connection:
        stands_at = _revision(connection)
        empty = not inspect(connection).get_table_names()
    if stands_at == HEAD:
        return
    if stands_at is not None and stands_at not in REVISIONS:
        raise StateTooNew(
            f"{store.path} has schema {stands_at!r}; this version of Barograph knows {HEAD!r} and older. Install the "
            "version that wrote it, or a newer one; or restore a backup made before the upgrade."
        )
    with store.write() as connection:
        if empty:
            _make(connection)
        else:
            upgrade(connection)


def upgrade(connection: Connection) -> None:
    """Runs the migrations that the database has not seen, whatever it holds."""
    from alembic import command  # 0.3 s, and only an old database needs it
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def make_durable(connection: sqlite3.Connection, path: Path) -> None:
    """Sets what every connection needs and reads it back: SQLite ignores what it cannot do, without a word."""
    for name, value, expected in _PRAGMAS:
        connection.execute(f"PRAGMA {name} = {value}").fetchall()
        (found,) = connection.execute(f"PRAGMA {name}").fetchone()
        if found != expected:
            raise StateNotDurable(
                f"{path}: {name} is {found!r} where {expected!r} is needed. Put the data folder on a local disk; "
                "network and in-memory file systems cannot promise that what is committed stays."
            )


def _connected(connection: sqlite3.Connection, path: Path) -> None:
    try:
        make_durable(connection, path)
    except BaseException:  # as above
        connection.close()
        raise


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return revision


def _make(connection: Connection) -> None:
    metadata.create_all(connection)
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})
