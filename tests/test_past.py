"""The past: a server that is given history asks itself along it, as it would have answered, and its record shows it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commands.config import Config, Ledger, Models
from commands.running import scheduled
from market.bar_table import checked
from ml.bars import DAY_MS, HOUR_MS
from ml.capability import AnyCapability
from ml.catalogue import CATALOGUE
from registry.entry import Entry, kept
from registry.faults import LedgerNotDurable
from registry.judging import REPLAY
from server import House, build
from tests.conftest import NOW, HandClock, hourly, table
from tests.test_models_served import crowned, opened
from tools.breaker import Position
from tools.reply import moment
from workers.past import CHUNK, LEAST_PAUSE_SECONDS, AskPast, Plan
from workers.schedule import CutOff, Ran

pytestmark = pytest.mark.anyio

VOLATILITY = next(one for one in CATALOGUE if one.name == "volatility")
RULES = tuple(one for one in CATALOGUE if one.name in ("regime", "volatility"))
#: Short, so that one test takes a second.
PLAN = Plan(days=30, every_hours=25)


@pytest.fixture
def house(tmp_path: Path, clock: HandClock) -> Iterator[House]:
    """120 days of AAA and BBB, answered by rules."""
    config = Config(ledger=Ledger(flush_ms=1), models=Models(train=False))
    built = build(config, tmp_path / "data", clock, catalogue=RULES)
    built.history.append([table("AAA", seed=1), table("BBB", seed=2)], received_at=NOW, live=False)
    yield built
    built.close()


def job(house: House, plan: Plan = PLAN, **other: Any) -> AskPast:
    """The job of the house with another plan, and no pauses."""
    return replace(house.past, plan=plan, **{"pause": _no_pause, "_stopped": threading.Event(), **other})


async def asked(house: House, plan: Plan = PLAN, **other: Any) -> None:
    await job(house, plan, **other).run(_unheard)


def entries(house: House) -> list[Entry]:
    """The whole ledger, by series and time."""
    with house.store.read() as connection:
        found = [Entry.of(row) for row in connection.execute(kept())]
    return sorted(found, key=lambda one: (one.capability, one.symbol, one.as_of, one.question))


async def test_before_the_first_question_there_is_a_record_of_replayed_answers(house: House) -> None:
    await asked(house)
    reply = await house.ask.one(VOLATILITY, VOLATILITY.question(symbol="AAA"), "agent")
    assert reply.track_record is not None
    assert reply.track_record.n_live == 0
    assert reply.track_record.n_replayed > 100
    assert reply.track_record.basis == "replayed"
    served = await house.call("get_track_record", json.dumps({"instrument": "volatility"}), "agent")
    (line,) = json.loads(served.body)["records"]
    assert (line["answered_by"], line["kind"]) == ("volatility@0", "replayed")
    assert line["against_rules"]["ratio"] == 1.0
    assert house.settle.settle(NOW, everything=True).known == 0, "all of it was settled"


async def test_its_answers_are_those_that_a_caller_would_have_had_then(house: House, tmp_path: Path) -> None:
    await asked(house, Plan(days=12, every_hours=25))
    for entry in entries(house)[::23]:
        until = (NOW - entry.as_of) // HOUR_MS
        fresh = build(house.config, tmp_path / f"then-{entry.prediction_id}", HandClock(entry.as_of), catalogue=RULES)
        try:
            for symbol, seed in (("AAA", 1), ("BBB", 2)):
                bars = hourly(symbol, seed=seed)
                known = bars.between(0, len(bars) - until)
                fresh.history.append(checked(known, "files"), received_at=entry.as_of, live=False)
            capability = next(one for one in RULES if one.name == entry.capability)
            asked_then = json.loads(entry.question) | {"as_of": None}
            reply = await fresh.ask.one(capability, capability.question.model_validate(asked_then), "agent")
        finally:
            fresh.close()
        assert reply.prediction_id == entry.prediction_id
        assert json.loads(entry.answer)["answer"] == json.loads(reply.model_dump_json())["answer"]
        assert (entry.asked_by, entry.asked_at) == (REPLAY, entry.as_of)


async def test_the_version_in_force_then_answers_and_one_promoted_later_does_not(tmp_path: Path) -> None:
    clock = HandClock(NOW - 60 * DAY_MS)
    house = opened(tmp_path / "data", clock)
    clock.at = NOW
    try:
        house.history.append([table("AAA", seed=1)], received_at=NOW, live=False)
        promoted = NOW - 10 * DAY_MS
        crowned(house, 0.9, at=promoted, learned_through=NOW - 20 * DAY_MS)
        crowned(house, 1.1, at=NOW - HOUR_MS, learned_through=NOW - 2 * HOUR_MS)
        await asked(house)
        found = {(one.version, one.as_of >= promoted) for one in entries(house)}
        assert (1, True) in found
        assert found <= {(0, False), (1, True), (0, True)}, "the rules where the model is out of its range"
        standing = house.settle.record.standing("volatility", 1)
        assert standing.n_live == 0
        assert standing.n_replayed > 0
        assert standing.tally.against_rules is not None
        assert standing.tally.against_rules.point != 1.0
    finally:
        house.close()


async def test_a_series_is_asked_once_and_a_new_one_when_it_comes(house: House) -> None:
    await asked(house)
    first = entries(house)
    house.history.append([table("CCC", seed=3)], received_at=NOW, live=False)
    await asked(house)
    more = entries(house)
    assert {one.symbol for one in more} - {one.symbol for one in first} == {"CCC"}
    assert [one for one in more if one.symbol != "CCC"] == first
    heard: list[float] = []
    await job(house).run(lambda share, _: heard.append(share))
    assert heard == []


@pytest.mark.parametrize("dies_at", [1, 3, 5])
async def test_a_kill_loses_nothing_and_nothing_is_asked_that_was_done(
    house: House, tmp_path: Path, clock: HandClock, dies_at: int
) -> None:
    whole = build(house.config, tmp_path / "whole", clock, catalogue=RULES)
    try:
        whole.history.append([table("AAA", seed=1), table("BBB", seed=2)], received_at=NOW, live=False)
        all_of_it = Counting(whole)
        await asked(whole, road=all_of_it)
        unbroken = entries(whole)
    finally:
        whole.close()
    dying, again = Counting(house, dies_at), Counting(house)
    with pytest.raises(PowerCut):
        await asked(house, road=dying)
    assert 0 < len(entries(house)) < len(unbroken)
    await asked(house, road=again)
    assert entries(house) == unbroken
    assert sum(dying.chunks) + sum(again.chunks) == sum(all_of_it.chunks) + dying.chunks[-1]
    assert house.settle.settle(NOW, everything=True).known == 0


class PowerCut(BaseException):
    """Nothing that comes after it is done."""


class Counting:
    """The road, and how many were asked on it, chunk by chunk. The power fails when the answers of chunk `dies_at` are
    on disk, and nobody has noted that they are."""

    def __init__(self, house: House, dies_at: int = 0) -> None:
        self.house, self.dies_at = house, dies_at
        self.chunks: list[int] = []

    async def many(self, capability: AnyCapability, questions: Sequence[Any], by: str) -> object:
        replies = await self.house.past.road.many(capability, questions, by)
        self.chunks.append(len(questions))
        if len(self.chunks) == self.dies_at:
            raise PowerCut
        return replies


async def test_a_disk_that_fails_fails_the_run_and_the_next_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:

        def fail(*_: object, **__: object) -> Any:
            raise LedgerNotDurable("no space left")

        broken.setattr(house.ledger, "record", fail)
        with pytest.raises(Exception, match="could not be put on disk"):
            await asked(house)
    assert entries(house) == []
    await asked(house)
    assert entries(house)


async def test_what_was_answered_live_stays_live(tmp_path: Path) -> None:
    clock = HandClock(NOW - 10 * DAY_MS)
    house = build(Config(ledger=Ledger(flush_ms=1)), tmp_path / "data", clock, catalogue=RULES)
    try:
        await _lived(house, clock)
    finally:
        house.close()


async def _lived(house: House, clock: HandClock) -> None:
    bars = hourly("AAA", seed=1)
    house.history.append(checked(bars.between(0, 110 * 24), "files"), received_at=clock.at, live=False)
    question = VOLATILITY.question(symbol="AAA", horizon="24h")
    live = await house.ask.one(VOLATILITY, question, "agent")
    house.ledger.flush_now()
    clock.at = NOW
    house.history.append(checked(bars.between(110 * 24, 120 * 24), "files"), received_at=NOW, live=False)
    await asked(house, Plan(days=10, every_hours=24))
    found = [one for one in entries(house) if one.as_of == NOW - 10 * DAY_MS]
    (kept_live,) = (one for one in found if one.prediction_id == live.prediction_id)
    assert kept_live.asked_by == "agent"
    standing = house.settle.record.standing("volatility", 0)
    assert standing.n_live == 1
    assert standing.n_replayed == sum(one.capability == "volatility" for one in entries(house)) - 1


async def test_nothing_is_asked_whose_truth_has_not_closed(house: House) -> None:
    await asked(house)
    for one in entries(house):
        capability = next(each for each in RULES if each.name == one.capability)
        question = capability.question.model_validate_json(one.question)
        assert one.as_of + capability.horizon_ms(question) < NOW


async def test_what_nobody_can_answer_is_not_kept(house: House) -> None:
    house.history.append([table("NEW", seed=5, n=200)], received_at=NOW, live=False)
    await asked(house)
    assert {one.symbol for one in entries(house)} == {"AAA", "BBB"}


async def test_it_is_asked_in_chunks_with_pauses_as_long_as_the_work(house: House) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    road, ticks = Counting(house), iter(range(10_000))
    shares: list[float] = []
    walk = job(house, replace(PLAN, most_seconds=1e9), pause=pause, road=road, monotonic=lambda: next(ticks) * 0.5)
    await walk.run(lambda share, _: shares.append(share))
    assert len(pauses) == len(road.chunks) > 4
    assert max(road.chunks) <= CHUNK
    assert min(pauses) == max(pauses) == 0.5
    assert min(pauses) >= LEAST_PAUSE_SECONDS
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


async def test_a_run_ends_when_it_is_told_to_or_its_time_is_up_and_the_next_goes_on(house: House) -> None:
    ticks = iter(range(10_000))
    await asked(house, replace(PLAN, most_seconds=2.0), monotonic=lambda: next(ticks) * 1.0)
    first = len(entries(house))
    assert 0 < first <= CHUNK
    stopping = job(house)

    async def stop(_: float) -> None:
        stopping.stop()

    stopped = replace(stopping, pause=stop, _stopped=stopping._stopped)
    with pytest.raises(CutOff):
        await stopped.run(_unheard)
    second = len(entries(house))
    assert first < second <= first + CHUNK
    await asked(house)
    assert len(entries(house)) > second


async def test_there_are_about_as_many_answers_as_wanted_and_none_where_none_are(house: House) -> None:
    await asked(house, replace(PLAN, days=0))
    assert entries(house) == []
    await asked(house, replace(PLAN, most_answers=30))
    assert {one.symbol for one in entries(house) if one.capability == "volatility"} == {"AAA"}
    before = entries(house)
    await asked(house, replace(PLAN, most_answers=30))
    assert entries(house) == before


async def test_a_model_that_fails_on_the_past_opens_no_breaker(tmp_path: Path) -> None:
    clock = HandClock(NOW - 60 * DAY_MS)
    house = opened(tmp_path / "data", clock)
    clock.at = NOW
    try:
        house.history.append([table("AAA", seed=1)], received_at=NOW, live=False)
        crowned(house, 0.9, at=NOW - 20 * DAY_MS, learned_through=NOW - 30 * DAY_MS, behaves="crash")
        await asked(house)
        assert any("it failed" in one.passed_over for one in entries(house))
        breaker = house.models.loaded("volatility", 1).link.breaker
        assert breaker is not None
        assert breaker.position() is Position.CLOSED
    finally:
        house.close()


async def test_the_schedule_asks_the_past_and_tells_of_its_progress(house: House) -> None:
    told: list[tuple[str, float]] = []
    quick = replace(house, past=job(house))
    schedule = scheduled(quick, [], NOW, lambda work: lambda share, _: told.append((work, share)))
    assert await schedule.fire("past") is Ran.DONE
    assert {work for work, _ in told} == {"asking the past"}
    assert told[-1][1] == 1.0
    assert entries(house)


async def test_a_caller_is_answered_between_two_chunks(house: House) -> None:
    walking = asyncio.create_task(asked(house, pause=asyncio.sleep))
    replies = []
    while not walking.done():
        replies.append(await house.ask.one(VOLATILITY, VOLATILITY.question(symbol="BBB"), "agent"))
        await asyncio.sleep(0.01)
    await walking
    assert len(replies) > 10
    assert {one.as_of for one in replies} == {moment(NOW)}
    assert {one.asked_by for one in entries(house) if one.as_of == NOW} <= {"agent"}


async def _no_pause(_: float) -> None:
    await asyncio.sleep(0)


def _unheard(share: float, doing: str) -> None:
    """Nobody listens."""
