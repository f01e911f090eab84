"""Retraining: from settled history to a decision of the gate, in a process of its own, while answers go on."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from commands.config import Config, Ledger, Models
from commands.running import scheduled
from market.bar_table import checked
from ml.bars import HOUR_MS, WEEK_MS
from ml.capability import AnyCapability
from registry.models import Card, State, Verdict
from server import House, build
from tests import served_learner
from tests.conftest import NOW, HandClock, hourly, table
from tools.ask import CLOCK_SLACK_MS
from workers.relearn import EMBARGO_MS
from workers.retrain import IN_FORCE_AFTER_MS, PROMOTED, Retrain
from workers.schedule import CutOff, Ran
from workers.train import SUFFIX, Failure, TrainingFailed

pytestmark = pytest.mark.anyio

WEEKS = 80
TOLD: list[tuple[float, str]] = []


def hear(share: float, doing: str) -> None:
    TOLD.append((share, doing))


@pytest.fixture
def learning(tmp_path: Path, clock: HandClock) -> Iterator[Callable[[str], House]]:
    """Opens a house with 80 weeks of AAA and BBB, in which volatility is taught by a toy."""
    opened: list[House] = []

    def open_(name: str) -> House:
        catalogue: tuple[AnyCapability, ...] = getattr(served_learner, name)
        config = Config(ledger=Ledger(flush_ms=1), models=Models(too_old_days={"volatility": 200}))
        taught_by = f"tests.served_learner:{name}"
        opened.append(build(config, tmp_path / "data", clock, catalogue=catalogue, taught_by=taught_by))
        if not opened[-1].history.series():
            bars = [table("AAA", seed=1, n=WEEKS * 168), table("BBB", seed=2, n=WEEKS * 168)]
            opened[-1].history.append(bars, received_at=NOW, live=False)
        return opened[-1]

    yield open_
    for house in opened:
        house.close()


def of(house: House) -> Retrain:
    (found,) = house.retrains
    return found


async def ask(house: House, **fields: Any) -> Any:
    capability = of(house).capability
    return await house.ask.one(capability, capability.question.model_validate({"symbol": "AAA", **fields}), "test")


async def test_a_better_model_is_promoted_while_answers_go_on_and_stays_after_a_restart(
    learning: Callable[[str], House], clock: HandClock
) -> None:
    house = learning("GOOD")
    TOLD.clear()
    training = asyncio.create_task(of(house).run(hear))
    replies = []
    while not training.done():
        replies.append(await ask(house))
        await asyncio.sleep(0)
    await training
    assert {one.answered_by for one in replies} == {"volatility@0"}
    version = house.versions.show("volatility", 1)
    assert version.state is State.CHAMPION
    assert version.card is not None
    assert version.card.learned_through <= NOW - EMBARGO_MS
    registered, promoted = house.versions.decisions("volatility")
    assert (registered.verdict, promoted.verdict, promoted.decided_by) == (
        Verdict.REGISTERED,
        Verdict.PROMOTED,
        "gate",
    )
    assert "markets that never close: better than volatility@0; loss ratio 0." in promoted.reasons[0]
    assert any("coverage_80" in one for one in promoted.reasons)
    (event,) = house.events.since(0, 10)
    assert (event.name, json.loads(event.payload)["in_force_from"]) == (PROMOTED, NOW + IN_FORCE_AFTER_MS)
    assert IN_FORCE_AFTER_MS > CLOCK_SLACK_MS, "an answer for a clock that is ahead of ours must stand"
    assert (await ask(house)).answered_by == "volatility@0", "what was answered stands"
    clock.at += IN_FORCE_AFTER_MS
    assert (await ask(house)).answered_by == "volatility@1"
    shares = [share for share, _ in TOLD]
    assert shares == sorted(shares)
    assert {"lessons", "fitting", "judging"} <= {doing for _, doing in TOLD}

    house.trainer.blobs.remove(version.card.sha256, SUFFIX)
    again = learning("GOOD")
    assert (await ask(again)).passed_over == ("volatility@1: its artefact is missing",)
    clock.at += HOUR_MS
    done = of(again).once(hear)
    assert (await ask(again)).answered_by == "volatility@1", "it was made again, bit for bit"
    assert (done.version.version, done.decision.verdict) == (1, Verdict.KEPT), "the same lessons are the same model"
    assert not {"torch", "xgboost", "arch"} & set(sys.modules) or "xdist" in sys.modules


@pytest.mark.parametrize(("name", "says"), [("WORSE", "worse than volatility@0"), ("EQUAL", "volatility@0")])
async def test_a_model_that_is_not_better_is_never_promoted_and_the_reasons_are_kept(
    learning: Callable[[str], House], clock: HandClock, name: str, says: str
) -> None:
    house = learning(name)
    done = of(house).once(hear)
    assert done.decision.verdict is (Verdict.REJECTED if name == "WORSE" else Verdict.KEPT), done.decision.reasons
    assert any(says in one for one in done.decision.reasons)
    clock.at += WEEK_MS
    assert house.versions.champion("volatility", clock.at) == 0
    assert house.versions.decisions("volatility")[-1] == done.decision
    assert house.events.since(0, 10) == []


async def test_a_challenger_meets_the_champion_on_weeks_that_neither_had_seen(
    learning: Callable[[str], House], clock: HandClock
) -> None:
    later = NOW + 12 * WEEK_MS
    bars = [hourly(name, seed=seed, n=(WEEKS + 12) * 168, end=later) for name, seed in (("CCC", 3), ("DDD", 4))]
    house = learning("GOOD")
    house.history.append([checked(one.between(0, WEEKS * 168), "files") for one in bars], received_at=NOW, live=False)
    assert of(house).once(hear).decision.verdict is Verdict.PROMOTED
    rest = [checked(one.between(WEEKS * 168, len(one)), "files") for one in bars]
    house.history.append(rest, received_at=later, live=False)
    house.close()
    clock.at = later

    with pytest.MonkeyPatch.context() as patch:  # as if the code that learns were another since
        patch.setattr(Card, "same_learner", lambda mine, other: False)
        tied = of(learning("TIED")).once(hear)
    assert tied.decision.verdict is Verdict.KEPT, tied.decision.reasons
    assert "not shown to be better than volatility@1" in tied.decision.reasons[-1], "another learner must be better"
    clock.at += HOUR_MS
    refit = of(learning("GOOD")).once(hear)
    assert refit.decision.verdict is Verdict.PROMOTED, refit.decision.reasons
    assert any("not worse than volatility@1 by more than 1%" in one for one in refit.decision.reasons)
    clock.at += HOUR_MS

    house = learning("GONE")
    gone = of(house).once(hear)
    assert gone.decision.verdict is Verdict.REJECTED
    assert house.versions.champion("volatility", clock.at + IN_FORCE_AFTER_MS) == 0, "its learner has lost its place"
    retired = house.versions.decisions("volatility")[-2]
    assert (retired.verdict, retired.version) == (Verdict.RETIRED, refit.version.version)
    assert "a refit of its learner, volatility@4, is better nowhere that it answers" in retired.reasons[0]
    told = [one.name for one in house.events.since(0, 10)]
    assert told == ["model.promoted", "model.promoted", "model.retired"]


async def test_too_little_history_is_no_fault_and_registers_nothing(
    learning: Callable[[str], House], clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    house = learning("HUNGRY")
    with pytest.raises(TrainingFailed) as failed:
        of(house).once(hear)
    assert failed.value.failure is Failure.TOO_FEW_LESSONS
    clock.at += 1
    with caplog.at_level(logging.INFO):
        assert await scheduled(house, [], NOW).fire("retrain.volatility") is Ran.DONE
    assert "1000000 are needed" in caplog.text
    assert "Traceback" not in caplog.text
    assert [one.version for one in house.versions.of("volatility")] == [0]


async def test_a_house_that_stops_does_not_wait_for_its_training(learning: Callable[[str], House]) -> None:
    house = learning("GOOD")
    house.trainer.stop()
    with pytest.raises(CutOff, match="the server is stopping"):
        await of(house).run(hear)
    assert [one.version for one in house.versions.of("volatility")] == [0]
