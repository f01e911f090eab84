"""The gate's error rates, held to what it promises by simulation: many challengers, looked at all the time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.bars import HOUR_MS, WEEK_MS, Floats
from ml.evaluation.betting import log_wealth
from ml.evaluation.weeks import Blocks
from registry.gate import Basis, Calibration, Evidence, Parity, Policy, Stratum, Verdict, decide

RUNS = 2_000
HOURS = 30 * 24
POLICY = Policy()
NEEDED = math.log(1.0 / POLICY.alpha)


def promoted(differences: Floats) -> float:
    """Share of challengers (rows) that are promoted at any look, from differences of mean losses by block."""
    n = np.arange(1, differences.shape[1] + 1)
    better = np.cumsum(differences, axis=1) > 0.0
    claimed = (log_wealth(differences) >= NEEDED) & better & (n >= POLICY.least_blocks)
    return float(claimed.any(axis=1).mean())


def mistakes(random: np.random.Generator, hours: int, mine: float, other: float, block_hours: int) -> Floats:
    """Differences by block of two predictors who are wrong with these chances, an answer an hour."""
    lost = [(random.random((RUNS, hours)) < chance).astype(np.float32) for chance in (mine, other)]
    whole = hours // block_hours * block_hours
    return np.asarray((lost[1] - lost[0])[:, :whole].reshape(RUNS, -1, block_hours).mean(axis=2), dtype=np.float64)


def moody(random: np.random.Generator, n: int, correlation: float, mean: float = 0.0) -> Floats:
    """Weekly differences that resemble the week before, of variance 1."""
    fresh = random.standard_normal((RUNS, n)) * math.sqrt(1.0 - correlation**2)
    path = np.empty((RUNS, n))
    path[:, 0] = random.standard_normal(RUNS)
    for week in range(1, n):
        path[:, week] = correlation * path[:, week - 1] + fresh[:, week]
    return path + mean


def test_an_equal_model_looked_at_hourly_for_30_days_is_hardly_ever_promoted() -> None:
    assert promoted(mistakes(np.random.default_rng(1), HOURS, 0.5, 0.5, 4)) <= 0.05


def test_a_worse_model_looked_at_hourly_for_30_days_is_not_promoted() -> None:
    assert promoted(mistakes(np.random.default_rng(2), HOURS, 0.52, 0.50, 4)) <= 0.005


def test_a_truly_better_model_with_short_labels_is_promoted_within_30_days() -> None:
    """.50 against .60, an answer an hour whose label closes within the hour: blocks of 4 h."""
    assert promoted(mistakes(np.random.default_rng(3), HOURS, 0.50, 0.60, 4)) >= 0.80


def test_an_equal_model_looked_at_for_two_years_of_weeks_is_hardly_ever_promoted() -> None:
    assert promoted(mistakes(np.random.default_rng(4), 104 * 168, 0.5, 0.5, 168)) <= 0.05


def test_a_truly_better_model_is_promoted_within_half_a_year_of_weeks() -> None:
    assert promoted(mistakes(np.random.default_rng(5), 26 * 168, 0.50, 0.60, 168)) >= 0.80


@pytest.mark.parametrize("correlation", [0.2, 0.4, 0.6, 0.8])
def test_weeks_that_resemble_each_other_do_not_promote_an_equal_model(correlation: float) -> None:
    assert promoted(moody(np.random.default_rng(6), 104, correlation)) <= 0.05


def test_labels_of_48_hours_that_overlap_do_not_promote_an_equal_model() -> None:
    """Hourly answers whose losses are sums over the same 48 coming hours; two models with errors of their own."""
    random = np.random.default_rng(7)
    steps = np.cumsum(random.standard_normal((RUNS // 4, 52 * 168 + 48), dtype=np.float32), axis=1)
    overlapping = steps[:, 48:] - steps[:, :-48]
    weekly = overlapping[:, : 52 * 168].reshape(len(steps), 52, 168).mean(axis=2, dtype=np.float64)
    assert promoted(weekly) <= 0.05


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_rare_large_differences_do_not_promote_an_equal_model(sign: float) -> None:
    random = np.random.default_rng(8)
    assert promoted(sign * (random.exponential(1.0, (RUNS, 104)) - 1.0)) <= 0.05
    assert promoted(random.standard_t(2.5, (RUNS, 104))) <= 0.05


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1e6, 1e6), max_size=80), st.integers(-8, 8))
def test_wealth_is_finite_free_of_scale_and_blind_to_the_blocks_to_come(values: list[float], power: int) -> None:
    differences = np.array(values)
    path = log_wealth(differences)
    assert np.isfinite(path).all()
    assert log_wealth(differences * 2.0**power).tolist() == pytest.approx(path.tolist(), rel=1e-6, abs=1e-6)
    half = len(values) // 2
    assert log_wealth(differences[:half]).tolist() == path[:half].tolist()


def test_a_label_shuffled_in_time_shows_no_skill() -> None:
    """A model that knows the labels, judged on labels moved to other times: never promoted, and soon worse."""
    random = np.random.default_rng(9)
    hours = 80 * 168
    truth = random.integers(0, 2, hours)
    said = np.where(random.random(hours) < 0.7, truth, 1 - truth)
    real = _losses(np.abs(said - truth).astype(np.float64))
    shuffled = _losses(np.abs(said - random.permutation(truth)).astype(np.float64))
    assert decide(_evidence(real, 80), POLICY).verdict is Verdict.PROMOTE
    assert decide(_evidence(shuffled, 80), POLICY).verdict is not Verdict.PROMOTE


def test_the_decision_says_the_same_as_the_simulation() -> None:
    random = np.random.default_rng(10)
    differences = mistakes(random, 16 * 168, 0.50, 0.57, 168)[:60]
    for row in differences:
        blocks = Blocks(np.arange(16), np.full(16, 168), np.full(16, 84.0), 84.0 + 168 * row)
        claimed = log_wealth(row)[-1] >= NEEDED
        verdict = decide(_evidence(blocks, 16, Basis.LIVE), POLICY).verdict
        assert (verdict is Verdict.PROMOTE) == claimed


def _losses(wrong: Floats) -> Blocks:
    """Log-loss of probabilities .7 and .3 against that of a coin, by weeks."""
    loss = np.where(wrong > 0, -math.log(0.3), -math.log(0.7)).reshape(-1, 168).sum(axis=1)
    n = len(loss)
    return Blocks(np.arange(n), np.full(n, 168), loss, np.full(n, 168 * math.log(2.0)))


def _evidence(blocks: Blocks, weeks: int, basis: Basis = Basis.WALK_FORWARD) -> Evidence:
    assert len(blocks) == weeks
    assert blocks.block_ms == WEEK_MS
    return Evidence(
        capability="toy",
        challenger=1,
        champion=0,
        basis=basis,
        longest_horizon_ms=48 * HOUR_MS,
        strata=(Stratum("", blocks, None, (Calibration("ece", 0.01, 0.0, 0.015),), share_answered=0.99),),
        parity=Parity(True, 1e-7),
    )
