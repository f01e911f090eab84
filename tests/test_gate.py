"""The gate says yes to what is better, and says why not to everything else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.bars import DAY_MS, HOUR_MS, Floats
from ml.evaluation.weeks import Blocks
from registry.gate import Basis, Calibration, Evidence, Parity, Policy, Verdict, decide

POLICY = Policy()


def weeks(ratio: float, n: int = 60, *, seed: int = 0, noise: float = 0.03) -> Blocks:
    """Weeks in which mine loses `ratio` times what the other loses, more or less."""
    random = np.random.default_rng(seed)
    other: Floats = 1_000.0 * random.lognormal(0.0, 0.3, n)
    mine = other * ratio * np.exp(noise * random.standard_normal(n)) if noise else other * ratio
    return Blocks(np.arange(n), np.full(n, 1_000), mine, other)


GOOD = Evidence(
    capability="volatility",
    challenger=4,
    champion=3,
    basis=Basis.WALK_FORWARD,
    longest_horizon_ms=48 * HOUR_MS,
    against_rules=weeks(0.9),
    against_champion=weeks(0.97),
    calibration=(Calibration("coverage of the 80% band", 0.80, 0.77, 0.83),),
    parity=Parity(True, 3e-7),
    share_answered=0.98,
)


def test_a_challenger_better_than_both_is_promoted_with_its_numbers() -> None:
    decision = decide(GOOD, POLICY)
    assert decision.verdict is Verdict.PROMOTE
    assert "better than volatility@0; loss ratio 0.90" in decision.reasons[0]
    assert "better than volatility@3; loss ratio 0.97" in decision.reasons[1]
    assert [one.against for one in decision.comparisons] == ["volatility@0", "volatility@3"]


def test_the_same_evidence_gives_the_same_decision() -> None:
    assert decide(GOOD, POLICY) == decide(GOOD, POLICY)


@pytest.mark.parametrize("basis", list(Basis))
def test_a_model_equal_to_the_rules_is_not_promoted(basis: Basis) -> None:
    equal = replace(GOOD, basis=basis, champion=0, against_champion=None, against_rules=weeks(1.0, 200, noise=0.0))
    decision = decide(equal, POLICY)
    assert decision.verdict is Verdict.KEEP
    assert "not shown to be better than volatility@0" in decision.reasons[0]


def test_a_refit_equal_to_the_rules_is_not_promoted_either() -> None:
    refit = replace(
        GOOD, same_learner=True, against_rules=weeks(1.0, noise=0.0), against_champion=weeks(1.0, noise=0.0)
    )
    assert decide(refit, POLICY).verdict is Verdict.KEEP


def test_a_refit_need_not_beat_its_elder_but_another_learner_must() -> None:
    tied = replace(GOOD, against_champion=weeks(1.0, noise=0.01))
    assert decide(tied, POLICY).verdict is Verdict.KEEP
    refit = decide(replace(tied, same_learner=True), POLICY)
    assert refit.verdict is Verdict.PROMOTE
    assert "a refit, not worse than volatility@3 by more than 1%" in refit.reasons[1]


def test_40_weeks_of_walk_forward_are_too_few_but_may_be_enough_live() -> None:
    short = replace(GOOD, against_rules=weeks(0.9, 40), against_champion=weeks(0.9, 40))
    kept = decide(short, POLICY)
    assert kept.verdict is Verdict.KEEP
    assert "40 weeks of walk-forward, 52 are needed" in kept.reasons[0]
    assert decide(replace(short, basis=Basis.LIVE), POLICY).verdict is Verdict.PROMOTE


def test_seven_good_weeks_live_are_not_looked_at_yet() -> None:
    early = replace(GOOD, basis=Basis.LIVE, champion=0, against_champion=None, against_rules=weeks(0.8, 7))
    assert "7 settled blocks of 7 days, 8 are needed" in decide(early, POLICY).reasons[0]


def test_no_evidence_at_all_is_a_reason_to_go_on_looking() -> None:
    nothing = np.array([], dtype=np.int64)
    empty = Blocks(nothing, nothing, nothing.astype(np.float64), nothing.astype(np.float64))
    fresh = replace(GOOD, basis=Basis.LIVE, champion=0, against_champion=None, against_rules=empty)
    decision = decide(fresh, POLICY)
    assert decision.verdict is Verdict.KEEP
    assert "no rows that both answered have settled" in decision.reasons[0]


@pytest.mark.parametrize("basis", list(Basis))
def test_a_worse_model_is_rejected(basis: Basis) -> None:
    worse = decide(replace(GOOD, basis=basis, against_rules=weeks(1.1)), POLICY)
    assert worse.verdict is Verdict.REJECT
    assert "worse than volatility@0" in worse.reasons[0]


def test_better_than_the_rules_but_worse_than_the_champion_is_rejected() -> None:
    decision = decide(replace(GOOD, against_champion=weeks(1.05)), POLICY)
    assert decision.verdict is Verdict.REJECT
    assert "worse than volatility@3" in decision.reasons[0]


def test_too_good_to_be_true_is_a_leak_by_ratio_or_by_direction() -> None:
    leak = decide(replace(GOOD, against_rules=weeks(0.3)), POLICY)
    assert leak.verdict is Verdict.REJECT
    assert "too good to be true: its loss is 0.30" in leak.reasons[0]
    seer = decide(replace(GOOD, hit_rate=0.66), POLICY)
    assert seer.verdict is Verdict.REJECT
    assert "66.0% of its directions are right" in seer.reasons[0]
    assert decide(replace(GOOD, against_rules=weeks(0.3)), Policy(least_ratio=0.1)).verdict is Verdict.PROMOTE


def test_without_parity_nothing_is_promoted() -> None:
    broken = decide(replace(GOOD, parity=Parity(False, 0.02)), POLICY)
    assert broken.verdict is Verdict.REJECT
    assert "differ by up to 0.02" in broken.reasons[0]


def test_calibration_outside_its_goal_is_final_on_a_walk_forward_and_waited_out_live() -> None:
    narrow = replace(GOOD, calibration=(Calibration("coverage of the 80% band", 0.7, 0.77, 0.83),))
    decision = decide(narrow, POLICY)
    assert decision.verdict is Verdict.REJECT
    assert decision.reasons == ("coverage of the 80% band is 0.700, outside its goal of 0.77 to 0.83",)
    assert decide(replace(narrow, basis=Basis.LIVE), POLICY).verdict is Verdict.KEEP
    assert decide(replace(GOOD, calibration=()), POLICY).verdict is Verdict.KEEP
    assert (
        decide(replace(GOOD, calibration=(Calibration("ece", float("nan"), 0, 1),)), POLICY).verdict is Verdict.REJECT
    )


def test_a_model_that_answers_only_the_easy_rows_is_rejected() -> None:
    decision = decide(replace(GOOD, share_answered=0.5), POLICY)
    assert decision.verdict is Verdict.REJECT
    assert "it answered 50%" in decision.reasons[0]


def test_evidence_that_cannot_be_is_refused_where_it_is_made() -> None:
    with pytest.raises(ValueError, match="unless the champion is version 0"):
        replace(GOOD, against_champion=None)
    with pytest.raises(ValueError, match="not finite"):
        replace(GOOD, against_rules=weeks(float("inf")))
    with pytest.raises(ValueError, match="blocks of 7 days are too short for labels of 5 days"):
        replace(GOOD, longest_horizon_ms=5 * DAY_MS)
    with pytest.raises(ValueError, match="alpha"):
        Policy(alpha=0.0)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 80), ratio=st.floats(0.6, 1.4), basis=st.sampled_from(list(Basis)))
def test_every_decision_has_a_reason_and_only_a_smaller_loss_is_promoted(
    seed: int, n: int, ratio: float, basis: Basis
) -> None:
    blocks = weeks(ratio, n, seed=seed, noise=0.2)
    decision = decide(replace(GOOD, basis=basis, champion=0, against_champion=None, against_rules=blocks), POLICY)
    assert decision.reasons
    assert all(decision.reasons)
    if decision.verdict is Verdict.PROMOTE:
        assert blocks.mine.sum() < blocks.other.sum()
