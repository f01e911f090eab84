"""The log of who did what: a chain that shows every change, and a head that shows a cut."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from registry.audit import Audit, AuditFull, AuditNotDurable, Note, parsed, verified
from registry.audit_chain import GENESIS, Act, Broken, Head, append, linked, verify
from registry.faults import DiskFull
from registry.keys import seen
from registry.secret import Secret
from registry.store import Store, migrate, open_store

TENANT = "local"
COLUMNS = ("at", "actor", "action", "subject", "detail", "previous_hash", "hash")


def act(n: int) -> Act:
    return Act(1_700_000_000_000 + n, f"key:{n % 3}", "call", "get_market_regime", f'{{"n":{n}}}')


@pytest.fixture
def note(tmp_path: Path) -> Note:
    return Note(tmp_path, TENANT, Secret(tmp_path, lambda n: b"s" * n))


def write(store: Store, n: int) -> Head:
    """Rows 1 to n, in a few groups."""
    head = Head(0, GENESIS)
    for first in range(0, n, 4):
        with store.write() as connection:
            head = append(connection, TENANT, [act(i) for i in range(first, min(first + 4, n))])
    return head


def check(store: Store, *known: Head) -> Head:
    with store.read() as connection:
        return verify(connection, TENANT, known)


def test_the_hash_of_a_row_is_worked_out_as_the_page_says() -> None:
    told = '["local",1,1700000000000,"key:0","call","get_market_regime","{\\"n\\":0}"]'
    assert linked(GENESIS, TENANT, 1, act(0)) == hashlib.sha256(f"{GENESIS}\n{told}".encode()).hexdigest()


def test_a_log_that_nobody_touched_is_whole(store: Store) -> None:
    assert check(store) == Head(0, GENESIS)
    head = write(store, 10)
    assert (head.rows, check(store, head), check(store, Head(0, GENESIS))) == (10, head, head)


def test_tenants_have_chains_of_their_own(store: Store) -> None:
    mine = write(store, 3)
    with store.write() as connection:
        theirs = append(connection, "other", [act(0)])
    assert theirs.rows == 1
    assert check(store) == mine


ROWS = 9
Change = tuple[str, int, int, str, Any]
CHANGES = st.tuples(
    st.sampled_from(["edit", "delete", "swap", "insert", "cut", "cut and forge the count", "rewrite"]),
    st.integers(1, ROWS),
    st.integers(1, ROWS),
    st.sampled_from(COLUMNS),
    st.text(alphabet="ab0", min_size=1, max_size=4),
)


class Undone(Exception):  # noqa: N818 - not an error: the change is taken back
    """Ends a transaction with nothing kept."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Head]]:
    """A log of nine rows."""
    opened = open_store(tmp_path_factory.mktemp("log") / "state.sqlite")
    migrate(opened)
    yield opened, write(opened, ROWS)
    opened.close()


@settings(max_examples=300, deadline=None)
@given(change=CHANGES)
def test_any_change_to_the_log_is_found(written: tuple[Store, Head], change: Change) -> None:
    store, head = written
    with contextlib.suppress(Undone), store.write() as connection:
        if changed(connection, change):
            with pytest.raises(Broken):
                verify(connection, TENANT, [head])
        raise Undone
    assert check(store, head) == head


def changed(connection: Any, change: Change) -> bool:
    """Tampers with the log; False where that changed nothing."""
    how, one, other, column, value = change

    def run(sql: str, **values: Any) -> None:
        connection.execute(text(sql), values)

    before = connection.execute(text("SELECT * FROM audit ORDER BY id")).all()
    if how == "edit":
        said = len(value) if column == "at" else value
        run(f"UPDATE audit SET {column} = :said WHERE id = :one", said=said, one=one)
    elif how == "delete":
        run("DELETE FROM audit WHERE id BETWEEN :low AND :high", low=min(one, other), high=max(one, other))
    elif how == "swap":
        run(
            "UPDATE audit SET id = CASE id WHEN :one THEN -1 ELSE -2 END WHERE id IN (:one, :other)",
            one=one,
            other=other,
        )
        run("UPDATE audit SET id = CASE id WHEN -1 THEN :other ELSE :one END WHERE id < 0", one=one, other=other)
    elif how == "insert":
        last = before[-1]
        forged = Act(99, "key:0", "call", "a_tool", "{}")
        own = linked(last.hash, TENANT, ROWS + 1, forged)
        row = {"id": ROWS + 1, "at": forged.at, "detail": forged.detail, "before": last.hash, "own": own}
        run(
            "INSERT INTO audit VALUES ('local', :id, :at, 'key:0', 'call', 'a_tool', :detail, :before, :own)",
            **row,
        )
    elif how == "rewrite":  # from a row on, with hashes that fit
        previous = before[one - 2].hash if one > 1 else GENESIS
        for row in before[one - 1 :]:
            forged = Act(row.at, "key:9", row.action, row.subject, row.detail)
            own = linked(previous, TENANT, row.id, forged)
            run(
                "UPDATE audit SET actor = 'key:9', previous_hash = :before, hash = :own WHERE id = :id",
                before=previous,
                own=own,
                id=row.id,
            )
            previous = own
    else:
        run("DELETE FROM audit WHERE id >= :one", one=one)
        if how == "cut and forge the count":
            run("UPDATE sequences SET last = :last WHERE name = 'audit'", last=one - 1)
    return bool(connection.execute(text("SELECT * FROM audit ORDER BY id")).all() != before)


