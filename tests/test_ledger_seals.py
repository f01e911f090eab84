"""How far each series was asked: what arrives later was not known then, whatever happens between."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from registry.ledger import Ledger
from registry.store import Store
from registry.tables import LOCAL
from tests.test_ledger import NEVER_MS, _entry, store

__all__ = ["store"]  # the fixture

SERIES = st.tuples(st.sampled_from(["AAA", "BTCUSDT", "ZZZ"]), st.sampled_from(["1h", "1d", "5m"]), st.integers(0, 50))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stored=st.lists(SERIES, max_size=12), queued=st.lists(SERIES, max_size=6))
def test_how_far_a_series_was_asked_counts_what_is_stored_and_what_is_queued(
    store: Store, stored: list[tuple[str, str, int]], queued: list[tuple[str, str, int]]
) -> None:
    with store.write() as connection:
        connection.execute(text("DELETE FROM predictions"))
        connection.execute(text("DELETE FROM seals"))
    for part in (stored, stored + queued):
        ledger = Ledger(store, LOCAL, flush_ms=NEVER_MS)
        ledger.record([_entry(str(n), symbol=s, timeframe=t, as_of=at) for n, (s, t, at) in enumerate(part)])
        expected: dict[tuple[str, str], int] = {}
        for symbol, timeframe, as_of in part:
            expected[symbol, timeframe] = max(as_of, expected.get((symbol, timeframe), 0))
        assert ledger.asked_through_all() == expected
        assert ledger.asked_through("BTCUSDT", "1h") == expected.get(("BTCUSDT", "1h"))
        ledger.close()
    ledger = Ledger(store, LOCAL)
    assert ledger.asked_through_all() == expected
    ledger.close()


def test_that_a_series_was_asked_again_later_outlives_a_restart_without_a_new_entry(store: Store) -> None:
    ledger = Ledger(store, LOCAL, flush_ms=NEVER_MS)
    ledger.record([_entry("first", symbol="AAA", timeframe="1h", as_of=10)])
    ledger.asked("AAA", "1h", 25)
    ledger.asked("AAA", "1h", 20)
    assert ledger.asked_through("AAA", "1h") == 25
    ledger.close()
    again = Ledger(store, LOCAL)
    assert again.asked_through_all() == {("AAA", "1h"): 25}
    again.close()


def test_what_was_asked_again_is_on_disk_with_the_next_group(store: Store) -> None:
    ledger = Ledger(store, LOCAL, flush_ms=NEVER_MS)
    ledger.asked("BBB", "1d", 7)
    ledger.flush_now()
    with store.read() as connection:
        assert connection.execute(text("SELECT symbol, as_of FROM seals")).all() == [("BBB", 7)]
    ledger.close()
