"""What a panel shows at an instant: the same bits alone and among many, and nothing that was not known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.bars import HOUR_MS, Bars, Floats, Instants, Timeframe
from ml.checks import bars_for_laws
from ml.economic_calendar import EconomicCalendar
from ml.exact import picked
from ml.observed import Kind, Observed
from ml.panel import LATEST_MS, Mean, PanelColumns, PanelMeans, mark
from ml.timeline import StillMarket, Timeline
from ml.volatility.features import FEATURES, ROW_NAMES
from ml.volatility.market import MARKET, PANEL, market_columns
from ml.volatility.question import VolatilityQuestion


def series(symbol: str, seed: int, n: int = 2_500) -> Bars:
    return bars_for_laws(np.random.default_rng(seed), Timeframe.H1, n, symbol)


MEMBERS = tuple(series(symbol, seed) for seed, symbol in enumerate(("AAA", "BBB", "CCC", "DDD")))
MARKET_OF_ALL = StillMarket.of(*MEMBERS)
AT = MEMBERS[0].close_at


@dataclass(frozen=True)
class Chosen:
    """A market whose panel is named, whatever is fed."""

    market: StillMarket
    members: tuple[str, ...]

    def timeline(self, symbol: str, timeframe: Timeframe) -> Timeline | None:
        return self.market.timeline(symbol, timeframe)

    def panel(self, timeframe: Timeframe) -> tuple[str, ...]:
        return self.members

    def observed(self, kind: Kind, symbol: str) -> Observed | None:
        return self.market.observed(kind, symbol)

    def calendar(self) -> EconomicCalendar:
        return self.market.calendar()


def asked(market: StillMarket | Chosen, at: Instants) -> Floats:
    return market_columns(market, at, at, np.ones(len(at), dtype=bool))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(730, 2_499), min_size=1, max_size=6, unique=True))
def test_a_row_of_the_market_has_the_same_bits_alone_and_among_many(positions: list[int]) -> None:
    many = asked(MARKET_OF_ALL, AT[700:])
    some = asked(MARKET_OF_ALL, AT[positions])
    for k, position in enumerate(positions):
        alone = asked(MARKET_OF_ALL, AT[[position]])
        assert alone.tobytes() == many[[position - 700]].tobytes() == some[[k]].tobytes()


def test_what_members_do_later_changes_nothing() -> None:
    past = StillMarket.of(*(one.between(0, 1_500) for one in MEMBERS))
    assert asked(past, AT[[1_499]]).tobytes() == asked(MARKET_OF_ALL, AT[[1_499]]).tobytes()


def test_the_mean_is_that_of_the_members_and_late_ones_are_left_out() -> None:
    name = MARKET.index("market_range_24")
    alone = [asked(StillMarket.of(one), AT[[2_000]])[0, name] for one in MEMBERS]
    assert asked(MARKET_OF_ALL, AT[[2_000]])[0, name] == pytest.approx(np.mean(alone), abs=2e-4)
    stopped = StillMarket.of(*MEMBERS[:3], MEMBERS[3].between(0, 1_990))
    assert asked(stopped, AT[[2_000]])[0, name] == pytest.approx(np.mean(alone[:3]), abs=2e-4)
    young = StillMarket.of(*MEMBERS[:3], MEMBERS[3].between(1_500, 2_500))
    assert asked(young, AT[[2_000]])[0, name] == pytest.approx(np.mean(alone[:3]), abs=2e-4)


def test_members_that_close_for_weekends_do_not_stand_for_those_that_do_not() -> None:
    open_hours = (MEMBERS[3].open_at // HOUR_MS + 72) % 168 < 120
    columns = (MEMBERS[3].open_at, *(getattr(MEMBERS[3], n) for n in ("open", "high", "low", "close", "volume")))
    weekdays = Bars("DDD", Timeframe.H1, *(column[open_hours] for column in columns))
    mixed, three = StillMarket.of(*MEMBERS[:3], weekdays), StillMarket.of(*MEMBERS[:3])
    assert asked(mixed, AT[[2_000]])[0, :-1].tolist() == asked(three, AT[[2_000]])[0, :-1].tolist()


def test_an_empty_panel_leaves_the_market_unknown_and_the_rest_as_it_was() -> None:
    empty = Chosen(MARKET_OF_ALL, ())
    question = VolatilityQuestion(symbol="BBB")
    known, unknown = (FEATURES.rows([question], AT[[2_000]], market) for market in (MARKET_OF_ALL, empty))
    first = ROW_NAMES.index(MARKET[0])
    assert np.isnan(unknown.values[0, first:-1]).all()
    assert unknown.values[0, -1] == 0.0
    assert unknown.values[0, :first].tobytes() == known.values[0, :first].tobytes()
    assert np.isfinite(known.values).all()


def test_a_member_that_nobody_feeds_is_left_out_but_stands_in_the_mark() -> None:
    market = Chosen(MARKET_OF_ALL, ("AAA", "BBB", "ZZZ"))
    assert [one.symbol for one in PANEL.members(market, Timeframe.H1, AT[[2_000]])] == ["AAA", "BBB"]
    assert asked(market, AT[[2_000]])[0, -1] == mark(("AAA", "BBB", "ZZZ")) != mark(("AAA", "BBB"))
    assert mark(()) == 0.0


def test_a_late_bar_of_a_member_changes_no_answer_already_given() -> None:
    clean, whole = MEMBERS[0], Timeline.of(MEMBERS[0])
    order = np.append(np.delete(np.arange(len(clean)), 1_900), 1_900)
    records = Bars(
        "AAA",
        Timeframe.H1,
        clean.open_at[order],
        *(getattr(clean, name)[order] for name in ("open", "high", "low", "close", "volume")),
    )
    received = np.append(np.delete(whole.received_at, 1_900), whole.received_at[-1])
    late = StillMarket({("AAA", Timeframe.H1): Timeline(records, received, "files")})
    gone = StillMarket.of(without(clean, 1_900))
    before, after = AT[[2_000]], AT[[-1]]
    assert asked(late, before).tobytes() == asked(gone, before).tobytes()
    assert asked(late, after).tobytes() == asked(StillMarket.of(clean), after).tobytes()


def test_a_mean_skips_what_is_not_known_column_by_column() -> None:
    mean = Mean.of(2, 2)
    mean.add(np.array([[1.0, np.nan], [3.0, 4.0]]), np.array([True, True]))
    mean.add(np.array([[5.0, np.nan], [9.0, 9.0]]), np.array([True, False]))
    np.testing.assert_array_equal(mean.values, [[3.0, np.nan], [3.0, 4.0]])


def test_members_of_another_kind_and_late_ones_count_for_nothing_and_the_rest_are_told_with_their_spread() -> None:
    told = {"AAA": (1.0, 1.0), "BBB": (1.0, 3.0), "CCC": (0.0, 100.0), "DDD": (1.0, 8.0)}

    def kernel(bars: Bars, at: Instants | None = None) -> Floats:
        return np.tile(np.array(told[bars.symbol]), (len(picked(bars.open_at, at)), 1))

    means = PanelMeans(PanelColumns(kernel, 2, 1, 1), (1,), lambda member, asked: member == asked)
    market = StillMarket.of(*MEMBERS[:3], MEMBERS[3].between(0, 1_000))
    stopped = MEMBERS[3].close_at[999]
    at = stopped + np.array([0, LATEST_MS, LATEST_MS + HOUR_MS, 0])
    found = means.columns(market, Timeframe.H1, at, at, np.array([1.0, 1.0, 1.0, 0.0]))
    apart = round(np.std([1.0, 3.0, 8.0]), 4)
    whole = mark(("AAA", "BBB", "CCC", "DDD"))
    assert found.tolist() == [[4.0, apart, whole], [4.0, apart, whole], [2.0, 1.0, whole], [100.0, 0.0, whole]]


def test_sparse_instants_are_read_from_tails_and_dense_ones_from_stretches_alike() -> None:
    reader = PanelColumns(lambda bars, at=None: np.log(picked(bars.close, at))[:, None], 1, 1, 1)
    at = np.concatenate([AT[:5], AT[2_000:2_010], AT[[2_499]]])
    member = reader.member(Timeline.of(MEMBERS[0]), at)
    expected = np.log(MEMBERS[0].close)[np.concatenate([np.arange(5), np.arange(2_000, 2_010), [2_499]])]
    np.testing.assert_array_equal(member.values[:, 0], expected)
    np.testing.assert_array_equal(member.data_through, at)
    assert reader.member(Timeline.of(MEMBERS[0]), AT[:1] - HOUR_MS).data_through.tolist() == [0]


def without(bars: Bars, position: int) -> Bars:
    floats = (np.delete(getattr(bars, name), position) for name in ("open", "high", "low", "close", "volume"))
    return Bars(bars.symbol, bars.timeframe, np.delete(bars.open_at, position), *floats)
