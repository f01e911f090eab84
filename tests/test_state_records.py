"""What is kept in state beside the ledger: parts, versions, events, runs of jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text

from registry.events import Event, Events
from registry.faults import EventConflict, ManifestConflict, UnknownCapability
from registry.jobs import JobRuns
from registry.manifest import Manifest
from registry.store import Store, migrate, open_store
from registry.tables import LOCAL, aliases, versions
from registry.versions import Versions


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "state.db")
    migrate(opened)
    yield opened
    opened.close()


def test_parts_come_in_the_order_of_their_commits(store: Store) -> None:
    manifest = Manifest(store, LOCAL)
    for name in ("c", "a", "b"):
        manifest.swap("bars", add=name, n_rows=1, at=1)
    assert manifest.parts("bars") == ["c", "a", "b"]
    assert manifest.parts("features") == []
    assert Manifest(store, "other").parts("bars") == []


def test_a_part_stands_where_the_first_that_it_replaces_stood(store: Store) -> None:
    manifest = Manifest(store, LOCAL)
    for name in "abcd":
        manifest.swap("bars", add=name, n_rows=1, at=1)
    manifest.swap("bars", add="bc", n_rows=2, remove=["b", "c"], at=2)
    assert manifest.parts("bars") == ["a", "bc", "d"]
    manifest.swap("bars", add="e", n_rows=1, at=3)
    assert manifest.parts("bars") == ["a", "bc", "d", "e"]


def test_a_swap_that_was_done_already_changes_nothing(store: Store) -> None:
    manifest = Manifest(store, LOCAL)
    for _ in range(2):
        manifest.swap("bars", add="a", n_rows=1, at=1)
    manifest.swap("bars", add="b", n_rows=1, at=1)
    for _ in range(2):
        manifest.swap("bars", add="ab", n_rows=2, remove=["a", "b"], at=1)
    assert manifest.parts("bars") == ["ab"]
    manifest.swap("bars", add="ab", n_rows=2, remove=["ab"], at=2)
    assert manifest.parts("bars") == ["ab"]


def test_a_swap_of_parts_that_are_gone_is_refused_and_changes_nothing(store: Store) -> None:
    manifest = Manifest(store, LOCAL)
    manifest.swap("bars", add="a", n_rows=1, at=1)
    with pytest.raises(ManifestConflict, match="1 of 2 bars parts"):
        manifest.swap("bars", add="c", n_rows=1, remove=["a", "b"], at=1)
    assert manifest.parts("bars") == ["a"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(swaps=st.lists(st.tuples(st.integers(0, 9), st.sets(st.integers(0, 9), max_size=3)), max_size=8))
def test_the_manifest_is_a_list_in_which_parts_are_replaced(store: Store, swaps: list[tuple[int, set[int]]]) -> None:
    manifest = Manifest(store, LOCAL)
    with store.write() as connection:
        connection.execute(text("DELETE FROM parts"))
    expected: list[str] = []
    for add, remove in swaps:
        removed = [str(n) for n in sorted(remove) if str(n) in expected]
        manifest.swap("bars", add=str(add), n_rows=1, remove=removed, at=1)
        places = [expected.index(name) for name in (*removed, str(add)) if name in expected]
        if removed or str(add) not in expected:
            marked = ["new" if at == min(places, default=-1) else name for at, name in enumerate(expected)]
            marked += [] if places else ["new"]
            kept = [name for name in marked if name not in removed and name != str(add)]
            expected = [str(add) if name == "new" else name for name in kept]
        assert manifest.parts("bars") == expected


def test_rules_are_registered_once_and_are_champion_at_any_time(store: Store) -> None:
    kept = Versions(store, LOCAL)
    kept.ensure_rules(["volatility", "regime"], at=1_000)
    kept.ensure_rules(["regime", "volatility", "anomaly"], at=2_000)
    again = Versions(store, LOCAL)
    for capability in ("volatility", "regime", "anomaly"):
        for as_of in (0, 1_000, 9_999_999):
            assert kept.champion(capability, as_of) == again.champion(capability, as_of) == 0
    with store.read() as connection:
        found = connection.execute(text("SELECT capability, registered_at FROM versions ORDER BY 1")).all()
    assert [tuple(row) for row in found] == [("anomaly", 2_000), ("regime", 1_000), ("volatility", 1_000)]


def test_the_version_in_force_at_a_time_is_the_one_that_was_champion_then(store: Store) -> None:
    Versions(store, LOCAL).ensure_rules(["volatility"], at=1_000)
    common = {"tenant": LOCAL, "capability": "volatility"}
    with store.write() as connection:
        connection.execute(insert(versions), [{**common, "version": 1, "state": "champion", "registered_at": 1_500}])
        moves = [{"move": 2, "version": 1, "moved_at": 2_000}, {"move": 3, "version": 0, "moved_at": 3_000}]
        connection.execute(insert(aliases), [{**common, "alias": "champion", **move} for move in moves])
    kept = Versions(store, LOCAL)
    in_force = {as_of: kept.champion("volatility", as_of) for as_of in (0, 1_999, 2_000, 2_999, 3_000, 9_000)}
    assert in_force == {0: 0, 1_999: 0, 2_000: 1, 2_999: 1, 3_000: 0, 9_000: 0}


def test_a_capability_without_versions_is_refused_by_name(store: Store) -> None:
    with pytest.raises(UnknownCapability, match="'astrology' has no versions; known are"):
        Versions(store, LOCAL).champion("astrology", 0)


def test_events_come_in_order_and_from_where_the_reader_left_off(store: Store) -> None:
    events = Events(store, LOCAL)
    for n in range(5):
        assert events.publish(f"k{n}", "bars.refreshed", f'{{"n": {n}}}', at=n) == n + 1
    assert events.since(0, 2) == [Event(n + 1, f"k{n}", "bars.refreshed", f'{{"n": {n}}}', n) for n in range(2)]
    assert [event.id for event in events.since(2, 100)] == [3, 4, 5]
    assert events.since(5, 100) == []
    assert Events(store, "other").since(0, 100) == []
    assert Events(store, "other").publish("k0", "bars.refreshed", "{}", at=1) == 1


def test_a_fact_is_published_once(store: Store) -> None:
    events = Events(store, LOCAL)
    assert [events.publish("k", "drift", "{}", at=at) for at in (1, 2)] == [1, 1]
    assert events.publish("k", "promotion", "{}", at=3) == 2
    with pytest.raises(EventConflict, match="drift 'k' was published with another payload as event 1"):
        events.publish("k", "drift", '{"more": 1}', at=4)
    assert len(events.since(0, 100)) == 2


def test_the_number_of_an_event_never_comes_twice(store: Store) -> None:
    events = Events(store, LOCAL)
    events.publish("a", "drift", "{}", at=1)
    with store.write() as connection:
        connection.execute(text("DELETE FROM events"))
    assert events.publish("b", "drift", "{}", at=2) == 2


def test_a_slot_of_a_job_is_claimed_by_one_of_many(store: Store) -> None:
    claims: list[bool] = []

    def claim() -> None:
        claims.append(JobRuns(store, LOCAL).claim("refresh", 60_000, at=60_001))

    workers = [threading.Thread(target=claim) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(claims) == [False] * 7 + [True]
    assert JobRuns(store, LOCAL).claim("refresh", 120_000, at=120_001)
    assert JobRuns(store, "other").claim("refresh", 60_000, at=60_001)


def test_how_a_run_ended_is_written_down(store: Store) -> None:
    runs = JobRuns(store, LOCAL)
    for slot, failure in ((1, None), (2, "feed did not answer")):
        runs.claim("refresh", slot, at=slot)
        runs.finish("refresh", slot, at=9, failure=failure)
    with store.read() as connection:
        found = connection.execute(text("SELECT state, detail, finished_at FROM job_runs ORDER BY slot")).all()
    assert [tuple(row) for row in found] == [("done", None, 9), ("failed", "feed did not answer", 9)]
