"""Numbers behind the liquidity rows: windows, the kernel, the calendar, each against an independent computation."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.bars import DAY_MS, HOUR_MS
from ml.economic_calendar import EconomicCalendar, Scheduled
from ml.liquidity.calendar import holiday_of, share_of_holidays, warnings
from ml.liquidity.columns import OWN, columns
from ml.liquidity.features import FEATURES
from ml.liquidity.kernel import AT_LEAST, NAMES, kernel
from ml.liquidity.market import MARKET
from ml.liquidity.question import Horizon, LiquidityQuestion
from ml.liquidity.releases import COUNTS, RELEASES, release_columns
from ml.liquidity.season import coming, profile
from ml.liquidity.windows import rolling_means, rolling_sum, smoothed
from ml.panel import mark
from ml.release import Release
from ml.timeline import StillMarket
from ml.week import hour_of_week, slot_of_hour
from tests.liquidity_market import MONDAY, market

AMOUNTS = st.lists(st.floats(0.0, 1e12), min_size=1, max_size=60)


@given(AMOUNTS, st.integers(1, 40))
def test_rolling_sums_are_those_of_the_window(values: list[float], window: int) -> None:
    found = rolling_sum(np.array(values), window)
    for i in range(len(values)):
        if i + 1 < window:
            assert np.isnan(found[i])
        else:
            assert found[i] == pytest.approx(sum(values[i + 1 - window : i + 1]), rel=1e-12)


@given(AMOUNTS, st.integers(0, 30), st.integers(1, 20))
def test_a_sum_has_the_same_bits_whatever_lies_before_its_window(values: list[float], more: int, window: int) -> None:
    full = rolling_sum(np.array([3.7e11] * more + values), window)
    tail = rolling_sum(np.array(values[-window:]), window)
    if len(values) >= window:
        assert full[-1].tobytes() == tail[-1].tobytes()


@given(AMOUNTS, st.floats(0.01, 0.9), st.integers(1, 40))
def test_a_smoothed_value_is_the_weighted_mean_of_the_window(values: list[float], alpha: float, window: int) -> None:
    found = smoothed(np.array(values), alpha, window)
    if len(values) >= window:
        weights = (1.0 - alpha) ** np.arange(window)
        expected = float((np.array(values[::-1])[:window] * weights).sum() / weights.sum())
        assert found[-1] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_missing_value_spoils_the_windows_that_hold_it_and_no_other() -> None:
    values = np.arange(10.0)
    values[3] = np.nan
    (found,) = rolling_means(values, (3,))
    assert np.isnan(found).tolist() == [True, True, False, True, True, True, False, False, False, False]


def test_the_kernel_tells_level_threshold_and_volatility_as_numpy_would() -> None:
    bars = market(900, noise=0.5)
    row = dict(zip(NAMES, kernel(bars, None)[-1].tolist(), strict=True))
    traded = bars.volume * bars.close
    level = traded[-720:].mean()
    six = np.convolve(traded, np.ones(6), "valid")[-720:]
    assert row["log_level"] == pytest.approx(np.log(level))
    assert row["thin_below"] == pytest.approx(np.log(np.quantile(six, 0.1) / (6.0 * level)))
    weights = 0.9 ** np.arange(168)
    steady = (traded / profile()[hour_of_week(bars.open_at)])[::-1][:168]
    assert row["smoothed"] == pytest.approx(np.log((steady * weights).sum() / weights.sum() / level))
    changes = np.diff(np.log(bars.close))[::-1][:512] ** 2
    fading = 0.985 ** np.arange(512)
    assert row["log_variance"] == pytest.approx(np.log(24.0 * (changes * fading).sum() / fading.sum()))
    assert row["first_hour"] == bars.close_at[-1] / HOUR_MS
    assert row["weekend"] == pytest.approx(1.0 / 7.0, abs=0.02)
    assert (row["missing"], row["silent"]) == (0.0, 0.0)
    assert np.isnan(kernel(bars.between(0, AT_LEAST - 2), None)[-1]).any()


def test_columns_against_the_symbols_own_month() -> None:
    bars = market(900, noise=0.5)
    row = dict(zip(OWN, columns(bars)[-1].tolist(), strict=True))
    assert not np.isnan(list(row.values())).any()
    traded = bars.volume * bars.close
    level = traded[-720:].mean()
    assert row["volume_24"] == pytest.approx(np.log(traded[-24:].mean() / level + 0.01), abs=1e-4)
    assert row["week_ago_12"] == pytest.approx(np.log(traded[-168:-156].mean() / level + 0.01), abs=1e-4)
    assert row["yesterday_24"] == pytest.approx(np.log(traded[-24:].mean() / level + 0.01), abs=1e-4)
    usual = np.sqrt(np.mean(np.diff(np.log(bars.close))[-720:] ** 2))
    assert row["move_24"] == pytest.approx(np.log(bars.close[-1] / bars.close[-25]) / (usual * np.sqrt(24.0)), abs=1e-4)
    assert row["size_24"] == pytest.approx(abs(row["move_24"]))
    assert row["below_peak_168"] <= 0.0 <= row["above_trough_168"]
    assert row["hour"] == (bars.close_at[-1] // HOUR_MS) % 24


def test_the_panel_is_in_the_row_by_its_means_and_by_its_name() -> None:
    alone, other = market(900, symbol="AAA"), market(900, symbol="BBB", seed=2, noise=0.8)
    at, asked = alone.close_at[-1:], [LiquidityQuestion(symbol="AAA", horizon=Horizon.H6)]
    one = FEATURES.rows(asked, at, StillMarket.of(alone))
    both = FEATURES.rows(asked, at, StillMarket.of(alone, other))
    assert one.column("market_volume_6")[0] == pytest.approx(one.column("volume_6")[0], abs=1e-4)
    assert both.column("market_volume_6")[0] != one.column("market_volume_6")[0]
    assert both.column("market_spread_6")[0] > 0.0
    assert one.column("panel_mark")[0] == mark(["AAA"])
    assert both.column("panel_mark")[0] == mark(["AAA", "BBB"])
    assert set(MARKET) <= set(FEATURES.names)


def test_the_profile_has_mean_one_and_its_sums_step_through_the_week() -> None:
    assert profile().mean() == pytest.approx(1.0)
    assert coming(6)[166] == pytest.approx(profile()[[166, 167, 0, 1, 2, 3]].sum())
    assert slot_of_hour(MONDAY // HOUR_MS) == 0


@pytest.mark.parametrize(
    ("day", "name"),
    [
        (date(2023, 12, 25), "Christmas Day"),
        (date(2024, 7, 4), "Independence Day"),
        (date(2022, 4, 18), "Easter Monday"),
        (date(2018, 12, 5), None),  # a day of mourning, declared four days before: nobody knew it in November
        (date(2024, 7, 5), None),
    ],
)
def test_holidays_are_those_that_follow_from_rules(day: date, name: str | None) -> None:
    assert holiday_of((day - date(1970, 1, 1)).days) == name


def test_the_share_of_a_holiday_in_the_coming_hours_counts_whole_hours() -> None:
    eve = int(datetime(2023, 12, 24, tzinfo=UTC).timestamp() * 1_000)
    at = np.array([eve, eve + 18 * HOUR_MS, eve + DAY_MS, eve + DAY_MS + 20 * HOUR_MS], dtype=np.int64)
    assert share_of_holidays(at, 24).tolist() == pytest.approx([0.0, 18 / 24, 1.0, (4 + 20) / 24])
    assert share_of_holidays(at, 6).tolist() == pytest.approx([0.0, 0.0, 1.0, 1.0])


def test_a_working_morning_has_no_warnings() -> None:
    tuesday = (MONDAY + DAY_MS) // HOUR_MS
    assert warnings(tuesday + 8, 6) == ()


def test_releases_are_read_as_due_by_window_and_as_just_out_and_what_is_unknown_is_neither() -> None:
    def ms(text: str) -> int:
        return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)

    def read(text: str, calendar: EconomicCalendar | None = None, as_of: str = "") -> set[str]:
        through = np.array([ms(text)])
        known_at = np.array([ms(as_of)]) if as_of else through
        found = release_columns(calendar or EconomicCalendar(), known_at, through)
        return {name for name, value in zip(RELEASES, found[0].tolist(), strict=True) if value and name in COUNTS}

    assert read("2022-10-13T10:00") == {"due_inflation_6"}
    assert read("2022-10-13T06:30") == {"due_inflation_12"}, "six hours on the dot is after the next six"
    assert read("2022-10-12T13:00") == {"due_inflation_24"}
    assert read("2022-10-13T13:00") == {"released_6", "released_24"}
    assert read("2022-10-13T20:00") == {"released_24"}
    assert read("2022-10-16T13:00") == read("2012-10-16T13:00") == read("2030-03-20T13:00") == set()
    decision = Scheduled(Release.FED, ms("2030-03-20T18:00"), known_from=ms("2029-06-01T00:00"))
    told = EconomicCalendar((decision,))
    assert read("2030-03-20T13:00", told) == {"due_fed_6"}
    assert read("2030-03-20T13:00", told, as_of="2029-05-01T00:00") == set()


def test_rows_read_the_calendar_of_their_market() -> None:
    bars = market(1_200)
    at = np.array([int(bars.close_at[-1])])
    soon = Scheduled(Release.PAYROLLS, int(at[0]) + 2 * HOUR_MS, known_from=0)
    timelines = StillMarket.of(bars).timelines
    plain, told = (
        FEATURES.rows([LiquidityQuestion(symbol=bars.symbol)], at, StillMarket(timelines, scheduled=calendar))
        for calendar in (EconomicCalendar(), EconomicCalendar((soon,)))
    )
    assert told.column("due_payrolls_6").tolist() == [1.0]
    others = [i for i, name in enumerate(FEATURES.names) if "payrolls" not in name]
    assert np.array_equal(plain.values[:, others], told.values[:, others], equal_nan=True)
