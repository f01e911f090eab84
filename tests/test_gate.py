"""The gate says yes to what is better, and says why not to everything else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.bars import DAY_MS, HOUR_MS, Floats
from ml.evaluation.intervals import Interval
from ml.evaluation.weeks import Blocks
from registry.gate import Basis, Calibration, Decision, Evidence, Parity, Policy, Stratum, Verdict, decide

POLICY = Policy()


def weeks(ratio: float, n: int = 60, *, seed: int = 0, noise: float = 0.03) -> Blocks:
    """Weeks in which mine loses `ratio` times what the other loses, more or less."""
    random = np.random.default_rng(seed)
    other: Floats = 1_000.0 * random.lognormal(0.0, 0.3, n)
    mine = other * ratio * np.exp(noise * random.standard_normal(n)) if noise else other * ratio
    return Blocks(np.arange(n), np.full(n, 1_000), mine, other)


COINS, PAIRS = "48h, markets that never close", "48h, markets that close"
BAND = Calibration("coverage of the 80% band", 0.80, 0.77, 0.83)


def stratum(rules: Blocks, champion: Blocks | None = None, name: str = COINS, **fields: Any) -> Stratum:
    told: dict[str, Any] = {"calibration": (BAND,), "share_answered": 0.98, **fields}
    return Stratum(name, rules, champion, **told)


def evidence(*strata: Stratum, champion: int = 0, **fields: Any) -> Evidence:
    told: dict[str, Any] = {"basis": Basis.WALK_FORWARD, "parity": Parity(True, 3e-7), **fields}
    return Evidence("volatility", 4, champion, longest_horizon_ms=48 * HOUR_MS, strata=strata, **told)


def decided(*strata: Stratum, champion: int = 0, policy: Policy = POLICY, **fields: Any) -> Decision:
    return decide(evidence(*strata, champion=champion, **fields), policy)


def test_a_challenger_better_than_both_is_promoted_with_its_numbers() -> None:
    decision = decided(stratum(weeks(0.9), weeks(0.97)), champion=3)
    assert decision.verdict is Verdict.PROMOTE
    assert decision.reasons[0].startswith(f"{COINS}: better than volatility@0; loss ratio 0.90")
    assert "coverage of the 80% band is 0.800, within its goal" in decision.reasons[0]
    assert decision.reasons[1].startswith("better than volatility@3; loss ratio 0.97")
    assert decision.strata == {COINS}


def test_the_same_evidence_gives_the_same_decision() -> None:
    assert decided(stratum(weeks(0.9))) == decided(stratum(weeks(0.9)))


@pytest.mark.parametrize("basis", list(Basis))
def test_a_model_equal_to_the_rules_is_not_promoted(basis: Basis) -> None:
    decision = decided(stratum(weeks(1.0, 200, noise=0.0)), basis=basis)
    assert decision.verdict is Verdict.KEEP
    assert "not shown to be better than volatility@0" in decision.reasons[0]
    assert decision.strata == frozenset()


@pytest.mark.parametrize("refit", [True, False])
def test_a_model_equal_to_the_rules_is_not_promoted_over_a_champion_either(refit: bool) -> None:
    equal = weeks(1.0, noise=0.0)
    assert decided(stratum(equal, equal), champion=3, same_learner=refit).verdict is Verdict.KEEP


def test_a_model_equal_to_the_champion_is_not_promoted_unless_it_is_a_refit_of_it() -> None:
    tied = stratum(weeks(0.9), weeks(1.0, noise=0.01))
    kept = decided(tied, champion=3)
    assert kept.verdict is Verdict.KEEP
    assert kept.reasons[0].startswith("not shown to be better than volatility@3; loss ratio 1.00")
    refit = decided(tied, champion=3, same_learner=True)
    assert refit.verdict is Verdict.PROMOTE
    assert refit.reasons[1].startswith(f"{COINS}: not worse than volatility@3 by more than 1%; loss ratio 1.00")


@pytest.mark.parametrize("refit", [True, False])
def test_better_than_the_rules_but_worse_than_the_champion_is_rejected(refit: bool) -> None:
    decision = decided(stratum(weeks(0.9), weeks(1.05)), champion=3, same_learner=refit)
    assert decision.verdict is Verdict.REJECT
    assert "worse than volatility@3 by more than 1%" in decision.reasons[0]
    assert not decision.withdraws


def test_a_refit_that_has_hardly_met_its_elder_is_judged_by_what_their_learner_showed() -> None:
    met = stratum(weeks(0.9), weeks(1.2, 3))
    refit = decided(met, champion=3, same_learner=True)
    assert refit.verdict is Verdict.PROMOTE
    assert "the walk-forward speaks for both, and 3 blocks after that one's cut-off are too few" in refit.reasons[1]
    other = decided(met, champion=3)
    assert other.verdict is Verdict.KEEP
    assert "not shown to be better than volatility@3: 3 settled blocks of 7 days, 8 are needed" in other.reasons[0]


def test_a_model_answers_where_it_is_better_and_the_rules_elsewhere() -> None:
    decision = decided(stratum(weeks(0.9)), stratum(weeks(1.04), name=PAIRS))
    assert (decision.verdict, decision.strata) == (Verdict.PROMOTE, frozenset({COINS}))
    assert decision.reasons[0].startswith(f"{COINS}: better than volatility@0")
    assert decision.reasons[-1].startswith(f"the rules answer {PAIRS}: worse than volatility@0; loss ratio 1.04")


def test_a_gain_in_one_stratum_does_not_hide_a_loss_in_another() -> None:
    """Pooled, this model would be better than the rules by 8%."""
    decision = decided(stratum(weeks(0.9, seed=1)), stratum(weeks(1.0, noise=0.0), name=PAIRS))
    assert decision.strata == {COINS}


def test_a_new_learner_may_not_leave_to_the_rules_what_the_champion_answers() -> None:
    both = (stratum(weeks(0.9), weeks(0.9)), stratum(weeks(1.04), weeks(1.1), name=PAIRS))
    decision = decided(*both, champion=3)
    assert decision.verdict is Verdict.KEEP
    assert decision.reasons[0].startswith(f"{PAIRS}: volatility@3 answers there, and the rules would again: worse than")
    refit = decided(*both, champion=3, same_learner=True)
    assert (refit.verdict, refit.strata) == (Verdict.PROMOTE, frozenset({COINS})), (
        "its learner has lost there, so has the champion"
    )


def test_a_new_learner_that_is_better_over_all_may_be_as_good_in_a_stratum_but_not_worse() -> None:
    first = stratum(weeks(0.9), weeks(0.9, seed=2))
    assert decided(first, stratum(weeks(0.9), weeks(1.0, noise=0.0), PAIRS), champion=3).verdict is Verdict.PROMOTE
    assert decided(first, stratum(weeks(0.9), weeks(1.03), PAIRS), champion=3).verdict is Verdict.REJECT


def test_a_champion_whose_own_learner_is_better_nowhere_any_more_is_withdrawn() -> None:
    worse = stratum(weeks(1.04), weeks(1.0, noise=0.0))
    assert decided(worse, champion=3, same_learner=True).withdraws
    assert not decided(worse, champion=3).withdraws, "another learner's failure says nothing about it"
    elsewhere = stratum(weeks(0.9), name=PAIRS)
    refit = decided(worse, elsewhere, champion=3, same_learner=True)
    assert (refit.verdict, refit.strata) == (Verdict.PROMOTE, frozenset({PAIRS}))


def test_40_weeks_of_walk_forward_are_too_few_but_may_be_enough_live() -> None:
    short = stratum(weeks(0.9, 40), weeks(0.9, 40))
    kept = decided(short, champion=3)
    assert kept.verdict is Verdict.KEEP
    assert "40 weeks of walk-forward, 52 are needed" in kept.reasons[0]
    assert decided(short, champion=3, basis=Basis.LIVE).verdict is Verdict.PROMOTE


def test_blocks_of_three_weeks_count_as_three_weeks() -> None:
    long = replace(weeks(0.9, 18), block_ms=3 * 7 * DAY_MS)
    assert decided(stratum(long)).verdict is Verdict.PROMOTE
    assert "51 weeks of walk-forward" in decided(stratum(replace(weeks(0.9, 17), block_ms=21 * DAY_MS))).reasons[0]


def test_seven_good_weeks_live_are_not_looked_at_yet() -> None:
    early = decided(stratum(weeks(0.8, 7)), basis=Basis.LIVE)
    assert "7 settled blocks of 7 days, 8 are needed" in early.reasons[0]


def test_no_evidence_at_all_is_a_reason_to_go_on_looking() -> None:
    nothing = np.array([], dtype=np.int64)
    empty = Blocks(nothing, nothing, nothing.astype(np.float64), nothing.astype(np.float64))
    decision = decided(stratum(empty), basis=Basis.LIVE)
    assert decision.verdict is Verdict.KEEP
    assert "no rows that both answered have settled" in decision.reasons[0]
    assert decided().reasons == ("nothing that it was asked about has settled",)


@pytest.mark.parametrize("basis", list(Basis))
def test_a_worse_model_is_rejected(basis: Basis) -> None:
    worse = decided(stratum(weeks(1.1), weeks(0.9)), champion=3, basis=basis)
    assert worse.verdict is Verdict.REJECT
    assert "worse than volatility@0" in worse.reasons[0]


def test_too_good_to_be_true_in_one_stratum_is_a_leak_and_damns_the_whole() -> None:
    leak = decided(stratum(weeks(0.9)), stratum(weeks(0.3), name=PAIRS))
    assert leak.verdict is Verdict.REJECT
    assert leak.reasons[0].startswith(f"{PAIRS}: too good to be true: its loss is 0.30")
    seer = decided(stratum(weeks(0.9), hit_rate=0.66))
    assert seer.verdict is Verdict.REJECT
    assert "66.0% of its directions are right" in seer.reasons[0]
    assert decided(stratum(weeks(0.3)), policy=Policy(least_ratio=0.1)).verdict is Verdict.PROMOTE


def test_without_parity_nothing_is_promoted() -> None:
    broken = decided(stratum(weeks(0.9)), parity=Parity(False, 0.02))
    assert broken.verdict is Verdict.REJECT
    assert "differ by up to 0.02" in broken.reasons[0]


def test_calibration_outside_its_goal_is_final_on_a_walk_forward_and_waited_out_live() -> None:
    narrow = stratum(weeks(0.9), calibration=(replace(BAND, value=0.7),))
    decision = decided(narrow)
    assert decision.verdict is Verdict.REJECT
    assert decision.reasons == (f"{COINS}: coverage of the 80% band is 0.700, outside its goal of 0.77 to 0.83",)
    unsure = stratum(weeks(0.9), calibration=(replace(BAND, value=0.74, interval=Interval(0.72, 0.78)),))
    assert decided(unsure).verdict is Verdict.PROMOTE
    assert "is 0.740 (0.720 to 0.780), not shown to be outside its goal of 0.77" in decided(unsure).reasons[0]
    sure = stratum(weeks(0.9), calibration=(replace(BAND, value=0.74, interval=Interval(0.72, 0.76)),))
    assert decided(sure).verdict is Verdict.REJECT
    assert decided(narrow, basis=Basis.LIVE).verdict is Verdict.KEEP
    assert decided(stratum(weeks(0.9), calibration=())).verdict is Verdict.KEEP
    unknown = stratum(weeks(0.9), calibration=(Calibration("ece", float("nan"), 0, 1),))
    assert decided(unknown).verdict is Verdict.REJECT


def test_nobody_is_turned_away_for_a_figure_in_which_the_rules_are_as_far_outside() -> None:
    def judged(value: float, rules: float) -> Decision:
        figure = Calibration("rate_80", value, 0.7, 1.5, Interval(value - 0.1, value + 0.1), rules)
        return decided(stratum(weeks(0.9), calibration=(figure,)))

    for value, rules in ((0.3, 0.1), (0.3, 0.3), (1.9, 2.4), (1.7, 0.1)):
        assert judged(value, rules).verdict is Verdict.PROMOTE
    assert "rate_80 is 0.300 (0.200 to 0.400), outside its goal of 0.7 to 1.5; that of the rules is 0.100" in str(
        judged(0.3, 0.1).reasons
    )
    for value, rules in ((0.3, 0.5), (0.3, 1.0), (2.4, 1.9), (float("nan"), 0.1)):
        assert judged(value, rules).verdict is Verdict.REJECT
    assert "that of the rules" not in str(judged(1.0, 0.1).reasons)


def test_a_model_that_answers_only_the_easy_rows_is_rejected() -> None:
    decision = decided(stratum(weeks(0.9), share_answered=0.5))
    assert decision.verdict is Verdict.REJECT
    assert "it answered 50%" in decision.reasons[0]


def test_evidence_that_cannot_be_is_refused_where_it_is_made() -> None:
    with pytest.raises(ValueError, match="but the champion is version 0"):
        evidence(stratum(weeks(0.9), weeks(0.9)), champion=0)
    with pytest.raises(ValueError, match="not finite"):
        evidence(stratum(weeks(float("inf"))))
    with pytest.raises(ValueError, match="blocks of 7 days are too short for labels of 5 days"):
        replace(evidence(stratum(weeks(0.9))), longest_horizon_ms=5 * DAY_MS)
    with pytest.raises(ValueError, match="alpha"):
        Policy(alpha=0.0)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 80), ratio=st.floats(0.6, 1.4), basis=st.sampled_from(list(Basis)))
def test_every_decision_has_a_reason_and_only_a_smaller_loss_is_promoted(
    seed: int, n: int, ratio: float, basis: Basis
) -> None:
    blocks = weeks(ratio, n, seed=seed, noise=0.2)
    decision = decided(stratum(blocks), basis=basis)
    assert decision.reasons
    assert all(decision.reasons)
    if decision.verdict is Verdict.PROMOTE:
        assert blocks.mine.sum() < blocks.other.sum()
