"""The truth of regimes: the written formula, the cheapest path, and final once given."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.bars import HOUR_MS, Bars, Timeframe
from ml.regime import REGIME, RegimeQuestion
from ml.regime.formula import LABELS, NO_LABEL
from ml.regime.path import RENEWAL_RUN, is_renewed, settled_path
from ml.regime.truth import hindsight, raw_labels
from ml.timeline import StillMarket

QUESTION = RegimeQuestion(symbol="ETHUSDT")
RAW = st.lists(st.integers(NO_LABEL, 2), min_size=1, max_size=7)


def market(n: int, seed: int = 5, missing: tuple[int, ...] = ()) -> Bars:
    rng = np.random.default_rng(seed)
    level = np.exp(np.cumsum(rng.normal(0, 0.03, n)) % 1.0)
    close = 50.0 * np.exp(np.cumsum(0.004 * level * rng.standard_normal(n)))
    keep = np.setdiff1d(np.arange(n), missing)
    at, close = HOUR_MS * keep, close[keep]
    return Bars("ETHUSDT", Timeframe.H1, at, close, close, close, close, np.zeros(len(at)))


BARS = market(4_200)
FULL = hindsight(BARS, np.arange(len(BARS)))


def cost(path: tuple[int, ...], raw: list[int]) -> int:
    mismatches = sum(label not in (NO_LABEL, own) for own, label in zip(path, raw, strict=True))
    return 4 * mismatches + 3 * sum(a != b for a, b in itertools.pairwise(path))


@settings(max_examples=40, deadline=None)
@given(RAW)
def test_the_settled_path_is_part_of_a_cheapest_path_found_by_trying_all(raw: list[int]) -> None:
    names = sorted(set(raw) - {NO_LABEL}) or [0]
    costs = {path: cost(path, raw) for path in itertools.product(names, repeat=len(raw))}
    cheapest = [path for path, paid in costs.items() if paid == min(costs.values())]
    settled = settled_path(np.asarray(raw)).tolist()
    assert any(all(own in (NO_LABEL, best) for own, best in zip(settled, path, strict=True)) for path in cheapest)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(NO_LABEL, 4), st.integers(1, 9)), min_size=1, max_size=30), st.data())
def test_a_label_once_settled_stays_whatever_follows(runs: list[tuple[int, int]], data: st.DataObject) -> None:
    raw = np.repeat([label for label, _ in runs], [length for _, length in runs])
    full = settled_path(raw)
    early = settled_path(raw[: data.draw(st.integers(1, len(raw)))])
    given_then = early != NO_LABEL
    assert (full[: len(early)][given_then] == early[given_then]).all()


@pytest.mark.parametrize(
    ("spells", "stays"),
    [((3,), False), ((3, 3), True), ((3, 0), False), ((3, 2, 3), False)],
    ids=["one bar", "two equal bars", "two bars that differ", "one bar, twice"],
)
def test_single_bars_amid_a_regime_are_flicker_and_two_equal_bars_are_a_regime(
    spells: tuple[int, ...], stays: bool
) -> None:
    raw = np.asarray([2] * 30 + list(spells) + [2] * 30)
    path = settled_path(raw)[:50]
    assert (path == raw[:50]).all() if stays else (path == 2).all()


def test_a_single_bar_between_two_regimes_stays() -> None:
    raw = np.repeat([2, 3, 4], [30, 1, 30])
    assert settled_path(raw)[:50].tolist() == raw[:50].tolist()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(NO_LABEL, 4), max_size=40), st.lists(st.integers(NO_LABEL, 4), max_size=40), st.integers(0, 4)
)
def test_after_a_renewal_the_path_ahead_has_forgotten_what_was_before(
    before: list[int], after: list[int], label: int
) -> None:
    run = [label] * RENEWAL_RUN
    assert is_renewed(np.asarray([NO_LABEL, *run]))
    fresh = settled_path(np.asarray(run + after))[len(run) :]
    assert settled_path(np.asarray(before + run + after))[len(before) + len(run) :].tolist() == fresh.tolist()


def test_short_runs_and_missing_labels_are_no_renewal() -> None:
    assert not is_renewed(np.repeat([0, 1, 2], RENEWAL_RUN - 1))
    assert not is_renewed(np.full(50, NO_LABEL))
    assert not is_renewed(np.asarray([], dtype=np.int64))


def test_the_raw_label_is_the_written_formula() -> None:
    log_price = np.log(BARS.close)
    returns = np.diff(log_price, prepend=np.nan)
    sigma = np.sqrt([np.mean(returns[i - 23 : i + 1] ** 2) if i >= 24 else np.nan for i in range(len(BARS))])
    raw = raw_labels(BARS, 0)
    assert len(raw) == len(BARS) - 12
    for t in range(1_463, len(raw), 13):
        centred = np.sqrt(np.mean(returns[t - 11 : t + 13] ** 2))
        z = (log_price[t + 12] - log_price[t - 12]) / (centred * np.sqrt(24))
        v = np.mean(sigma[t - 1_439 : t + 1] <= centred)
        expected = 3 if v >= 0.9 else 0 if z >= 1.25 else 1 if z <= -1.25 else 4 if v <= 0.3 else 2
        assert raw[t] == expected


def test_few_questions_get_the_labels_of_the_whole_series() -> None:
    for at in range(1_463, len(BARS), 53):
        assert hindsight(BARS, np.asarray([at]))[0] == FULL[at]


def test_a_truth_once_given_stays_and_comes_within_days() -> None:
    for known in range(2_000, len(BARS), 91):
        then = hindsight(BARS.between(0, known), np.arange(known))
        settled = then != NO_LABEL
        assert (then[settled] == FULL[:known][settled]).all()
        assert settled[1_700 : known - 12 - 30].all()
        assert not settled[known - 12 :].any()


def test_the_truth_belongs_to_the_newest_bar_closed_by_as_of() -> None:
    at = np.asarray([BARS.close_at[3_000], BARS.close_at[3_000] + 59 * 60_000, BARS.open_at[0], BARS.close_at[-1]])
    found = REGIME.truth([QUESTION] * 4, at, StillMarket.of(BARS))
    assert found[0] == found[1] == LABELS[FULL[3_000]]
    assert found[2:] == [None, None]
    stranger = RegimeQuestion(symbol="XYZ")
    assert REGIME.truth([stranger], at[:1], StillMarket.of(BARS)) == [None]
    assert REGIME.truth([], np.asarray([], dtype=np.int64), StillMarket.of(BARS)) == []


def test_a_missing_hour_in_the_window_leaves_no_truth_where_the_market_never_closes() -> None:
    holed = market(4_200, missing=(3_000,))
    at = HOUR_MS * np.arange(2_970, 3_030)
    found = REGIME.truth([QUESTION] * 60, at, StillMarket.of(holed))
    window_holds_it = (at // HOUR_MS - 1 >= 3_000 - 12) & (at // HOUR_MS - 1 <= 3_000 + 12)
    assert [one is None for one in found] == window_holds_it.tolist()


@pytest.mark.parametrize("price", [0.0, np.nan, 42.0])
def test_bars_without_a_market_have_no_truth_and_make_no_warning(price: float) -> None:
    close = np.full(1_600, price)
    dead = Bars("ETHUSDT", Timeframe.H1, HOUR_MS * np.arange(1_600), close, close, close, close, close)
    assert (hindsight(dead, np.arange(1_600)) == NO_LABEL).all()
