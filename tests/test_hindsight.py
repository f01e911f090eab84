"""What came true: told once for all questions of a series, and only of windows that have passed."""

from __future__ import annotations

import numpy as np
import pytest

from ml.bars import HOUR_MS, Bars, Floats, Instants, Timeframe
from ml.capability import Question, until_next_bar
from ml.checks import bars_for_laws
from ml.hindsight import Ahead, in_hindsight, known_or_none, newest_closed
from ml.price import plain_prices, prices
from ml.series import by_series
from ml.timeline import StillMarket

BARS = bars_for_laws(np.random.default_rng(3), Timeframe.H1, 60, "AAA")


def whole_sums(bars: Bars, as_of: Instants, count: int, values: Floats) -> Floats:
    window = Ahead.of(bars, as_of, count)
    return window.sums(values, window.whole)


def test_questions_are_grouped_by_series_in_the_order_in_which_these_come() -> None:
    hours, days = Timeframe.H1, Timeframe.D1
    series = (("B", hours), ("A", hours), ("B", days), ("B", hours))
    asked = [Question(symbol=symbol, timeframe=one) for symbol, one in series]
    assert dict(by_series(asked)) == {
        ("B", Timeframe.H1, None): [0, 3],
        ("A", Timeframe.H1, None): [1],
        ("B", Timeframe.D1, None): [2],
    }
    assert list(by_series(asked, lambda question: question.timeframe)) == [
        ("B", Timeframe.H1, Timeframe.H1),
        ("A", Timeframe.H1, Timeframe.H1),
        ("B", Timeframe.D1, Timeframe.D1),
    ]


def test_each_question_is_told_what_its_own_instant_showed() -> None:
    other = bars_for_laws(np.random.default_rng(4), Timeframe.H1, 60, "BBB")
    calls: list[str] = []

    def tell(question: Question, bars: Bars, as_of: Instants) -> list[float | None]:
        calls.append(question.symbol)
        at = newest_closed(bars, as_of)
        return [None if position < 0 else float(bars.close[position]) for position in at.tolist()]

    asked = [Question(symbol=symbol) for symbol in ("AAA", "BBB", "NOBODY", "AAA", "BBB")]
    as_of = np.array([BARS.close_at[5], other.close_at[7] + 1, BARS.close_at[5], BARS.close_at[9] - 1, 0])
    told = in_hindsight(asked, as_of, StillMarket.of(BARS, other), tell)
    assert told == [BARS.close[5], other.close[7], None, BARS.close[8], None]
    assert calls == ["AAA", "BBB"]


def test_a_window_is_summed_once_its_last_bar_has_closed() -> None:
    values = np.arange(60.0)
    found = whole_sums(BARS, BARS.close_at, 4, values)
    assert found[10] == 11 + 12 + 13 + 14
    assert np.isnan(found).tolist() == [False] * 56 + [True] * 4
    assert np.isnan(whole_sums(BARS, BARS.open_at[:1], 4, values)).all()
    assert whole_sums(BARS, BARS.close_at[[10]] + HOUR_MS - 1, 4, values).tolist() == [found[10]]


def test_a_window_with_a_hole_is_not_whole_and_one_with_an_unknown_value_has_no_sum() -> None:
    keep = np.arange(60) != 30
    holed = Bars(
        "AAA", Timeframe.H1, *(getattr(BARS, n)[keep] for n in ("open_at", "open", "high", "low", "close", "volume"))
    )
    values = np.ones(59)
    values[50] = np.nan
    found = whole_sums(holed, holed.close_at, 4, values)
    assert np.flatnonzero(np.isnan(found)).tolist() == [26, 27, 28, 29, 46, 47, 48, 49, 55, 56, 57, 58]
    window = Ahead.of(holed, holed.close_at, 4)
    assert window.sums(values, np.ones(len(window.last), dtype=bool))[27] == 4.0


def test_unknown_numbers_become_none_and_an_answer_holds_until_the_next_bar() -> None:
    assert known_or_none(np.array([1.5, np.nan])) == [1.5, None]
    assert until_next_bar(Question(symbol="AAA", timeframe=Timeframe.D1)) == 24 * HOUR_MS


def test_prices_are_finite_and_positive_and_plain_ones_far_from_the_ends_of_the_floats() -> None:
    values = np.array([1.0, 0.0, -1.0, np.inf, np.nan, 1e-200, 1e200])
    np.testing.assert_array_equal(prices(values), [1.0, np.nan, np.nan, np.nan, np.nan, 1e-200, 1e200])
    np.testing.assert_array_equal(plain_prices(values), [1.0] + [np.nan] * 6)


def test_an_empty_series_has_no_newest_bar() -> None:
    assert newest_closed(BARS.between(0, 0), BARS.close_at[:2]).tolist() == [-1, -1]
    assert np.isnan(whole_sums(BARS.between(0, 0), BARS.close_at[:2], 4, np.zeros(0))).all()


def test_as_many_truths_as_instants_are_needed() -> None:
    with pytest.raises(ValueError, match="shorter"):
        in_hindsight([Question(symbol="AAA")], BARS.close_at[:1], StillMarket.of(BARS), lambda *_: [])
