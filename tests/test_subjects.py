"""Which bars a model is taught on, of those that are fed."""

from __future__ import annotations

from dataclasses import replace

from market.series_info import SeriesInfo
from ml.anomaly import ANOMALY
from ml.bars import Timeframe
from ml.capability import AnyCapability
from ml.volatility import VOLATILITY
from workers.subjects import Subject, finer, subjects

H1, H4, D1 = Timeframe.H1, Timeframe.H4, Timeframe.D1


def fed(*series: tuple[str, Timeframe]) -> list[SeriesInfo]:
    return [SeriesInfo(name, of, "files", 9, 9, 0, 0, 1, 1, 0, 0, 1.0, 1.0) for name, of in series]


EVERY = fed(("BBB", H1), ("AAA", H1), ("AAA", H4), ("AAA", D1), ("AAA", Timeframe.M5))


def timeframes(of: AnyCapability, series: list[SeriesInfo], answered: Timeframe | None = None) -> list[Timeframe]:
    return [one.timeframe for one in subjects(of, series, answered)]


def test_a_model_learns_from_the_finest_bars_and_beside_them_from_the_longer_ones_that_it_answers() -> None:
    hours, fours, days = subjects(ANOMALY, EVERY)
    assert hours == Subject(H1, ("AAA", "BBB"), 5)
    assert (fours, days) == (Subject(H4, ("AAA",), 5), Subject(D1, ("AAA",), 1))
    assert timeframes(VOLATILITY, EVERY) == [H1]


def test_without_hours_it_learns_from_days_and_from_nothing_else() -> None:
    assert timeframes(ANOMALY, fed(("AAA", D1), ("AAA", H4))) == [D1]
    assert subjects(ANOMALY, fed(("AAA", H4))) == ()
    assert subjects(replace(VOLATILITY, learner=None), EVERY) == ()


def test_what_answers_longer_bars_may_learn_from_finer_ones() -> None:
    assert finer(ANOMALY, D1) == finer(ANOMALY, H4) == (H1,)
    assert finer(ANOMALY, H1) == finer(VOLATILITY, D1) == finer(replace(ANOMALY, learner=None), D1) == ()


def test_a_replay_is_taught_what_it_takes_to_answer_on_its_timeframe() -> None:
    assert timeframes(ANOMALY, EVERY, H1) == [H1]
    assert timeframes(ANOMALY, EVERY, D1) == [H1, D1]
    assert timeframes(VOLATILITY, EVERY, D1) == [D1]
    assert timeframes(ANOMALY, fed(("AAA", H4)), H4) == [H4]
    assert timeframes(ANOMALY, fed(("AAA", H1)), D1) == []
