"""Old rows of the log go, and all that is left is proved as before."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from sqlalchemy import text

from ml.bars import DAY_MS
from registry import audit_cut
from registry.audit import Note, verified
from registry.audit_chain import Act, Broken, Head, append, verify
from registry.audit_cut import AuditCut
from registry.secret import Secret
from registry.store import Store, migrate, open_store
from server import House
from tests.conftest import NOW, HandClock
from tests.test_audit import CHANGES, ROWS, TENANT, Change, Undone, changed

GONE = 4


def written(folder: Path) -> tuple[Store, Note]:
    """A log of nine rows, one a day up to now."""
    store = open_store(folder / "state.sqlite")
    migrate(store)
    with store.write() as connection:
        append(connection, TENANT, [act(NOW - n * DAY_MS) for n in range(ROWS - 1, -1, -1)])
    return store, Note(folder, TENANT, Secret(folder, lambda n: b"s" * n))


def act(at: int) -> Act:
    return Act(at, "key:0", "call", "get_market_regime", "{}")


def numbers(store: Store) -> list[int]:
    with store.read() as connection:
        return list(connection.execute(text("SELECT id FROM audit ORDER BY id")).scalars())


@pytest.fixture
def log(tmp_path: Path) -> Iterator[tuple[Store, Note]]:
    store, note = written(tmp_path)
    yield store, note
    store.close()


def cut(log: tuple[Store, Note], days: int | None) -> int:
    return AuditCut(*(log[0], TENANT, log[1]), days).once(NOW)


def test_rows_go_by_age_and_the_rest_is_whole_with_the_same_head(log: tuple[Store, Note]) -> None:
    store, note = log
    head = verified(store, TENANT, note)
    assert (cut(log, None), cut(log, 4), cut(log, 4)) == (0, GONE, 0)
    assert numbers(store) == [5, 6, 7, 8, 9]
    assert verified(store, TENANT, note, head) == head
    with store.write() as connection:
        longer = append(connection, TENANT, [act(NOW)])
    assert longer.rows == ROWS + 1
    assert cut(log, 2) == 2
    assert verified(store, TENANT, note, head) == longer


def test_the_newest_row_stays_however_old(log: tuple[Store, Note]) -> None:
    store, note = log
    assert AuditCut(store, TENANT, note, 1).once(NOW + 400 * DAY_MS) == ROWS - 1
    assert numbers(store) == [ROWS]
    assert verified(store, TENANT, note).rows == ROWS


def test_many_rows_go_in_batches(log: tuple[Store, Note], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_cut, "BATCH_ROWS", 2)
    assert cut(log, 2) == 6
    assert numbers(log[0]) == [7, 8, 9]
    assert verified(log[0], TENANT, log[1]).rows == ROWS


def test_what_a_power_cut_left_behind_is_proved_too_and_goes_the_next_time(log: tuple[Store, Note]) -> None:
    store, note = log
    whole = verified(store, TENANT, note)
    with store.read() as connection:
        own = connection.execute(text("SELECT hash FROM audit WHERE id = 4")).scalar_one()
    note.cut.write(Head(4, own))
    for left in (9, 7):
        assert verified(store, TENANT, note, whole) == whole
        with store.write() as connection:
            connection.execute(text("DELETE FROM audit WHERE id <= :gone"), {"gone": ROWS - left})
    assert cut(log, 30) == 0
    assert numbers(store) == [5, 6, 7, 8, 9]
    assert verified(store, TENANT, note, whole) == whole


def test_a_head_of_a_row_that_is_gone_is_not_taken_for_proof(log: tuple[Store, Note]) -> None:
    store, note = log
    cut(log, 4)
    with store.read() as connection:
        first = connection.execute(text("SELECT previous_hash FROM audit WHERE id = 5")).scalar_one()
    assert verified(store, TENANT, note, Head(4, first)).rows == ROWS
    for gone in (Head(4, "a" * 64), Head(2, "a" * 64)):
        with pytest.raises(Broken, match="was removed when it was old"):
            verified(store, TENANT, note, gone)


def test_an_old_row_that_was_changed_does_not_go(log: tuple[Store, Note]) -> None:
    store, note = log
    with store.write() as connection:
        connection.execute(text("UPDATE audit SET actor = 'key:9' WHERE id = 2"))
    with pytest.raises(Broken, match="row 2 was changed"):
        cut(log, 4)
    assert numbers(store) == list(range(1, ROWS + 1))
    assert note.cut.read() is None


def test_rows_that_somebody_else_took_off_the_beginning_are_missed(log: tuple[Store, Note]) -> None:
    store, note = log
    cut(log, 4)
    with store.write() as connection:
        connection.execute(text("DELETE FROM audit WHERE id <= 6"))
    with pytest.raises(Broken, match="row 5 is missing: row 7 stands"):
        verified(store, TENANT, note)
    note.cut.write(Head(6, "a" * 64))
    with pytest.raises(Broken, match="row 7 does not follow"):
        verified(store, TENANT, note)


@pytest.fixture(scope="module")
def shortened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Note]]:
    """A log whose first four rows are gone."""
    log = written(tmp_path_factory.mktemp("log"))
    cut(log, 4)
    yield log
    log[0].close()


@settings(max_examples=300, deadline=None)
@given(change=CHANGES)
def test_any_change_to_what_is_left_is_found(shortened: tuple[Store, Note], change: Change) -> None:
    store, note = shortened
    head = verified(store, TENANT, note)
    if change[0] == "rewrite":  # counts from the first row that is there
        change = ("rewrite", min(change[1], ROWS - GONE), *change[2:])
    with contextlib.suppress(Undone), store.write() as connection:
        if changed(connection, change):
            with pytest.raises(Broken):
                verify(connection, TENANT, [head], note.cut.read)
        raise Undone
    assert verified(store, TENANT, note, head) == head


def test_the_sweep_of_a_house_shortens_its_log(house: House, clock: HandClock) -> None:
    for _ in range(3):
        house.audit.record_now(act(clock.at)).result(10)
    clock.at += 89 * DAY_MS
    house.sweep.once()
    before = numbers(house.store)
    assert len(before) >= 3
    house.audit.record_now(act(clock.at)).result(10)
    clock.at += 2 * DAY_MS
    house.sweep.once()
    assert numbers(house.store) == [before[-1] + 1]
