"""Volatility around releases of the economic calendar: what is due is said, counted and learned."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from commands.config import Config, Ledger, Models, load
from ml.bars import DAY_MS, HOUR_MS, WEEK_MS, Bars, Floats, Timeframe
from ml.capability import Given, Rows
from ml.checks import bars_for_laws
from ml.economic_calendar import EconomicCalendar, Scheduled
from ml.learning import Artefact, Lessons
from ml.release import Release
from ml.timeline import StillMarket
from ml.volatility import VOLATILITY, Horizon, VolatilityAnswer, VolatilityQuestion
from ml.volatility.held_out import FEW_WEEKS, due_shifts
from ml.volatility.inputs import COLUMNS, N_LINEAR
from ml.volatility.question import horizons_on
from ml.volatility.releases import DUE, RELEASED, spans
from ml.volatility.truth import truth
from ml.week import hour_of_week
from server import build
from tests.conftest import HandClock, table

HOURS = 1_500


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


def hourly(end: str, *, rests: bool = False, n: int = HOURS, symbol: str = "A") -> Bars:
    """Lively bars whose last one closes at `end`; of a market that `rests`, without those of closed weekends."""
    lively = bars_for_laws(np.random.default_rng(1), Timeframe.H1, n, symbol)
    open_at = lively.open_at + (ms(end) - n * HOUR_MS - int(lively.open_at[0]))
    slots = hour_of_week(open_at)
    kept = ~((slots >= 4 * 24 + 22) & (slots < 6 * 24 + 21)) if rests else np.ones(n, dtype=bool)
    numbers = (lively.open, lively.high, lively.low, lively.close, lively.volume)
    return Bars(symbol, Timeframe.H1, open_at[kept], *(one[kept] for one in numbers))


def rows_of(bars: Bars, horizon: Horizon, calendar: EconomicCalendar | None = None, as_of: int | None = None) -> Rows:
    market = StillMarket.of(bars)
    market = StillMarket(market.timelines, scheduled=calendar or EconomicCalendar())
    question = VolatilityQuestion(symbol=bars.symbol, horizon=horizon)
    at = np.array([int(bars.close_at[-1]) if as_of is None else as_of])
    return VOLATILITY.features.rows([question], at, market)


def answer_of(
    bars: Bars, horizon: Horizon, calendar: EconomicCalendar | None = None, as_of: int | None = None
) -> VolatilityAnswer:
    outcome = VOLATILITY.rules.predict(rows_of(bars, horizon, calendar, as_of))[0]
    assert isinstance(outcome, Given), outcome
    return outcome.answer


@pytest.mark.parametrize(
    ("end", "horizon", "due"),
    [
        ("2020-09-16T13:00", Horizon.H6, "Fed decision 2020-09-16 18:00Z"),
        ("2020-09-16T18:00", Horizon.H6, "Fed decision 2020-09-16 18:00Z"),  # within the very next bar
        ("2020-09-04T07:00", Horizon.H6, "US payrolls 2020-09-04 12:30Z"),
        ("2022-10-11T13:00", Horizon.H48, "US inflation (CPI) 2022-10-13 12:30Z"),
    ],
)
def test_what_is_due_in_the_coming_hours_is_named_with_its_time(end: str, horizon: Horizon, due: str) -> None:
    answer = answer_of(hourly(end), horizon)
    assert answer.upcoming_events == (due,)


@pytest.mark.parametrize(
    ("end", "horizon"),
    [
        ("2020-09-16T12:00", Horizon.H6),  # the six bars end when the decision is out
        ("2020-09-16T19:00", Horizon.H6),
        ("2020-09-04T06:00", Horizon.H6),
    ],
)
def test_what_comes_after_them_is_not_due(end: str, horizon: Horizon) -> None:
    answer = answer_of(hourly(end, rests=True), horizon)
    assert answer.upcoming_events == ()
    assert answer.upcoming_event_impact == 1.0


def test_several_are_named_in_the_order_in_which_they_come() -> None:
    answer = answer_of(hourly("2024-06-11T20:00"), Horizon.H24)
    assert answer.upcoming_events == ("US inflation (CPI) 2024-06-12 12:30Z", "Fed decision 2024-06-12 18:00Z")


def test_bars_of_a_market_that_rests_reach_over_its_weekend() -> None:
    """Twelve bars from a Friday evening on end on Monday; the same hours of the clock would not."""
    rests, never = (hourly("2020-09-04T20:00", rests=rests) for rests in (True, False))
    monday = EconomicCalendar((Scheduled(Release.FED, ms("2020-09-07T05:00"), ms("2020-08-01T00:00")),))
    assert answer_of(rests, Horizon.H12, monday).upcoming_events == ("Fed decision 2020-09-07 05:00Z",)
    assert answer_of(never, Horizon.H12, monday).upcoming_events == ()


def test_currencies_are_told_to_move_more_when_the_fed_decides_and_by_how_much() -> None:
    bars = hourly("2020-09-16T15:00", rests=True)
    moved = EconomicCalendar((Scheduled(Release.FED, ms("2020-09-16T16:00"), ms("2020-09-16T15:30")),))
    due = answer_of(bars, Horizon.H6)
    assert due.upcoming_event_impact == pytest.approx(np.exp(1.92 / 2.0))
    rows = rows_of(bars, Horizon.H6)
    effects = {term.name: term.effect for term in VOLATILITY.rules.explain(rows)[0]}
    assert effects["due_fed"] == pytest.approx(1.92)
    told = VOLATILITY.rules.predict(rows)[0]
    assert isinstance(told, Given)
    assert any("Federal Reserve" in reason for reason in told.reasons)
    assert due == answer_of(bars, Horizon.H6, moved), "what is known of later changes nothing"


def test_what_releases_do_to_coins_the_rules_do_not_know_and_do_not_say() -> None:
    due, none = (answer_of(hourly(end), Horizon.H6) for end in ("2020-09-16T15:00", "2020-09-16T09:00"))
    assert due.upcoming_events == ("Fed decision 2020-09-16 18:00Z",)
    assert due.upcoming_event_impact is None
    assert none.upcoming_event_impact == 1.0


def test_what_is_known_to_be_due_is_told_where_another_schedule_has_ended() -> None:
    """Of 2027 the decisions of the Fed are known, inflation and payrolls are not."""
    answer = answer_of(hourly("2027-09-15T13:00", rests=True), Horizon.H6)
    assert answer.upcoming_events == ("Fed decision 2027-09-15 18:00Z",)
    assert answer.upcoming_event_impact == pytest.approx(np.exp(1.92 / 2.0))
    assert answer_of(hourly("2027-09-16T13:00", rests=True), Horizon.H6).upcoming_events is None


@pytest.mark.parametrize("end", ["2012-12-31T00:00", "2028-03-01T12:00"])
def test_beyond_the_calendar_nobody_says_that_nothing_is_due(end: str) -> None:
    answer = answer_of(hourly(end), Horizon.H24)
    assert answer.upcoming_events is None
    assert answer.upcoming_event_impact is None


def test_days_are_told_what_is_due_and_not_what_it_does() -> None:
    days = bars_for_laws(np.random.default_rng(2), Timeframe.D1, 400, "D")
    tomorrow = int(days.close_at[-1]) + 7 * HOUR_MS
    calendar = EconomicCalendar(tuple(Scheduled(one, tomorrow, tomorrow - 7 * DAY_MS) for one in Release))
    answer = answer_of(days, Horizon.D1, calendar)
    assert answer.upcoming_events is not None
    assert len(answer.upcoming_events) == len(Release)
    assert answer.upcoming_event_impact is None


@pytest.mark.parametrize(
    ("bars", "newest", "rests", "hours"),
    [
        (1, "2020-09-04", True, 72),  # a Friday: the next bar is Monday's
        (1, "2020-09-03", True, 24),
        (5, "2020-09-02", True, 7 * 24),
        (1, "2020-09-04", False, 24),
    ],
)
def test_days_of_a_market_that_rests_reach_over_its_weekend(bars: int, newest: str, rests: bool, hours: int) -> None:
    closed = np.array([ms(newest) + DAY_MS])
    assert spans(Timeframe.D1, np.array([bars]), np.array([not rests]), closed) == [float(hours)]


@pytest.mark.parametrize(
    ("end", "in_six", "in_a_day"),
    [
        ("2020-09-16T18:00", 0.0, 0.0),  # not out yet: it comes within the next bar
        ("2020-09-16T19:00", 1.0, 1.0),
        ("2020-09-17T00:00", 1.0, 1.0),
        ("2020-09-17T01:00", 0.0, 1.0),
        ("2020-09-17T18:00", 0.0, 1.0),
        ("2020-09-17T19:00", 0.0, 0.0),
    ],
)
def test_what_is_just_out_is_told_for_six_hours_and_for_a_day(end: str, in_six: float, in_a_day: float) -> None:
    rows = rows_of(hourly(end), Horizon.H6)
    assert rows.columns(RELEASED).tolist() == [[in_six, in_a_day]]


def test_what_was_missed_at_releases_is_added_the_less_the_fewer_weeks_saw_one() -> None:
    """Eight weeks, one Fed decision each, at which the outcome was twice the forecast; none of the others."""
    weeks, fed = 8, DUE.index("due_fed")
    as_of = np.repeat(np.arange(weeks) * WEEK_MS, 2) + np.tile([0, DAY_MS], weeks)
    inputs = np.zeros((2 * weeks, N_LINEAR))
    inputs[::2, COLUMNS.index(DUE[fed])] = 3.0
    truths: Floats = np.where(inputs.max(axis=1) > 0.0, np.log(2.0), 0.0)
    forecast, alike = np.zeros(2 * weeks), np.ones(2 * weeks)
    found = due_shifts(inputs, as_of, truths, forecast, alike)
    assert found[fed] == pytest.approx(np.log(2.0) * weeks / (weeks + FEW_WEEKS))
    assert [found[k] for k in range(len(DUE)) if k != fed] == [0.0, 0.0]
    older = due_shifts(inputs, as_of, truths, forecast, alike / 4.0)
    assert 0.0 < older[fed] < found[fed]


def test_an_answer_stands_when_the_operator_adds_a_release_later(tmp_path: Path, clock: HandClock) -> None:
    """NOW is 2024-01-01; the shipped calendar knows of no release in its first days."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "market: {calendar: [{release: fed, at: 2024-01-01T05:00:00Z, known_from: 2023-12-31T00:00:00Z},"
        " {release: payrolls, at: 2024-01-01T03:30:00Z, known_from: 2024-01-01T01:00:00Z}]}"
    )
    config = Config(ledger=Ledger(flush_ms=1), models=Models(train=False), market=load(path).market)
    house = build(config, tmp_path / "data", clock)
    try:
        house.history.append([table("AAA", seed=1)], received_at=clock.at, live=False)
        rows = VOLATILITY.features.rows(
            [VolatilityQuestion(symbol="AAA")] * 2,
            np.array([clock.at - 48 * HOUR_MS, clock.at]),
            house.ask.market,
        )
        before, now = VOLATILITY.rules.predict(rows)
    finally:
        house.close()
    assert isinstance(before, Given)
    assert isinstance(now, Given)
    assert before.answer.upcoming_events == ()
    assert now.answer.upcoming_events == ("Fed decision 2024-01-01 05:00Z",)


def test_a_model_learns_what_releases_do_and_says_it() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("torch")
    pytest.importorskip("xgboost")
    quiet = hourly("2026-06-01T00:00", n=9_000)
    calendar = EconomicCalendar()
    hours = calendar.hours_until(Release.INFLATION, quiet.open_at, quiet.open_at)
    wild = np.where(hours < 1.0, 6.0, 1.0)
    steps = np.diff(np.log(quiet.close), prepend=np.log(quiet.open[0])) * wild
    close = 100.0 * np.exp(np.cumsum(steps))
    open_ = np.concatenate([[100.0], close[:-1]])
    reach = 1.0 + 0.001 * wild
    high, low = np.maximum(open_, close) * reach, np.minimum(open_, close) / reach
    bars = Bars("A", Timeframe.H1, quiet.open_at, open_, high, low, close, quiet.volume)
    market = StillMarket.of(bars)
    asked = [
        (at, VolatilityQuestion(symbol="A", horizon=horizon))
        for at in bars.close_at[721:8_900:5].tolist()
        for horizon in horizons_on(Timeframe.H1)
    ]
    as_of = np.array([at for at, _ in asked])
    questions = [question for _, question in asked]
    truths = truth(questions, as_of, market)
    rows = VOLATILITY.features.rows(questions, as_of, market)
    learner = VOLATILITY.learner
    assert learner is not None
    fitted = learner.fit(Lessons(rows, [one for one in truths if one is not None]), 3, lambda _share, _word: None)
    model = learner.load(Artefact.of(fitted.artefact.to_bytes(), learner.name), 1)
    impacts: dict[str, float | None] = {}
    for end in ("2026-05-12T10:00", "2026-05-20T10:00"):
        at = np.array([ms(end)])
        told = model.predict(VOLATILITY.features.rows([VolatilityQuestion(symbol="A", horizon=Horizon.H6)], at, market))
        assert isinstance(told[0], Given), told[0]
        impacts[end] = told[0].answer.upcoming_event_impact
        assert told[0].answer.upcoming_events is not None
    assert (impacts["2026-05-12T10:00"] or 0.0) > 1.4
    assert impacts["2026-05-20T10:00"] == 1.0
