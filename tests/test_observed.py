"""What is observed beside bars: the newest word on the newest time that was known, and a market that gives it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml.bars import Instants
from ml.observed import FIELDS, Kind, Observed
from ml.timeline import StillMarket

RECORDS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)), max_size=15)


def rates(told: list[tuple[int, int]]) -> Observed:
    """Funding of (time, receipt this much after the one before it, or after its own time)."""
    received: list[int] = []
    at: list[int] = []
    for one, later in told:
        at.append(one)
        received.append(max(one, received[-1] if received else 0) + later)
    values = np.arange(float(len(told))).reshape(-1, 1)
    return Observed(Kind.FUNDING, "BTC", np.array(at, dtype=np.int64), np.array(received, dtype=np.int64), values)


def instants(*at: int) -> Instants:
    return np.array(at, dtype=np.int64)


@given(RECORDS, st.integers(-1, 60), st.integers(0, 40))
def test_the_newest_is_the_last_word_on_the_newest_time_known_unless_it_is_too_old(
    told: list[tuple[int, int]], as_of: int, most_ms: int
) -> None:
    observed = rates(told)
    known = [(int(at), i) for i, at in enumerate(observed.at) if observed.received_at[i] <= as_of]
    expected = max(known)[1] if known and max(known)[0] >= as_of - most_ms else -1
    assert observed.newest(instants(as_of), most_ms).tolist() == [expected]
    assert observed.n_known(instants(as_of)).tolist() == [len(known)]
    if expected >= 0:
        assert observed.known(as_of).values[-1, 0] == expected


@given(RECORDS, RECORDS, st.integers(0, 30))
def test_what_comes_later_changes_neither_the_newest_nor_how_many_were_known(
    told: list[tuple[int, int]], later: list[tuple[int, int]], as_of: int
) -> None:
    before, whole = rates(told), rates(told + later)
    known = int(whole.n_known(instants(as_of))[0])
    if known <= len(told):
        assert before.newest(instants(as_of), 100).tolist() == whole.newest(instants(as_of), 100).tolist()


def test_nothing_is_newest_where_nothing_is_observed() -> None:
    nothing = Observed(Kind.BOOK, "BTC", instants(), instants(), np.zeros((0, len(FIELDS[Kind.BOOK]))))
    assert nothing.newest(instants(5, 6), 10).tolist() == [-1, -1]
    assert nothing.n_known(instants(5)).tolist() == [0]
    assert len(nothing.known(5)) == 0


def test_a_still_market_gives_what_it_was_given_and_nothing_by_itself() -> None:
    funding = rates([(1, 0)])
    market = StillMarket.of(observed=[funding])
    assert market.observed(Kind.FUNDING, "BTC") is funding
    assert market.observed(Kind.FUNDING, "ETH") is None
    assert market.observed(Kind.BOOK, "BTC") is None
    assert StillMarket.of().observed(Kind.FUNDING, "BTC") is None
