"""What is observed, kept in columns that grow and, where it is wide, in a file: the same answers at any as_of."""

from __future__ import annotations

import tracemalloc
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market import observed_reading
from market.mapped import Mapped
from market.observations import Observations
from market.observed_series import ObservedSeries
from market.observed_table import ObservedTable, checked_observations
from ml.bars import HOUR_MS, Floats, Instants
from ml.observed import FIELDS, Kind, Observed
from registry.blobs import Blobs
from registry.manifest import Manifest
from registry.store import Store

START = 1_700_000_000_000 // HOUR_MS * HOUR_MS
WIDTH = len(FIELDS[Kind.BOOK])
TENANTS = count()


def opened(store: Store, folder: Path, tenant: str, *, on_disk: bool) -> Observations:
    parts = Manifest(store, tenant), Blobs(folder / "blobs" / tenant), tenant
    kept = Observations(*parts, scratch=folder if on_disk else None)
    kept.load()
    return kept


def books(symbol: str, told: list[tuple[int, int]]) -> ObservedTable:
    """Books of (hour, size of the best bid)."""
    rows = np.full((len(told), WIDTH), np.nan)
    rows[:, :4] = 99.0, 1.0, 101.0, 1.0
    rows[:, 1] = [1 + size for _, size in told]
    at = np.array([START + hour * HOUR_MS for hour, _ in told], dtype=np.int64)
    return checked_observations(Kind.BOOK, symbol, "files", at, rows)


def told_at(observed: Observed | None, as_of: Instants) -> list[object]:
    """All that a question could learn, as of each of these instants."""
    assert observed is not None
    newest = observed.newest(as_of, 6 * HOUR_MS)
    found: list[object] = [newest.tolist(), observed.n_known(as_of).tolist(), observed.values[newest].tobytes()]
    for one in as_of.tolist():
        known = observed.known(one)
        found += [known.at.tolist(), known.received_at.tolist(), known.values.tobytes()]
    return found


streams = st.lists(
    st.tuples(
        st.sampled_from(["BTC", "ETH"]),
        st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), min_size=1, max_size=6),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stream=streams)
def test_books_on_disk_say_at_any_as_of_what_books_in_memory_say_also_after_a_restart(
    store: Store, tmp_path: Path, stream: list[tuple[str, list[tuple[int, int]], bool]]
) -> None:
    one, other = f"m{next(TENANTS)}", f"d{next(TENANTS)}"
    held, mapped = opened(store, tmp_path, one, on_disk=False), opened(store, tmp_path, other, on_disk=True)
    as_of = START + np.arange(-1, 60, 7) * HOUR_MS
    now, earlier = START + 41 * HOUR_MS, list[tuple[Observed, list[object]]]()
    for symbol, told, live in stream:
        for kept in (held, mapped):
            kept.append([books(symbol, told)], received_at=now, live=live)
        now += HOUR_MS
        seen = mapped.observed(Kind.BOOK, symbol)
        assert seen is not None
        earlier.append((seen, told_at(seen, as_of)))
    again = opened(store, tmp_path, other, on_disk=True)
    for symbol in held.symbols(Kind.BOOK):
        expected = told_at(held.observed(Kind.BOOK, symbol), as_of)
        assert told_at(mapped.observed(Kind.BOOK, symbol), as_of) == expected
        assert told_at(again.observed(Kind.BOOK, symbol), as_of) == expected
    for view, said in earlier:
        assert told_at(view, as_of) == said, "what was handed out stays as it was"


@pytest.mark.parametrize("at_a_time", [1, 3, 1_000])
def test_parts_are_read_back_in_whatever_order_and_however_few_at_a_time(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_a_time: int
) -> None:
    kept = opened(store, tmp_path, "local", on_disk=True)
    for hour in range(8):
        kept.append([books("BTC", [(hour, 0), (hour - 2, 1)])], received_at=START + 9 * HOUR_MS, live=True)
    kept.append([books("ETH", [(hour, 0) for hour in range(8)])], received_at=START + 9 * HOUR_MS, live=True)
    expected, as_of = kept.observed(Kind.BOOK, "BTC"), START + np.arange(12) * HOUR_MS
    monkeypatch.setattr(observed_reading, "MOST_ROWS", at_a_time)
    paths = kept._parts[Kind.BOOK].paths()
    for order in (paths, paths[::-1], [*paths[4:], *paths[:4]]):
        found = observed_reading.read_back(Kind.BOOK, order, Mapped(tmp_path, WIDTH))
        assert told_at(found["BTC"].records(), as_of) == told_at(expected, as_of)
        assert len(found["ETH"]) == 8


@given(batches=st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5), min_size=1, max_size=12))
def test_a_series_that_grew_says_what_one_that_was_made_at_once_says(batches: list[list[int]]) -> None:
    series = ObservedSeries(Kind.FUNDING, "BTC", "files")
    for nth, at in enumerate(batches):
        records = numbered(Kind.FUNDING, np.sort(np.array(at, dtype=np.int64)), received=10 + nth)
        series.put(numbered(Kind.FUNDING, np.array([99], dtype=np.int64), received=99))  # and never published
        series.put(records)
        series.publish(len(records))
    grown = series.records()
    made = Observed(Kind.FUNDING, "BTC", grown.at, grown.received_at, grown.values)
    assert len(grown) == sum(map(len, batches))
    assert series.newest_at == max(map(max, batches))
    assert sorted(batches[-1]) == series.just_told().tolist()
    as_of = np.arange(8, 24)
    assert grown.newest(as_of, 100).tolist() == made.newest(as_of, 100).tolist()


def test_a_book_more_costs_the_same_however_many_there_are_and_memory_holds_their_times_alone(tmp_path: Path) -> None:
    series = ObservedSeries(Kind.BOOK, "BTC", "files", Mapped(tmp_path, WIDTH))
    n = 20_000
    many = numbered(Kind.BOOK, np.arange(n), received=0)
    tracemalloc.start()
    try:
        series.put(many)
        series.publish(n)
        held, _ = tracemalloc.get_traced_memory()
        assert held < n * WIDTH * 8 / 5, "the numbers are 6.4 MB"
        for at in range(n, n + 100):
            if at == n + 1:  # the first had its times moved, as one in as many as there are
                held, _ = tracemalloc.get_traced_memory()
                tracemalloc.reset_peak()
            series.put(numbered(Kind.BOOK, np.array([at]), received=at))
            series.publish(1)
        assert tracemalloc.get_traced_memory()[1] - held < 100_000
    finally:
        tracemalloc.stop()
    assert np.array_equal(series.records().values[:n], many.values)
    assert [path.name for path in tmp_path.iterdir()] == [], "the file has no name: nothing is left of it"


def numbered(kind: Kind, at: Instants, received: int) -> Observed:
    width = len(FIELDS[kind])
    values: Floats = (at[:, None] * 100 + np.arange(width)).astype(np.float64)
    return Observed(kind, "BTC", at, np.maximum(at, received), values)
