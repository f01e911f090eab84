"""What refits showed: kept, brought back, and laid beside what others were asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.anomaly import ANOMALY
from ml.bars import DAY_MS, HOUR_MS, WEEK_MS, Timeframe
from ml.capability import by_question
from ml.catalogue import CATALOGUE
from ml.checks import bars_for_laws
from ml.timeline import StillMarket
from registry.aliases import InForce
from registry.gate import Verdict
from workers.classroom import EMBARGO_MS, Classroom
from workers.lessons import BadLessons
from workers.shown import Losses, Names, Shown
from workers.subjects import Subject
from workers.verdict import Rival, judged

VOLATILITY = next(one for one in CATALOGUE if one.name == "volatility")
BARS = [
    bars_for_laws(np.random.default_rng(seed), Timeframe.H1, 24 * 200, name) for seed, name in ((1, "AAA"), (2, "BBB"))
]
MARKET = StillMarket.of(*BARS)
FIRST, LAST = int(BARS[0].close_at[24 * 60]), int(BARS[0].close_at[-1])


def classroom(file: Path | None = None) -> Classroom:
    return Classroom.of(VOLATILITY, MARKET, [Subject(Timeframe.H1, ("AAA", "BBB"), 24)], FIRST, LAST, file)


def shown(n: int = 60, stratum: str = "24h, coins", model: float = 0.9) -> Shown:
    """A week apart from each other, `model` times the loss of the rules."""
    random = np.random.default_rng(5)
    as_of = np.arange(n, dtype=np.int64) * WEEK_MS
    rules = random.lognormal(0.0, 0.2, n)
    nothing = np.full(n, np.nan)
    marks = np.stack([nothing, nothing, *(np.where(np.arange(n) % every == 0, 0.0, 1.0) for every in (5, 10))], axis=1)
    names = Names.told(["AAA"] * n), Names.told([stratum] * n)
    return Shown(as_of, as_of + DAY_MS, *names, rules * model, rules, marks, np.full((n, 4), np.nan))


def test_what_was_shown_comes_back_from_bytes_and_damaged_bytes_are_refused() -> None:
    mine = shown(5)
    again = Shown.from_bytes(mine.to_bytes())
    assert mine.to_bytes() == again.to_bytes()
    assert (again.strata.of, again.model.tolist()) == (mine.strata.of, mine.model.tolist())
    for broken in (b"", b"PK", mine.to_bytes()[:-40], mine.losses().to_bytes()):
        with pytest.raises(BadLessons):
            Shown.from_bytes(broken)


def test_parts_with_names_of_their_own_become_one() -> None:
    both = Shown.of([shown(2), shown(2, stratum="6h, coins"), shown(1)])
    assert [both.strata.of[code] for code in both.strata.codes] == ["24h, coins"] * 2 + ["6h, coins"] * 2 + [
        "24h, coins"
    ]
    assert len(Shown.of(())) == 0
    assert both.known_by(DAY_MS).as_of.tolist() == [0, 0, 0]


def test_a_stretch_in_which_nobody_was_asked_adds_nothing_whatever_figures_the_others_have() -> None:
    figured = replace(shown(3), model_marks=np.ones((3, 6)), rules_marks=np.zeros((3, 6)))
    for parts in ([Shown.of(()), figured], [figured, Shown.of(())], [Shown.of(()), figured, Shown.of(())]):
        assert Shown.of(parts).to_bytes() == figured.to_bytes()
    assert Shown.of([Shown.of(()), Shown.of(())]).model_marks.shape == (0, 4)


def test_losses_are_found_by_what_was_asked_and_when() -> None:
    kept = Losses.from_bytes(shown(10, model=0.5).losses().to_bytes())
    asked = Shown.of([shown(3), replace(shown(2), series=Names.told(["AAA", "BBB"])), shown(12)])
    found = kept.on(asked)
    assert found[:4] == pytest.approx(asked.rules[:4] * 0.5)
    assert np.isnan(found[4]), "nobody asked about BBB"
    assert np.isnan(found[-2:]).all(), "nor so late"
    assert np.isnan(Shown.of(()).losses().on(asked)).all()


def test_a_classroom_in_a_file_is_that_in_memory_and_teaches_what_had_settled_an_embargo_before(tmp_path: Path) -> None:
    there, here = classroom(tmp_path / "values"), classroom()
    assert there.lessons.rows.values.tobytes() == here.lessons.rows.values.tobytes()
    assert list(there.lessons.truths) == list(here.lessons.truths)
    assert here.longest_ms == 48 * HOUR_MS
    at = FIRST + 40 * DAY_MS
    taught = here.settled_by(at)
    assert 0 < len(taught) < len(here.lessons)
    assert int(taught.rows.as_of.max()) + here.longest_ms + EMBARGO_MS <= at
    assert np.shares_memory(taught.rows.values, here.lessons.rows.values)
    assert (np.diff(here.lessons.rows.as_of) >= 0).all()


def test_what_was_made_is_known_at_once_and_longer_bars_are_asked_beside() -> None:
    days = bars_for_laws(np.random.default_rng(4), Timeframe.D1, 700, "CCC")
    market, last = StillMarket.of(*BARS, days), int(days.close_at[-1])
    taught = [Subject(Timeframe.H1, ("AAA", "BBB"), 5), Subject(Timeframe.D1, ("CCC",), 1)]
    school = Classroom.of(ANOMALY, market, taught, FIRST, last)
    assert school.longest_ms == 0
    assert set(by_question(school.lessons.rows)) == {"1h bars", "1d bars"}
    assert (np.diff(school.lessons.rows.as_of) >= 0).all()
    at = FIRST + 40 * DAY_MS
    lessons = school.settled_by(at)
    assert at - EMBARGO_MS - 5 * HOUR_MS < int(lessons.rows.as_of.max()) <= at - EMBARGO_MS
    assert lessons.background is not None
    assert int(lessons.background.known_at[-1]) == at - EMBARGO_MS
    assert set(lessons.background.by_kind()) == {"1h"}, "days need 400 bars before the first"
    late = school.settled_by(last).background
    assert late is not None
    assert set(late.by_kind()) == {"1h", "1d"}


def test_of_many_rows_every_fifth_instant_is_asked_whoever_is_and_whenever(monkeypatch: pytest.MonkeyPatch) -> None:
    school, start, end = classroom(), FIRST + 10 * DAY_MS, FIRST + 60 * DAY_MS
    every = school.shown(VOLATILITY.rules, start, end)
    monkeypatch.setattr("workers.classroom.MOST_A_WEEK", 20)
    some = school.shown(VOLATILITY.rules, start, end)
    assert len(every) / 6 < len(some) < len(every) / 4
    assert set(some.as_of.tolist()) < set(every.as_of.tolist())
    later = school.shown(VOLATILITY.rules, start + 7 * DAY_MS, end)
    assert set(later.as_of.tolist()) < set(some.as_of.tolist())
    assert every.losses().on(later).tolist() == later.model.tolist()


def test_rules_shown_beside_themselves_lose_the_same_in_every_stratum() -> None:
    school = classroom()
    beside = school.shown(VOLATILITY.rules, FIRST + 10 * DAY_MS, FIRST + 60 * DAY_MS)
    assert beside.model.tolist() == beside.rules.tolist()
    assert set(beside.strata.of) == {f"{h}, 1h bars, markets that never close" for h in ("6h", "12h", "24h", "48h")}
    assert set(by_question(school.lessons.rows)) == {f"{h}, 1h bars" for h in ("6h", "12h", "24h", "48h")}


def test_evidence_is_laid_out_by_stratum_and_the_rival_counts_only_where_it_answers() -> None:
    coins, pairs = shown(), replace(shown(model=1.05), strata=Names.told(["24h, pairs"] * 60))
    both = Shown.of([coins, pairs])
    at, holds = 70 * WEEK_MS, frozenset({"24h, coins"})
    alone = judged(VOLATILITY, both, at, 4, 1e-7, 48 * HOUR_MS)
    assert (alone.verdict, alone.strata) == (Verdict.PROMOTE, holds)
    better = Rival(InForce(3, holds), both.model * 0.95, same_learner=False)
    assert judged(VOLATILITY, both, at, 4, 1e-7, 48 * HOUR_MS, better).verdict is Verdict.REJECT
    worse = Rival(InForce(3, holds), both.model * 1.05, same_learner=False)
    assert judged(VOLATILITY, both, at, 4, 1e-7, 48 * HOUR_MS, worse).strata == holds
    everywhere = Rival(InForce(3), both.model * 1.05, same_learner=False)
    kept = judged(VOLATILITY, both, at, 4, 1e-7, 48 * HOUR_MS, everywhere)
    assert (kept.verdict, kept.reasons[0][:28]) == (Verdict.KEEP, "24h, pairs: volatility@3 ans")
    unmet = Rival(InForce(3, holds), np.full(120, np.nan), same_learner=False)
    assert judged(VOLATILITY, both, at, 4, 1e-7, 48 * HOUR_MS, unmet).verdict is Verdict.KEEP
    refit = replace(unmet, same_learner=True)
    assert judged(VOLATILITY, both, at, 4, 1e-7, 48 * HOUR_MS, refit).verdict is Verdict.PROMOTE