def test_what_was_cut_from_the_end_shows_even_where_nobody_noted_the_head(store: Store) -> None:
    write(store, 5)
    with store.write() as connection:
        connection.execute(text("DELETE FROM audit WHERE id > 3"))
    with pytest.raises(Broken, match="5 rows were written and 3 are there"):
        check(store)
    write(store, 1)
    with pytest.raises(Broken, match="row 4 is missing"):
        check(store)


def test_the_sealed_note_finds_a_cut_that_has_forged_the_count(store: Store, note: Note) -> None:
    audit = Audit(store, TENANT, note, seen(TENANT))
    for n in range(6):
        audit.record(act(n))
    audit.close()
    assert note.read() == verified(store, TENANT, note)
    with store.write() as connection:
        connection.execute(text("DELETE FROM audit WHERE id > 3"))
        connection.execute(text("UPDATE sequences SET last = 3 WHERE name = 'audit'"))
    assert check(store).rows == 3
    with pytest.raises(Broken, match="the log had 6 rows once and has 3"):
        verified(store, TENANT, note)


def test_a_note_that_was_changed_is_not_believed(tmp_path: Path, note: Note) -> None:
    note.write(Head(6, "a" * 64))
    path = tmp_path / "audit-local.head"
    assert path.stat().st_mode & 0o777 == 0o600
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "head": f"2:{'a' * 64}"}))
    with pytest.raises(Broken, match="is not sealed with the secret"):
        note.read()
    for wrong in ("", "{}", "[]", '{"head": 5, "seal": ""}', '{"head": "x:y", "seal": ""}'):
        path.write_text(wrong)
        with pytest.raises(Broken, match="cannot be read"):
            note.read()


@pytest.mark.parametrize(
    "wrong", ["", "5", "5:", "five:" + "a" * 64, "-5:" + "a" * 64, "5:" + "A" * 64, "5:" + "a" * 63]
)
def test_a_head_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="rows:hash"):
        parsed(wrong)


def test_whoever_waits_is_told_when_the_row_is_on_disk(tmp_path: Path, store: Store, note: Note) -> None:
    audit = Audit(store, TENANT, note, seen(TENANT), flush_ms=3_600_000)
    audit.record(act(0))
    audit.record_now(act(1)).result(10)
    with contextlib.closing(sqlite3.connect(tmp_path / "state.sqlite")) as state:
        rows = state.execute("SELECT actor FROM audit ORDER BY id").fetchall()
    assert rows == [("key:0",), ("key:1",)]
    audit.close()


def test_a_thousand_rows_and_more_are_written_in_groups(store: Store, note: Note) -> None:
    audit = Audit(store, TENANT, note, seen(TENANT), flush_ms=3_600_000)
    for n in range(2_500):
        audit.record(act(n))
    audit.record_now(act(2_500)).result(30)
    assert check(store).rows == 2_501
    audit.close()


class Full:
    """A disk that is full until it is not."""

    def __init__(self) -> None:
        self.full = True

    def __call__(self, *_: object) -> None:
        if self.full:
            raise DiskFull("no space left")


def test_a_full_disk_is_told_to_whoever_waits_and_loses_nothing(
    store: Store, note: Note, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Full()
    audit = Audit(store, TENANT, note, disk, capacity=3, flush_ms=3_600_000)
    audit.record(act(0))
    with pytest.raises(AuditNotDurable, match="DiskFull: no space left"):
        audit.record_now(act(1)).result(10)
    audit.record(act(2))
    with pytest.raises(AuditFull, match="3 rows of the audit log wait"):
        audit.record(act(3))
    disk.full = False
    audit.close()
    assert check(store).rows == 3
    assert "the audit log cannot be written" in caplog.text


def test_rows_that_could_not_be_written_at_the_end_are_told(store: Store, note: Note) -> None:
    audit = Audit(store, TENANT, note, Full(), flush_ms=3_600_000)
    audit.record(act(0))
    with pytest.raises(AuditNotDurable, match="1 rows of the audit log are lost"):
        audit.close()
    with pytest.raises(AuditFull):
        audit.record(act(1))
    assert check(store).rows == 0


def test_a_note_that_cannot_be_written_does_not_stop_the_log(
    store: Store, note: Note, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(note, "write", Full())
    audit = Audit(store, TENANT, note, seen(TENANT))
    waiter: Future[None] = audit.record_now(act(0))
    waiter.result(10)
    audit.close()
    assert check(store).rows == 1
    assert "the note of the audit log's head cannot be written" in caplog.text
