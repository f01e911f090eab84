"""State that an older version wrote: brought to today's schema, with every row as readable as it was."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config as Alembic
from sqlalchemy import text

import registry
from ml.catalogue import CATALOGUE
from registry import store as store_module
from registry.entry import Entry
from registry.outcomes import Outcomes
from registry.store import HEAD, Store, open_store
from server import House, build
from tests.conftest import NOW, HandClock
from tests.test_settle import asked

pytestmark = pytest.mark.anyio

VOLATILITY = next(one for one in CATALOGUE if one.name == "volatility")
REGIME = next(one for one in CATALOGUE if one.name == "regime")
HOUR_MS = 3_600_000
#: In the order of their keys.
WRITTEN = ("predictions", "outcomes", "seals", "versions", "aliases", "parts", "sequences")


def made_at(revision: str, path: Path) -> Store:
    """An empty database as the migrations up to `revision` make it."""
    store = open_store(path)
    config = Alembic()
    config.set_main_option("script_location", str(Path(registry.__file__).parent / "migrations"))
    with store.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return store


def as_written_by_0002(new: Path, old: Path) -> None:
    """The rows of a database, in one of the schema before lists of names had a table of their own."""
    made_at("0002", old).close()
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS new", (str(new),))
        for table in WRITTEN:
            columns = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
            told = {"feature_names": "(SELECT names FROM new.feature_lists WHERE list_id = feature_names)"}
            chosen = ", ".join(told.get(one, one) for one in columns)
            connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) SELECT {chosen} FROM new.{table}")
        (names,) = connection.execute("SELECT feature_names FROM predictions").fetchone()
        assert names.startswith("[")


@pytest.fixture
async def before(house: House, tmp_path: Path) -> list[Entry]:
    """A ledger of rules on two kinds of rows, half of them settled; then written down as an old version would have."""
    replies = await asked(house, VOLATILITY, [NOW - n * HOUR_MS for n in (3, 30, 60)])
    replies += await asked(house, REGIME, [NOW - n * HOUR_MS for n in (3, 100)])
    assert house.settle.settle(NOW).known >= 3
    entries = [entry for one in replies if (entry := house.ledger.find(one.prediction_id))]
    house.ledger.close()
    old = tmp_path / "old" / "state.sqlite"
    as_written_by_0002(tmp_path / "data" / "state.sqlite", old)
    (tmp_path / "data" / "blobs").rename(tmp_path / "old" / "blobs")
    return entries


async def test_rows_of_an_old_ledger_are_readable_explainable_and_counted(
    before: list[Entry], house: House, tmp_path: Path, clock: HandClock
) -> None:
    again = build(house.config, tmp_path / "old", clock)
    try:
        assert [again.ledger.find(one.prediction_id) for one in before] == before
        for one in before:
            served = await again.call("explain_prediction", json.dumps({"prediction_id": one.prediction_id}), "test")
            told: dict[str, Any] = json.loads(served.body)
            assert told["terms"]
        assert not again.settle.record.complete, "an old ledger has no sums"
        again.settle.settle(NOW)
        standing = again.settle.record.standing("volatility", 0)
        assert standing.tally.n == house.settle.record.standing("volatility", 0).tally.n == 2
        assert standing == house.settle.record.standing("volatility", 0)
        await asked(again, VOLATILITY, [NOW - 90 * HOUR_MS])
        with again.store.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM feature_lists")).scalar_one() == 2
            assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == HEAD
            keys = connection.execute(text("SELECT DISTINCT length(feature_names) FROM predictions")).scalars().all()
        assert keys == [16]
        assert again.settle.settle(NOW, everything=True).known == 1
    finally:
        again.close()


async def test_an_upgrade_that_is_killed_leaves_the_old_database(
    before: list[Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = open_store(tmp_path / "old" / "state.sqlite")
    upgrade = store_module.upgrade

    def killed(connection: Any) -> None:
        upgrade(connection)
        raise KeyboardInterrupt

    monkeypatch.setattr(store_module, "upgrade", killed)
    with pytest.raises(KeyboardInterrupt):
        store_module.migrate(old)
    with old.read() as connection:
        names = connection.execute(text("SELECT feature_names FROM predictions")).scalars().all()
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "0002"
    assert len(names) == len(before)
    assert all(one.startswith("[") for one in names)
    monkeypatch.undo()
    store_module.migrate(old)
    found = Outcomes(old, "local").entries([one.prediction_id for one in before])
    assert found == {one.prediction_id: one for one in before}
    old.close()
