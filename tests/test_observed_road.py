"""Observations down the road: an answer stands whatever is observed later, and none is remembered for too long."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commands.config import Config, Ledger, Models
from ml.bars import HOUR_MS, MINUTE_MS, Timeframe
from ml.capability import Question
from ml.checks import Case, LawBroken, bars_for_laws, blind_to_observations_to_come
from ml.liquidity import LIQUIDITY, LiquidityAnswer, LiquidityQuestion
from ml.liquidity.immediate import LATEST_MS
from ml.observed import Kind
from server import House, build
from tests.conftest import NOW, HandClock, table
from tests.observed_books import book_table, levels
from tools.memo import Memo
from tools.reply import moment

pytestmark = pytest.mark.anyio
SYMBOLS = (f"COIN{number}" for number in count())


def feed(house: House, symbol: str, at: int, *, half_bps: float = 1.0, live: bool = True) -> int:
    """One book; how many were kept."""
    tables = [book_table(symbol, [at], [levels(half_bps=half_bps)])]
    return house.observations.append(tables, received_at=house.clock(), live=live)[0].kept


async def said(house: House, symbol: str = "AAA", as_of: int | None = None) -> LiquidityAnswer:
    asked = LiquidityQuestion(symbol=symbol, as_of=None if as_of is None else moment(as_of))
    reply = await house.ask.one(LIQUIDITY, asked, "test")
    assert isinstance(reply.answer, LiquidityAnswer)
    return reply.answer


async def test_a_book_that_has_just_come_is_not_hidden_by_the_memory(house: House, clock: HandClock) -> None:
    assert (await said(house)).book_at is None
    clock.at += MINUTE_MS
    feed(house, "AAA", clock.at)
    first = await said(house)
    assert first.book_at == moment(clock.at)
    clock.at += MINUTE_MS
    feed(house, "AAA", clock.at, half_bps=3.0)
    assert (await said(house)).spread_bps == pytest.approx(6.0)
    assert (await said(house, as_of=NOW)).book_at is None
    assert await said(house, as_of=NOW + MINUTE_MS) == first


async def test_a_book_is_forgotten_when_it_is_too_old_though_no_bar_has_come(house: House, clock: HandClock) -> None:
    feed(house, "AAA", NOW)
    assert (await said(house)).book_at == moment(NOW)
    clock.at = NOW + LATEST_MS
    assert (await said(house)).book_at == moment(NOW)
    clock.at += 1
    assert (await said(house)).book_at is None


async def test_with_the_same_book_a_question_asked_again_is_one_prediction(house: House, clock: HandClock) -> None:
    feed(house, "AAA", NOW)
    asked = LiquidityQuestion(symbol="AAA")
    first = await house.ask.one(LIQUIDITY, asked, "test")
    clock.at += MINUTE_MS
    assert (await house.ask.one(LIQUIDITY, asked, "test")).prediction_id == first.prediction_id
    clock.at += 1  # what comes within a millisecond that was answered on comes after it
    feed(house, "AAA", clock.at, half_bps=2.0)
    assert (await house.ask.one(LIQUIDITY, asked, "test")).prediction_id != first.prediction_id


async def test_books_of_other_symbols_and_capabilities_that_read_none_are_left_alone(
    house: House, clock: HandClock
) -> None:
    volatility = next(one for one in house.catalogue if one.name == "volatility")
    asked: Question = volatility.question(symbol="AAA")
    before = await said(house), await house.ask.one(volatility, asked, "test")
    feed(house, "AAA", clock.at)
    feed(house, "BBB", clock.at)
    assert not volatility.observes
    assert (await house.ask.one(volatility, asked, "test")).prediction_id == before[1].prediction_id
    assert (await said(house, "BBB")).book_at is not None


async def test_an_archive_of_books_that_comes_after_an_answer_does_not_change_it(house: House) -> None:
    assert (await said(house, as_of=NOW - HOUR_MS)).book_at is None
    assert feed(house, "AAA", NOW - HOUR_MS - 1, live=False) == 1
    assert feed(house, "BBB", NOW - HOUR_MS - 1, live=False) == 1
    fresh = replace(house, ask=replace(house.ask, memo=Memo(1)))
    assert (await said(fresh, as_of=NOW - HOUR_MS)).book_at is None
    assert (await said(fresh, "BBB", as_of=NOW - HOUR_MS)).book_at == moment(NOW - HOUR_MS - 1)


async def test_an_answer_stands_after_a_restart_though_an_archive_comes_then(tmp_path: Path, clock: HandClock) -> None:
    config = Config(ledger=Ledger(flush_ms=1), models=Models(train=False))
    first = build(config, tmp_path, clock)
    first.history.append([table("AAA", seed=1)], received_at=NOW, live=False)
    assert (await said(first, as_of=NOW - HOUR_MS)).book_at is None
    first.close()
    again = build(config, tmp_path, clock)
    try:
        feed(again, "AAA", NOW - HOUR_MS - 1, live=False)
        assert (await said(again, as_of=NOW - HOUR_MS)).book_at is None
        assert again.observations.symbols(Kind.BOOK) == ["AAA"]
    finally:
        again.close()


@pytest.mark.parametrize("told", [{}, {Kind.FUNDING: LATEST_MS}])
def test_a_capability_that_reads_what_it_does_not_declare_breaks_the_law(told: dict[Kind, int]) -> None:
    bars = bars_for_laws(np.random.default_rng(1), Timeframe.H1, 1_600)
    with pytest.raises(LawBroken, match="book is read, and not declared"):
        blind_to_observations_to_come(Case(replace(LIQUIDITY, observes=told), LIQUIDITY.rules, bars))


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("feed"), st.integers(-30, 5), st.integers(1, 4), st.booleans()),
        st.tuples(st.just("ask"), st.integers(-30, 0)),
        st.tuples(st.just("wait"), st.integers(1, 15)),
    ),
    min_size=2,
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_no_book_that_comes_later_changes_an_answer(
    house: House, clock: HandClock, steps: list[tuple[Any, ...]]
) -> None:
    """Minutes are told from the clock. Each answer is worked out anew, not remembered."""
    symbol = next(SYMBOLS)
    clock.at = NOW
    house.history.append([table(symbol, seed=3, n=760)], received_at=NOW, live=False)
    forgetful = replace(house, ask=replace(house.ask, memo=Memo(1)))
    answered: dict[int, LiquidityAnswer] = {}
    for what, *rest in steps:
        if what == "feed":
            minutes, half_bps, live = rest
            feed(house, symbol, clock.at + minutes * MINUTE_MS, half_bps=float(half_bps), live=live)
        elif what == "wait":
            clock.at += rest[0] * MINUTE_MS
        else:
            at = clock.at + rest[0] * MINUTE_MS
            answered.setdefault(at, anyio.run(said, house, symbol, at))
        for at, answer in answered.items():
            assert anyio.run(said, forgetful, symbol, at) == answer


async def test_the_reply_says_it_in_its_summary_within_its_budget(house: House) -> None:
    feed(house, "AAA", NOW)
    asked = json.dumps({"symbol": "AAA", "as_of": moment(NOW).isoformat(), "order_quote": 1_500.0})
    served = await house.call("forecast_liquidity", asked, "test")
    told = json.loads(served.body)
    assert served.code is None
    assert told["answer"]["book_at"] == "2024-01-01T00:00:00Z"
    assert told["answer"]["immediate_cost_bps"] == pytest.approx(1.33, abs=0.01)
    assert "sent at once by the book of 00:00:00Z up to" in told["summary"]
    assert len(served.body) / 4 <= 500
