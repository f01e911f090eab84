"""The ledger: nothing is dropped, nothing is promised too early, and the first entry stands."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text

from registry.faults import BadEntry, LedgerClosed, LedgerFull, LedgerNotDurable
from registry.ledger import GROUP_ENTRIES, Entry, Ledger
from registry.store import Store, migrate, open_store
from registry.tables import LOCAL

#: So long that only those who ask for it get a write during a test.
NEVER_MS = 3_600_000
PATIENCE_SECONDS = 20.0


def _entry(
    name: str, *, symbol: str = "BTCUSDT", timeframe: str = "1h", as_of: int = 1_000, answer: str = "{}"
) -> Entry:
    return Entry(
        prediction_id=name,
        capability="volatility",
        version=0,
        source="rules",
        symbol=symbol,
        timeframe=timeframe,
        as_of=as_of,
        data_through=as_of,
        question='{"horizon": "1d"}',
        feature_names=("a", "b"),
        features=b"0123456789abcdef",
        answer=answer,
        use="advice",
        asked_by="agent",
        asked_at=as_of + 5,
        passed_over="[]",
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "state.db")
    migrate(opened)
    yield opened
    opened.close()


@dataclass
class Disk:
    """A disk that can be filled: sets the most pages of the database on each connection that is taken."""

    pages: int = 1_000_000

    def attach(self, store: Store) -> None:
        event.listen(store.engine, "checkout", self._limit)

    def fill(self) -> None:
        self.pages = 1

    def clear(self) -> None:
        self.pages = 1_000_000

    def _limit(self, connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {self.pages}").fetchall()


@pytest.fixture
def disk(store: Store) -> Disk:
    one = Disk()
    one.attach(store)
    return one


@pytest.fixture
def open_ledger(store: Store, disk: Disk) -> Iterator[Callable[..., Ledger]]:
    opened: list[Ledger] = []

    def open_one(tenant: str = LOCAL, **options: Any) -> Ledger:
        opened.append(Ledger(store, tenant, **{"flush_ms": NEVER_MS, **options}))
        return opened[-1]

    yield open_one
    disk.clear()  # closing writes what is left
    for ledger in opened:
        ledger.close()


def _on_disk(store: Store) -> list[str]:
    """As another process sees it."""
    with sqlite3.connect(store.path) as other:
        found = [name for (name,) in other.execute("SELECT prediction_id FROM predictions ORDER BY rowid")]
    other.close()
    return found


def _big(name: str) -> Entry:
    return _entry(name, answer="x" * 20_000)  # needs pages of its own


def test_an_urgent_entry_is_on_disk_when_its_future_is_done(store: Store, open_ledger: Callable[..., Ledger]) -> None:
    ledger = open_ledger()
    ledger.record([_entry("a"), _entry("b")], urgent=True).result(PATIENCE_SECONDS)
    assert _on_disk(store) == ["a", "b"]
    assert (ledger.pending(), ledger.count(), ledger.lag_ms(), ledger.error()) == (0, 2, 0.0, None)


def test_what_is_merely_said_is_written_without_anybody_waiting_for_it(
    store: Store, open_ledger: Callable[..., Ledger]
) -> None:
    ledger = open_ledger(flush_ms=5)
    ledger.record([_entry("a")]).result(PATIENCE_SECONDS)
    assert _on_disk(store) == ["a"]


def test_a_queued_entry_can_be_found_before_it_is_on_disk(store: Store, open_ledger: Callable[..., Ledger]) -> None:
    ledger = open_ledger()
    future = ledger.record([_entry("a")])
    assert ledger.find("a") == _entry("a")
    assert ledger.find("b") is None
    assert (_on_disk(store), future.done(), ledger.pending(), ledger.count()) == ([], False, 1, 0)
    ledger.flush_now()
    assert ledger.find("a") == _entry("a")
    assert (_on_disk(store), future.done(), ledger.pending(), ledger.count()) == (["a"], True, 0, 1)


def test_the_first_entry_stands_whether_queued_or_on_disk(store: Store, open_ledger: Callable[..., Ledger]) -> None:
    ledger = open_ledger()
    first = _entry("a", answer='"first"')
    ledger.record([first])
    ledger.record([_entry("a", answer='"second"')])
    assert ledger.find("a") == first
    ledger.flush_now()
    ledger.record([_entry("a", answer='"third"')])
    assert ledger.find("a") == first
    ledger.flush_now()
    again = open_ledger()
    again.record([_entry("a", answer='"fourth"')], urgent=True).result(PATIENCE_SECONDS)
    assert again.find("a") == first
    assert again.count() == 1


def test_tenants_do_not_see_each_other(open_ledger: Callable[..., Ledger]) -> None:
    mine, yours = open_ledger("mine"), open_ledger("yours")
    mine.record([_entry("a", answer='"mine"', as_of=5)], urgent=True).result(PATIENCE_SECONDS)
    assert yours.find("a") is None
    assert (yours.count(), yours.asked_through_all()) == (0, {})
    yours.record([_entry("a", answer='"yours"')], urgent=True).result(PATIENCE_SECONDS)
    found = [ledger.find("a") for ledger in (mine, yours)]
    assert [entry.answer for entry in found if entry is not None] == ['"mine"', '"yours"']


def test_all_that_has_queued_is_written_in_groups(store: Store, open_ledger: Callable[..., Ledger]) -> None:
    commits: list[object] = []
    event.listen(store.engine, "commit", commits.append)
    ledger = open_ledger()
    futures = [ledger.record([_entry(f"{n:05d}")]) for n in range(GROUP_ENTRIES * 3 // 2)]
    ledger.flush_now()
    assert all(future.done() for future in futures)
    assert len(commits) == 2
    assert _on_disk(store) == [f"{n:05d}" for n in range(GROUP_ENTRIES * 3 // 2)]


def test_one_urgent_entry_takes_those_before_it_along_in_order(
    store: Store, open_ledger: Callable[..., Ledger]
) -> None:
    ledger = open_ledger()
    before = ledger.record([_entry("a")])
    ledger.record([_entry("b")], urgent=True).result(PATIENCE_SECONDS)
    assert before.done()
    assert _on_disk(store) == ["a", "b"]


def test_a_full_queue_refuses_loudly_and_takes_nothing(open_ledger: Callable[..., Ledger]) -> None:
    ledger = open_ledger(capacity=3)
    ledger.record([_entry("a"), _entry("b")])
    with pytest.raises(LedgerFull, match="2 entries wait to be written and 2 more do not fit in 3; nothing was queued"):
        ledger.record([_entry("c"), _entry("d")])
    assert (ledger.pending(), ledger.find("c")) == (2, None)
    ledger.record([_entry("c")])
    ledger.flush_now()
    ledger.record([_entry("d")])
    assert ledger.find("d") is not None


def test_on_a_full_disk_entries_stay_queued_and_whoever_waits_is_told(
    store: Store, disk: Disk, open_ledger: Callable[..., Ledger]
) -> None:
    ledger = open_ledger()
    ledger.record([_entry("before")], urgent=True).result(PATIENCE_SECONDS)
    disk.fill()
    said = ledger.record([_big("a"), _big("b")])
    promised = ledger.record([_big("c")], urgent=True)
    with pytest.raises(LedgerNotDurable, match="not on disk: DiskFull: no space left"):
        promised.result(PATIENCE_SECONDS)
    with pytest.raises(LedgerNotDurable):
        ledger.flush_now()
    assert not said.done()
    assert ledger.pending() == 3
    assert ledger.lag_ms() > 0
    assert str(ledger.error()).startswith("DiskFull: no space left")
    assert ledger.find("c") == _big("c")
    assert _on_disk(store) == ["before"]

    disk.clear()
    ledger.record([_big("d")], urgent=True).result(PATIENCE_SECONDS)
    assert said.done()
    assert _on_disk(store) == ["before", "a", "b", "c", "d"]
    assert (ledger.pending(), ledger.error(), ledger.lag_ms()) == (0, None, 0.0)


def test_once_there_is_space_again_all_is_written_though_nobody_asks(
    store: Store, disk: Disk, open_ledger: Callable[..., Ledger]
) -> None:
    ledger = open_ledger(flush_ms=1)
    disk.fill()
    failed = threading.Event()
    event.listen(store.engine, "rollback", lambda _connection: failed.set())
    said = [ledger.record([_big(f"{n}")]) for n in range(20)]
    assert failed.wait(PATIENCE_SECONDS)
    disk.clear()
    for future in said:
        future.result(PATIENCE_SECONDS)
    assert _on_disk(store) == [f"{n}" for n in range(20)]
    assert ledger.error() is None


def test_a_full_queue_on_a_full_disk_says_why(disk: Disk, open_ledger: Callable[..., Ledger]) -> None:
    ledger = open_ledger(capacity=2)
    disk.fill()
    with pytest.raises(LedgerNotDurable):
        ledger.record([_big("a"), _big("b")], urgent=True).result(PATIENCE_SECONDS)
    with pytest.raises(LedgerFull, match="DiskFull: no space left"):
        ledger.record([_entry("c")])


def test_closing_writes_what_is_queued_and_then_takes_no_more(store: Store) -> None:
    ledger = Ledger(store, LOCAL, flush_ms=NEVER_MS)
    future = ledger.record([_entry(f"{n}") for n in range(5)])
    ledger.close()
    ledger.close()
    assert future.done()
    assert len(_on_disk(store)) == 5
    with pytest.raises(LedgerClosed):
        ledger.record([_entry("late")])


def test_closing_on_a_full_disk_says_how_much_is_lost(store: Store, disk: Disk) -> None:
    ledger = Ledger(store, LOCAL, flush_ms=NEVER_MS)
    disk.fill()
    future = ledger.record([_big("a"), _big("b")])
    with pytest.raises(LedgerNotDurable, match="2 entries could not be written and are lost: DiskFull"):
        ledger.close()
    with pytest.raises(LedgerNotDurable):
        future.result(0)


def test_a_caller_who_walks_away_does_not_stop_the_writer(store: Store, open_ledger: Callable[..., Ledger]) -> None:
    ledger = open_ledger()
    assert not ledger.record([_entry("a")]).cancel()
    ledger.record([_entry("b")], urgent=True).result(PATIENCE_SECONDS)
    assert _on_disk(store) == ["a", "b"]


def test_a_fault_that_nobody_foresaw_is_shown_and_does_not_stop_the_writer(
    store: Store, open_ledger: Callable[..., Ledger]
) -> None:
    ledger = open_ledger()
    with store.write() as connection:
        connection.execute(text("ALTER TABLE predictions RENAME TO elsewhere"))
    with pytest.raises(LedgerNotDurable, match="no such table"):
        ledger.record([_entry("a")], urgent=True).result(PATIENCE_SECONDS)
    with store.write() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO predictions"))
    ledger.flush_now()
    assert _on_disk(store) == ["a"]


def test_the_lag_is_how_long_the_oldest_entry_has_waited(open_ledger: Callable[..., Ledger]) -> None:
    seconds = [100.0]
    ledger = open_ledger(monotonic=lambda: seconds[0])
    assert ledger.lag_ms() == 0.0
    ledger.record([_entry("a")])
    seconds[0] = 100.25
    ledger.record([_entry("b")])
    seconds[0] = 101.0
    assert ledger.lag_ms() == 1_000.0
    ledger.flush_now()
    assert ledger.lag_ms() == 0.0


def test_many_threads_may_record_at_once(store: Store, open_ledger: Callable[..., Ledger]) -> None:
    ledger = open_ledger(flush_ms=1)
    futures: list[Future[None]] = []

    def record(worker: int) -> None:
        entries = [[_entry(f"{worker}-{n}-{k}") for k in range(3)] for n in range(50)]
        futures.extend([ledger.record(some, urgent=n % 10 == 0) for n, some in enumerate(entries)])

    workers = [threading.Thread(target=record, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for future in futures:
        future.result(PATIENCE_SECONDS)
    assert len(set(_on_disk(store))) == ledger.count() == 4 * 50 * 3


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=TEXTS, names=st.lists(TEXTS, max_size=4), at=st.integers(-(2**63) + 1, 2**63 - 1))
def test_an_entry_comes_back_from_disk_as_it_was(
    store: Store, open_ledger: Callable[..., Ledger], answer: str, names: list[str], at: int
) -> None:
    entry = replace(
        _entry("a"), answer=answer, feature_names=tuple(names), features=b"\x00\xff" * 4 * len(names), asked_at=at
    )
    with store.write() as connection:
        connection.execute(text("DELETE FROM predictions"))
    ledger = open_ledger()
    ledger.record([entry], urgent=True).result(PATIENCE_SECONDS)
    assert ledger.pending() == 0
    assert ledger.find("a") == entry


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("as_of", 1.0, "as_of must be an int of 64 bits, not float"),
        ("as_of", True, "not bool"),
        ("version", 2**63, "version must be an int of 64 bits"),
        ("answer", b"{}", "answer must be text, not bytes"),
        ("answer", "half \ud83d", "answer holds half a character"),
        ("features", b"1234", "features must be 8 bytes for each of 2 names"),
        ("feature_names", ("a",), "features must be 8 bytes for each of 1 names"),
    ],
)
def test_an_entry_that_the_database_would_not_keep_is_refused_at_once(field: str, value: Any, said: str) -> None:
    with pytest.raises(BadEntry, match=said):
        replace(_entry("a"), **{field: value})


def test_an_integer_of_numpy_is_refused_as_sqlite_would_store_its_bytes() -> None:
    with pytest.raises(BadEntry, match="not int64"):
        _entry(
            "a",
            as_of=np.int64(5),  # type: ignore[arg-type]  # what is wrong here
        )
