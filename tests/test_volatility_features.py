"""Feature rows of volatility: the same bits from a tail, alone, or with another future; on gaps and on any bars."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml.bars import DAY_MS, HOUR_MS, Bars, Floats, Timeframe
from ml.capability import Given
from ml.checks import LAWS, Case, Law, bars_for_laws
from ml.timeline import StillMarket
from ml.volatility import VOLATILITY, Horizon, VolatilityQuestion
from ml.volatility.kernel import DAILY_WARMUP, HOURLY, HOURLY_WARMUP, NAMES, kernel
from ml.volatility.reference import Reference, reference
from ml.volatility.season import Kind, coming, is_open, past, profile
from ml.week import hour_of_week


def gappy(n: int, keep: float = 0.97) -> Bars:
    """Hours with holes of all lengths, and weekends closed in its second half."""
    bars = bars_for_laws(np.random.default_rng(3), Timeframe.H1, n)
    stay = np.random.default_rng(4).random(n) < keep
    stay[n // 4 : n // 4 + 60] = False
    stay[n // 2 :] &= (hour_of_week(bars.open_at) < 118)[n // 2 :]
    prices = (column[stay] for column in (bars.open, bars.high, bars.low, bars.close, bars.volume))
    return Bars("LAW", Timeframe.H1, bars.open_at[stay], *prices)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
@pytest.mark.parametrize(("timeframe", "n"), [(Timeframe.H1, 5_200), (Timeframe.D1, 1_100)])
def test_the_rules_obey_the_laws(law: Law, timeframe: Timeframe, n: int) -> None:
    law.check(Case(VOLATILITY, VOLATILITY.rules, bars_for_laws(np.random.default_rng(2), timeframe, n)))


@pytest.mark.parametrize("ahead", [6, 48])
def test_a_row_from_its_tail_has_the_bits_of_full_history_even_across_gaps_and_weekends(ahead: int) -> None:
    bars = gappy(9_000)
    full = kernel(bars, ahead)
    for at in range(HOURLY.at_least, len(bars), 211):
        tail = kernel(bars.between(at - HOURLY_WARMUP + 1, at + 1), ahead)[-1]
        assert tail.tobytes() == full[at].tobytes(), [NAMES[k] for k in np.flatnonzero(tail != full[at])]


def test_a_daily_row_from_its_tail_has_the_bits_of_full_history() -> None:
    bars = bars_for_laws(np.random.default_rng(5), Timeframe.D1, 1_500)
    full = kernel(bars, 5)
    for at in range(127, len(bars), 53):
        tail = kernel(bars.between(at - DAILY_WARMUP + 1, at + 1), 5)[-1]
        assert tail.tobytes() == full[at].tobytes()


def test_rows_asked_alone_and_in_a_batch_of_mixed_horizons_and_timeframes_are_equal() -> None:
    hours = bars_for_laws(np.random.default_rng(6), Timeframe.H1, 3_000)
    days = bars_for_laws(np.random.default_rng(7), Timeframe.D1, 900)
    market = StillMarket.of(hours, days)
    asked = [VolatilityQuestion(symbol="LAW", horizon=horizon) for horizon in Horizon] * 5
    spread = np.random.default_rng(8).integers(760, 899, len(asked))
    as_of = np.array(
        [(hours if q.timeframe is Timeframe.H1 else days).close_at[k] for q, k in zip(asked, spread, strict=True)]
    )
    many = VOLATILITY.features.rows(asked, as_of, market)
    outcomes = VOLATILITY.rules.predict(many)
    assert all(isinstance(one, Given) for one in outcomes)
    for i, question in enumerate(asked):
        single = VOLATILITY.features.rows([question], as_of[i : i + 1], market)
        assert single.values.tobytes() == many.values[i : i + 1].tobytes()
        assert VOLATILITY.rules.predict(single)[0] == outcomes[i]


prices = arrays(np.float64, 800, elements=st.floats(allow_nan=True, allow_infinity=True), fill=st.floats(0.5, 2.0))


@settings(max_examples=30, deadline=None)
@given(prices, prices, prices, st.sampled_from([6, 48]), st.sampled_from([1, 12, 30]))
def test_any_bars_at_all_give_rows_without_a_warning(
    high: Floats, low: Floats, close: Floats, ahead: int, step_hours: int
) -> None:
    open_at = np.arange(800, dtype=np.int64) * step_hours * HOUR_MS
    bars = Bars("ANY", Timeframe.H1, open_at, close, high, low, close, np.zeros(800))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernel(bars, ahead).shape == (800, len(NAMES))
        assert kernel(bars.between(0, 1), ahead).shape == (1, len(NAMES))
        assert kernel(bars.between(0, 0), ahead).shape == (0, len(NAMES))


def test_prices_times_ten_give_the_same_answers() -> None:
    bars = bars_for_laws(np.random.default_rng(9), Timeframe.H1, 3_000)
    for ahead in (6, 48):
        np.testing.assert_allclose(kernel(bars, ahead), kernel(bars.scaled(10.0), ahead), rtol=1e-7, atol=1e-9)


def test_the_reference_is_the_distribution_of_the_last_90_days() -> None:
    n = 300
    open_at = np.arange(n, dtype=np.int64) * DAY_MS
    realised = np.random.default_rng(10).gamma(2.0, 1.0, n)
    got = reference(open_at, realised, np.ones(n), Reference(every=1, samples=90, daily=False))
    for at in (100, 299):
        window = np.sort(realised[at - 89 : at + 1])
        np.testing.assert_allclose([np.exp(one[at]) - 1e-4 for one in got][::4], [window[0], window[44], window[89]])
    assert np.isnan(got[0][20])


def test_the_season_steps_over_closed_hours_and_averages_to_one_over_the_week() -> None:
    friday_evening = 4 * 24 + 21
    sunday = [profile(Kind.WEEKDAYS)[6 * 24 + 21 + k] for k in range(3)]
    assert coming(Kind.WEEKDAYS, 3)[friday_evening] == pytest.approx(np.mean(sunday))
    assert coming(Kind.ALWAYS, 168)[0] == pytest.approx(coming(Kind.ALWAYS, 168)[99])
    for kind in Kind:
        open_hours = [factor for slot, factor in enumerate(profile(kind)) if is_open(kind, slot)]
        assert np.mean(open_hours) == pytest.approx(1.0, abs=0.01)
        assert past(kind, 1) == pytest.approx(
            [f if is_open(kind, slot) else past(kind, 1)[slot] for slot, f in enumerate(profile(kind))]
        )


def test_a_daily_rhythm_planted_in_the_bars_is_found_in_their_own_season() -> None:
    bars = bars_for_laws(np.random.default_rng(11), Timeframe.H1, 4_000)
    hour = hour_of_week(bars.open_at) % 24
    loud = np.where(hour == 13, 8.0, 1.0)
    reach = np.random.default_rng(12).uniform(0.5, 1.5, len(bars)) * 0.002 * loud
    flat = np.full(len(bars), 100.0)
    own = kernel(
        Bars("OWN", Timeframe.H1, bars.open_at, flat, flat * np.exp(reach), flat, flat, flat),
        6,
    )[:, NAMES.index("own_season")]
    before, after = own[3_000:][hour[3_000:] == 10], own[3_000:][hour[3_000:] == 15]
    assert before.min() > after.max() + 1.0
