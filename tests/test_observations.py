"""Funding, open interest and books: kept once, known since they came, and never different for an earlier as_of."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market.observations import Observations
from market.observed_table import ObservedFault, ObservedTable, checked_observations
from market.refusal import BadSymbol, OriginConflict
from ml.bars import HOUR_MS
from ml.observed import BOOK_LEVELS, FIELDS, Kind, Observed
from registry.blobs import Blobs
from registry.manifest import Manifest
from registry.store import Store

START = 1_700_000_000_000 // HOUR_MS * HOUR_MS
TENANTS = count()


def opened(store: Store, folder: Path, tenant: str = "local") -> Observations:
    kept = Observations(Manifest(store, tenant), Blobs(folder / "blobs"), tenant)
    kept.load()
    return kept


def funding(*told: tuple[int, float], symbol: str = "BTC", origin: str = "files") -> ObservedTable:
    at = np.array([START + hour * HOUR_MS for hour, _ in told], dtype=np.int64)
    return checked_observations(Kind.FUNDING, symbol, origin, at, np.array([[rate] for _, rate in told]))


def rates(observed: Observed | None) -> list[tuple[int, float]]:
    assert observed is not None
    hours = ((observed.at - START) // HOUR_MS).tolist()
    return list(zip(hours, observed.values[:, 0].tolist(), strict=True))


def book(bid: float = 99.0, ask: float = 101.0, size: float = 1.0) -> np.ndarray:
    row = np.full((1, len(FIELDS[Kind.BOOK])), np.nan)
    row[0, :4] = bid, size, ask, size
    return row


def test_an_archive_is_known_at_its_own_time_and_what_comes_live_when_it_came(store: Store, tmp_path: Path) -> None:
    kept = opened(store, tmp_path)
    kept.append([funding((0, 0.1), (8, 0.2))], received_at=START + 20 * HOUR_MS, live=False)
    kept.append([funding((16, 0.3))], received_at=START + 21 * HOUR_MS, live=True)
    observed = kept.observed(Kind.FUNDING, "BTC")
    assert observed is not None
    assert rates(observed.known(START + 8 * HOUR_MS)) == [(0, 0.1), (8, 0.2)]
    assert rates(observed.known(START + 20 * HOUR_MS)) == [(0, 0.1), (8, 0.2)]
    assert rates(observed.known(START + 21 * HOUR_MS)) == [(0, 0.1), (8, 0.2), (16, 0.3)]


def test_a_revision_stands_in_the_place_of_what_it_revises_from_when_it_came(store: Store, tmp_path: Path) -> None:
    kept = opened(store, tmp_path)
    kept.append([funding((0, 0.1), (8, 0.2))], received_at=START + 9 * HOUR_MS, live=False)
    receipt = kept.append([funding((0, 0.5), (8, 0.2))], received_at=START + 10 * HOUR_MS, live=False)[0]
    assert (receipt.kept, receipt.repeated) == (1, 1)
    observed = kept.observed(Kind.FUNDING, "BTC")
    assert observed is not None
    assert rates(observed.known(START + 9 * HOUR_MS)) == [(0, 0.1), (8, 0.2)]
    assert rates(observed.known(START + 11 * HOUR_MS)) == [(0, 0.5), (8, 0.2)]


def test_what_comes_from_an_archive_after_an_answer_was_not_known_to_it(store: Store, tmp_path: Path) -> None:
    kept = opened(store, tmp_path)
    kept.append([funding((0, 0.1))], received_at=START + HOUR_MS, live=False)
    kept.seal("BTC", START + 12 * HOUR_MS)
    kept.append([funding((8, 0.2))], received_at=START + 13 * HOUR_MS, live=False)
    observed = kept.observed(Kind.FUNDING, "BTC")
    assert observed is not None
    assert rates(observed.known(START + 12 * HOUR_MS)) == [(0, 0.1)]
    assert rates(observed.known(START + 13 * HOUR_MS)) == [(0, 0.1), (8, 0.2)]


def test_everything_is_there_again_after_a_restart(store: Store, tmp_path: Path) -> None:
    kept = opened(store, tmp_path)
    at = np.array([START], dtype=np.int64)
    kept.append(
        [
            funding((0, 0.1), (8, 0.2)),
            funding((0, -0.1), symbol="ETH"),
            checked_observations(Kind.OPEN_INTEREST, "BTC", "files", at, np.array([[5.0, np.nan]])),
            checked_observations(Kind.BOOK, "BTC", "files", at, book()),
        ],
        received_at=START + 9 * HOUR_MS,
        live=False,
    )
    again = opened(store, tmp_path)
    for kind, symbol in ((Kind.FUNDING, "BTC"), (Kind.FUNDING, "ETH"), (Kind.OPEN_INTEREST, "BTC"), (Kind.BOOK, "BTC")):
        one, other = kept.observed(kind, symbol), again.observed(kind, symbol)
        assert one is not None
        assert other is not None
        assert one.at.tolist() == other.at.tolist()
        assert one.received_at.tolist() == other.received_at.tolist()
        assert np.array_equal(one.values, other.values, equal_nan=True)
    assert again.symbols(Kind.FUNDING) == ["BTC", "ETH"]
    assert again.observed(Kind.BOOK, "ETH") is None


def test_what_cannot_be_is_counted_and_kept_out(store: Store, tmp_path: Path) -> None:
    at = np.array([START, -1, START + HOUR_MS, START + 2 * HOUR_MS], dtype=np.int64)
    table = checked_observations(Kind.FUNDING, "BTC", "files", at, np.array([[0.1], [0.1], [np.nan], [7.0]]))
    assert {one.fault: one.n for one in table.refused} == {
        ObservedFault.NO_TIME: 1,
        ObservedFault.NOT_FINITE: 1,
        ObservedFault.OUT_OF_BOUNDS: 1,
    }
    receipt = opened(store, tmp_path).append([table], received_at=START - HOUR_MS, live=True)[0]
    assert receipt.kept == 0
    assert receipt.refused[-1].fault is ObservedFault.IN_FUTURE
    with pytest.raises(BadSymbol):
        checked_observations(Kind.FUNDING, "b t c", "files", at, np.zeros((4, 1)))


@pytest.mark.parametrize(
    "wrong",
    [
        book(bid=101.0, ask=100.0),
        book(size=0.0),
        book(bid=np.nan),
        book(ask=np.inf),
        np.full((1, 4 * BOOK_LEVELS), 1.0),
    ],
)
def test_a_book_that_is_crossed_empty_or_out_of_order_is_refused(wrong: np.ndarray) -> None:
    table = checked_observations(Kind.BOOK, "BTC", "files", np.array([START], dtype=np.int64), wrong)
    assert [one.fault for one in table.refused] == [ObservedFault.BAD_BOOK]


def test_two_sources_do_not_feed_one_series(store: Store, tmp_path: Path) -> None:
    kept = opened(store, tmp_path)
    kept.append([funding((0, 0.1))], received_at=START, live=True)
    with pytest.raises(OriginConflict):
        kept.append([funding((8, 0.1), origin="exchange")], received_at=START + 9 * HOUR_MS, live=True)


@pytest.mark.parametrize("together", [True, False])
def test_of_two_words_at_one_moment_the_last_one_stands_also_after_a_restart(
    store: Store, tmp_path: Path, *, together: bool
) -> None:
    kept = opened(store, tmp_path)
    words = [(hour, hour / 100 + word / 1_000) for hour in range(40) for word in (1, 2)]
    batches = [funding(*words)] if together else [funding(*words[::2]), funding(*words[1::2])]
    for batch in batches:
        kept.append([batch], received_at=START + 41 * HOUR_MS, live=True)
    for view in (kept, opened(store, tmp_path)):
        observed = view.observed(Kind.FUNDING, "BTC")
        assert observed is not None
        assert rates(observed.known(START + 42 * HOUR_MS)) == words[1::2]
        pairs = list(zip(observed.received_at.tolist(), observed.at.tolist(), strict=True))
        assert pairs == sorted(set(pairs))


batches = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), min_size=1, max_size=6),
        st.booleans(),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stream=batches)
def test_no_stream_however_dirty_changes_what_an_answered_time_sees(
    store: Store, tmp_path: Path, stream: list[tuple[list[tuple[int, int]], bool, bool]]
) -> None:
    tenant = f"t{next(TENANTS)}"
    kept = opened(store, tmp_path, tenant)
    answered: list[tuple[int, list[tuple[int, float]]]] = []
    now = START + 41 * HOUR_MS
    for told, live, asks in stream:
        kept.append([funding(*((hour, rate / 100) for hour, rate in told))], received_at=now, live=live)
        now += HOUR_MS
        if asks:
            kept.seal("BTC", now)
            observed = kept.observed(Kind.FUNDING, "BTC")
            assert observed is not None
            answered.append((now, rates(observed.known(now))))
    for view in (kept, opened(store, tmp_path, tenant)):
        observed = view.observed(Kind.FUNDING, "BTC")
        assert observed is not None
        assert (np.diff(observed.received_at) >= 0).all()
        for as_of, seen in answered:
            assert rates(observed.known(as_of)) == seen
