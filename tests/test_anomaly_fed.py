"""What is fed beside the bars: judged in the bar in which it became known, of its own type, and silent elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.observed_table import checked_observations
from ml.anomaly import ANOMALY, AnomalyAnswer, AnomalyQuestion, Kind
from ml.anomaly.fed import FED, OBSERVES
from ml.anomaly.fed_rarity import together
from ml.anomaly.rank import rank_depth
from ml.anomaly.windows import LEVEL
from ml.bars import HOUR_MS, MINUTE_MS, Bars, Floats, Timeframe
from ml.capability import Given, Rows
from ml.observed import Kind as Observable
from ml.observed import Observed
from ml.timeline import StillMarket
from server import House
from tests.conftest import NOW, HandClock
from tests.observed_books import books, levels, numbers
from tests.test_anomaly import QUESTION, ended, market

CALM = ended(market(), move=0.004)
CLOSE = int(CALM.close_at[-1])


def rows_of(bars: Bars, *observed: Observed, as_of: int | None = None) -> Rows:
    asked = QUESTION.model_copy(update={"timeframe": bars.timeframe})
    at = np.array([int(bars.close_at[-1]) if as_of is None else as_of])
    return ANOMALY.features.rows([asked], at, StillMarket.of(bars, observed=observed))


def given_of(rows: Rows) -> Given[AnomalyAnswer]:
    (outcome,) = ANOMALY.rules.predict(rows)
    assert isinstance(outcome, Given), outcome
    return outcome


def funding(last: float, close: int = CLOSE, n: int = 200, seed: int = 3) -> Observed:
    """Rates that rest at a basis point half of the time, one each 8 h; the last of them 40 minutes before `close`."""
    random = np.random.default_rng(seed)
    rates = np.where(random.random(n) < 0.5, 1e-4, 1e-4 + 5e-5 * random.standard_normal(n))
    rates[-1] = last
    at = close - 40 * MINUTE_MS - 8 * HOUR_MS * np.arange(n)[::-1]
    return numbers(Observable.FUNDING, "BTCUSDT", at, rates, 10_000)


def open_interest(times: float, bars: Bars = CALM, seed: int = 4) -> Observed:
    """A walk of 0.5% a bar, told ten seconds before each close; at the last it is `times` what it was."""
    walk = np.cumsum(0.005 * np.random.default_rng(seed).standard_normal(len(bars)))
    walk[-1] = walk[-2] + np.log(times)
    return numbers(Observable.OPEN_INTEREST, "BTCUSDT", bars.close_at - 10_000, 1e6 * np.exp(walk))


def order_books(bars: Bars = CALM, *, half_bps: float = 1.0, size: float = 10.0, seed: int = 6) -> Observed:
    """A book half a minute before each close, a little different each time; the last of them as told."""
    random = np.random.default_rng(seed)
    shapes = np.exp(0.2 * random.standard_normal((len(bars), 2)))
    shapes[-1] = half_bps, size / 10.0
    told = [levels(half_bps=float(wide), size=10.0 * float(held)) for wide, held in shapes]
    return books("BTCUSDT", *zip((bars.close_at - 30_000).tolist(), told, strict=True))


PLANTS: dict[str, tuple[Callable[[], Observed], Kind, str]] = {
    "funding": (lambda: funding(0.003), Kind.DERIVATIVES, "funding is +30.00 bp"),
    "open_interest": (lambda: open_interest(0.6), Kind.DERIVATIVES, "open interest changed by -40.00%"),
    "spread": (lambda: order_books(half_bps=40.0), Kind.LIQUIDITY, "the spread of the book is 80.00 bp"),
    "book_gone": (lambda: order_books(size=0.1), Kind.LIQUIDITY, "the thinner side of the book holds 0.01"),
}


@pytest.mark.parametrize("channel", PLANTS)
def test_what_is_planted_into_the_feed_is_named_by_its_type_and_channel_and_said(channel: str) -> None:
    plant, kind, sentence = PLANTS[channel]
    rows = rows_of(CALM, plant())
    said = given_of(rows)
    assert (said.answer.type, said.answer.channel, said.answer.is_anomaly) == (kind, channel, True)
    assert said.reasons[0].startswith(sentence)
    first = ANOMALY.rules.explain(rows)[0][0]
    assert (first.name, first.effect is not None and first.effect > 2.4) == (channel, True)
    assert not given_of(rows_of(CALM)).answer.is_anomaly


@pytest.mark.parametrize("tf", sorted(ANOMALY.timeframes))
def test_a_vanished_book_and_open_interest_that_is_gone_are_found_on_every_timeframe(tf: Timeframe) -> None:
    bars = ended(market(1_200, tf=tf), move=0.001)
    assert given_of(rows_of(bars, order_books(bars, size=0.05))).answer.channel == "book_gone"
    assert given_of(rows_of(bars, open_interest(0.5, bars))).answer.type is Kind.DERIVATIVES


def test_a_rate_is_judged_in_the_bar_in_which_it_became_known_and_in_no_other() -> None:
    jump, column = funding(0.003), FED.index("funding")
    for later, judged in ((0, True), (1, False), (7, False)):
        bars = CALM.between(0, len(CALM) - later)
        early = replace(jump, at=jump.at - later * HOUR_MS, received_at=jump.received_at - later * HOUR_MS)
        assert np.isfinite(rows_of(bars, early).values[0, -len(FED) + column])
        rows = rows_of(CALM, early)
        assert np.isfinite(rows.values[0, -len(FED) + column]) == judged
        assert given_of(rows).answer.is_anomaly == judged


def test_hindsight_counts_a_rate_that_stands_out_of_those_around_it_and_only_where_it_came() -> None:
    bars = market(1_000)
    at, close = bars.close_at[900:910], int(bars.close_at[903])
    jump = funding(0.003, close, n=230)
    after = np.array([close + (8 * k + 7) * HOUR_MS for k in range(9)])
    later = numbers(Observable.FUNDING, "BTCUSDT", after, np.full(9, 1e-4))
    joined = [np.concatenate([getattr(jump, one), getattr(later, one)]) for one in ("at", "received_at", "values")]
    fed = Observed(Observable.FUNDING, "BTCUSDT", *joined)

    def told(*observed: Observed) -> list[str | None]:
        return list(ANOMALY.truth([QUESTION] * len(at), at, StillMarket.of(bars, observed=observed)))

    alone = told()
    assert alone[3] == "normal"
    assert [one for k, one in enumerate(told(fed)) if k != 3] == [one for k, one in enumerate(alone) if k != 3]
    assert told(fed)[3] == "derivatives"
    assert told(funding(1e-4, close, n=230)) == alone
    assert told(funding(0.003, close, n=150)) == alone


def test_what_came_after_the_close_belongs_to_the_next_bar() -> None:
    late = replace(funding(0.003), received_at=funding(0.003).received_at + 50 * MINUTE_MS)
    calm = given_of(rows_of(CALM, late, as_of=CLOSE + 30 * MINUTE_MS))
    assert calm == given_of(rows_of(CALM))


def test_where_nothing_or_too_little_is_fed_nothing_changes_in_a_bit() -> None:
    bars = ended(market(), move=0.03, volume_sd=3.0)
    alone = rows_of(bars)
    assert np.isnan(alone.values[0, -len(FED) :]).all()
    little = [
        numbers(kind, "BTCUSDT", bars.close_at[-80:], np.linspace(1e-4, 2e-4, 80))
        for kind in (Observable.FUNDING, Observable.OPEN_INTEREST)
    ]
    few = books("BTCUSDT", *((int(at), levels()) for at in bars.close_at[-80:]))
    stale = replace(order_books(bars), at=order_books(bars).at - HOUR_MS)
    empty = numbers(Observable.FUNDING, "BTCUSDT", bars.close_at[:0], np.zeros(0))
    for fed in ([*little, few], [stale], [empty], [funding(0.003, int(bars.close_at[-9]))]):
        rows = rows_of(bars, *fed)
        told = [column.startswith(("spread_", "book_", "open_interest_")) and column != "book_gone" for column in FED]
        assert np.isnan(rows.values[0, -len(FED) :][~np.array(told)]).all()
        assert rows.values[0, : -len(FED)].tobytes() == alone.values[0, : -len(FED)].tobytes()
        assert given_of(rows) == given_of(alone)
    before = Rows(
        alone.names[: -len(FED)],
        alone.values[:, : -len(FED)],
        *(getattr(alone, one) for one in ("questions", "as_of", "data_through", "cannot")),
    )
    assert given_of(before) == given_of(alone)
    assert ANOMALY.rules.explain(before) == ANOMALY.rules.explain(alone)


def test_a_feed_that_stood_still_or_is_empty_makes_no_alarm_of_its_first_step() -> None:
    resting = numbers(Observable.FUNDING, "BTCUSDT", funding(0.0).at, np.full(200, 1e-4))
    moved = resting.values.copy()
    moved[-1] = 1.2e-4
    assert not given_of(rows_of(CALM, replace(resting, values=moved))).answer.is_anomaly
    still = np.full(len(CALM), 1e6)
    still[-1] *= 1.001
    flat = numbers(Observable.OPEN_INTEREST, "BTCUSDT", CALM.close_at, still)
    assert given_of(rows_of(CALM, flat)).answer.score < 0.65
    gone = numbers(Observable.OPEN_INTEREST, "BTCUSDT", CALM.close_at, np.zeros(len(CALM)))
    assert given_of(rows_of(CALM, gone)) == given_of(rows_of(CALM))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**16), st.sets(st.integers(400, 899), min_size=1, max_size=30), st.booleans())
def test_a_row_is_the_same_alone_and_among_many_with_what_was_revised_and_what_is_missing(
    seed: int, asked: set[int], gaps: bool
) -> None:
    random = np.random.default_rng(seed)
    keep = np.flatnonzero(random.random(len(CALM)) > 0.05) if gaps else np.arange(len(CALM))
    fed = []
    for one in (funding(0.002), open_interest(1.3), order_books()):
        some = keep[keep < len(one)]
        again = replace(one, at=one.at[some], received_at=one.received_at[some], values=one.values[some])
        order = np.sort(random.integers(0, len(some), len(some)))  # some come twice, later, with other numbers
        revised = np.concatenate([again.received_at, again.received_at[order] + 90 * MINUTE_MS])
        at, values = (
            np.concatenate([again.at, again.at[order]]),
            np.concatenate([again.values, again.values[order] * 1.1]),
        )
        line = np.argsort(revised, kind="stable")
        fed.append(Observed(one.kind, one.symbol, at[line], revised[line], values[line]))
    closes = CALM.close_at[sorted(asked)]
    many = ANOMALY.features.rows([QUESTION] * len(closes), closes, StillMarket.of(CALM, observed=fed))
    for i, close in enumerate(closes.tolist()):
        assert many.values[i].tobytes() == rows_of(CALM, *fed, as_of=close).values[0].tobytes()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["normal", "lognormal", "few"]))
def test_a_rank_says_no_more_than_counting_does(seed: int, kind: str) -> None:
    random = np.random.default_rng(seed)
    drawn = {
        "normal": np.abs(random.standard_normal(LEVEL + 1)),
        "lognormal": np.exp(random.standard_normal(LEVEL + 1)),
        "few": random.integers(0, 5, LEVEL + 1).astype(np.float64),
    }[kind]
    turns = np.concatenate([drawn, drawn])  # each of them is the newest once
    depth = rank_depth(turns, np.arange(LEVEL, 2 * LEVEL + 1), 1e9)
    for deep in (0.3, 1.0, 2.0, 2.4, 2.5):
        assert (depth >= deep - 1e-12).sum() <= (LEVEL + 1) * 10.0**-deep + 1e-9
    assert depth.max() <= np.log10(LEVEL + 1) + 1e-12


def test_beyond_the_largest_a_rank_is_exact_for_a_tail_of_index_one_and_careful_with_lighter_ones() -> None:
    random = np.random.default_rng(5)
    uniform = 1.0 - random.random(150_000)
    at = np.arange(LEVEL, len(uniform))

    def rates(values: Floats) -> list[float]:
        depth = rank_depth(values, at, 0.0)
        return [float((depth >= deep).mean() * 10.0**deep) for deep in (2.0, 2.6, 3.0)]

    assert rates(1.0 / uniform) == pytest.approx([1.0, 1.0, 1.0], abs=0.25)
    for lighter in (uniform**-0.33, -np.log(uniform), np.abs(random.standard_normal(len(uniform)))):
        assert all(rate < 1.1 for rate in rates(lighter))
        assert rates(lighter)[2] < 0.5


@settings(max_examples=60, deadline=None)
@given(st.floats(0.0, 7.0), st.lists(st.one_of(st.none(), st.floats(0.0, 7.0)), min_size=4, max_size=4))
def test_each_look_that_found_nothing_makes_the_whole_a_little_more_usual(
    whole: float, fed: list[float | None]
) -> None:
    depths = np.array([[np.nan if one is None else one for one in fed]])
    found, channel = together(np.array([whole]), np.array([2]), depths)
    looked = [one for one in fed if one is not None]
    most = max([whole, *looked])
    assert most - np.log10(1 + len(looked)) - 1e-9 <= found[0] <= most
    assert (channel[0] == 2) == (whole >= max(looked, default=0.0))
    if not looked:
        assert found[0] == whole


def test_looks_that_know_nothing_of_one_another_are_together_as_rare_as_they_say() -> None:
    random = np.random.default_rng(8)
    depths = -np.log10(1.0 - random.random((400_000, 5)))
    depths[: len(depths) // 2, 2:] = np.nan
    found, _ = together(depths[:, 0], np.zeros(len(depths), dtype=np.int64), depths[:, 1:])
    for half in (found[: len(found) // 2], found[len(found) // 2 :]):
        for deep in (1.0, 2.0, 2.4, 3.0):
            assert float((half >= deep).mean() * 10.0**deep) == pytest.approx(1.0, abs=0.25)


def test_it_declares_what_it_reads() -> None:
    assert set(ANOMALY.observes) == set(OBSERVES) == set(Observable)
    assert AnomalyQuestion(symbol="BTCUSDT") in ANOMALY.examples


@pytest.mark.anyio
async def test_down_the_road_a_pushed_rate_is_in_the_next_answer_and_leaves_the_one_that_was_given(
    house: House, clock: HandClock
) -> None:
    asked = AnomalyQuestion(symbol="AAA")
    first = await house.ask.one(ANOMALY, asked, "test")
    push(house, "BBB", funding(0.003, NOW), live=False)
    push(house, "AAA", funding(0.003, NOW), live=False)  # an archive that comes after the answer
    clock.at += MINUTE_MS
    again = await house.ask.one(ANOMALY, asked, "test")
    assert again.prediction_id == first.prediction_id
    other = await house.ask.one(ANOMALY, AnomalyQuestion(symbol="BBB"), "test")
    assert isinstance(other.answer, AnomalyAnswer)
    assert (other.answer.type, other.answer.channel) == (Kind.DERIVATIVES, "funding")


def push(house: House, symbol: str, rates: Observed, *, live: bool) -> None:
    came = checked_observations(rates.kind, symbol, "files", rates.at, rates.values)
    assert house.observations.append([came], received_at=house.clock(), live=live)[0].kept == len(rates)
