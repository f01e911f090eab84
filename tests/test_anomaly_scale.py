"""The rules' scale, measured anew on real bars; and what is seen of these beside the lessons."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.anomaly import ANOMALY
from ml.anomaly.kernel import NAMES
from ml.anomaly.scale import FEWEST, FOLLOWED, Scale, background, usual
from ml.anomaly.tails import LARGEST
from ml.background import Background
from ml.bars import HOUR_MS, Bars, Timeframe
from ml.checks import bars_for_laws
from ml.timeline import StillMarket

BARS = bars_for_laws(np.random.default_rng(11), Timeframe.H1, 3_000, "AAA")


def depths(seed: int, n: int, stretched: float = 1.0) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """-log10 of chances that are right, times `stretched`: above 1 the rules call too much rare."""
    return stretched * np.random.default_rng(seed).exponential(1.0 / np.log(10.0), n)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_rules_that_are_right_are_left_as_they_are(seed: int) -> None:
    scale = Scale.of(depths(seed, 40_000))
    asked = np.array([0.6, 1.0, 2.0, 2.4, 3.2])
    assert scale.depth(asked) == pytest.approx(asked, abs=0.15)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.8, 1.3))
def test_rules_that_say_too_much_or_too_little_are_followed_half_of_the_way(seed: int, stretched: float) -> None:
    scale = Scale.of(depths(seed, 40_000, stretched))
    for right in (1.0, 2.0, 2.4):
        said = stretched * right
        met = right + FOLLOWED * (said - right)  # what is taken to be as rare as `right`
        assert scale.depth(np.array([met]))[0] == pytest.approx(right, abs=0.15)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(FEWEST, 4 * FEWEST), st.floats(0.3, 2.0))
def test_a_scale_never_turns_an_order_round_and_stays_within_what_is_told(seed: int, n: int, stretched: float) -> None:
    scale = Scale.of(depths(seed, n, stretched))
    told = scale.depth(np.linspace(0.0, 9.0, 300))
    assert (np.diff(told) >= 0.0).all()
    assert 0.0 <= told[0] <= told[-1] <= LARGEST
    assert np.isnan(scale.depth(np.array([np.nan])))[0]
    assert Scale.of_numbers(scale.to_numbers()).depth(np.array([2.2])) == scale.depth(np.array([2.2]))


def test_few_bars_make_no_scale_and_numbers_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="999 bars make no scale, 1,000 are needed"):
        Scale.of(np.zeros(FEWEST - 1))
    good = Scale.of(depths(1, FEWEST)).to_numbers()
    for wrong in (good[:-1], good[::-1], [*good[:-1], float("inf")], None):
        with pytest.raises((ValueError, TypeError)):
            Scale.of_numbers(wrong)


def test_what_is_seen_of_the_market_is_of_real_usual_bars_in_the_interval_and_blind_to_what_follows() -> None:
    start, end = int(BARS.close_at[1_000]), int(BARS.close_at[2_000])
    series = [("AAA", Timeframe.H1), ("NOBODY", Timeframe.H1), ("AAA", Timeframe.M30)]
    found = background(StillMarket.of(BARS), series, start, end)
    assert found.kinds == ("1h",)
    assert 950 < len(found) <= 1_000
    assert start <= found.known_at[0] <= found.known_at[-1] < end
    early = background(StillMarket.of(BARS.between(0, 2_001)), series, start, end)
    assert early.values.tobytes() == found.values.tobytes()
    assert len(background(StillMarket.of(BARS), [], start, end)) == 0


def test_an_outage_of_a_market_that_never_closes_is_no_part_of_what_is_usual() -> None:
    rows = np.zeros((3, len(NAMES)))
    rows[:, NAMES.index("weekends")] = [1.0, 1.0, 0.0]
    rows[:, NAMES.index("gap")] = [0.0, 3.0, 3.0]
    assert usual(rows).tolist() == [True, False, True]


def test_numbers_of_several_kinds_are_kept_in_order_of_time_and_found_by_kind() -> None:
    days = ("1d", np.array([24, 48]) * HOUR_MS, np.array([0.1, 0.2]))
    hours = ("1h", np.array([23, 24, 47]) * HOUR_MS, np.array([1.0, 2.0, 3.0]))
    both = Background.of([days, hours, ("4h", np.zeros(0, dtype=np.int64), np.zeros(0))])
    assert both.kinds == ("1d", "1h")
    assert (np.diff(both.known_at) >= 0).all()
    assert {kind: values.tolist() for kind, values in both.by_kind().items()} == {
        "1d": [0.1, 0.2],
        "1h": [1.0, 2.0, 3.0],
    }
    later = both.between(24 * HOUR_MS, 47 * HOUR_MS)
    assert {kind: values.tolist() for kind, values in later.by_kind().items()} == {"1h": [3.0]}
    assert len(both.between(48 * HOUR_MS, 0)) == 0
    assert Background.of([]).by_kind() == {}


def test_plants_of_practice_are_not_seen_in_the_background() -> None:
    market = StillMarket.of(BARS)
    assert ANOMALY.practice is not None
    assert ANOMALY.background is not None
    planted = ANOMALY.practice(market).timeline("AAA", Timeframe.H1)
    assert planted is not None
    bars: Bars = planted.latest()
    assert not np.array_equal(bars.high[: len(BARS)], BARS.high)
    whole = int(BARS.close_at[-1]) + 1
    real = ANOMALY.background(market, [("AAA", Timeframe.H1)], 0, whole)
    beside = ANOMALY.background(StillMarket.of(bars), [("AAA", Timeframe.H1)], 0, whole)
    assert real.values.max() < beside.values.max()
