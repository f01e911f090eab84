"""Models on the road: who answers when, what is said when a model fails, and that an answer can always be explained."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands.config import Answers, Config, Ledger, Models
from market.bar_table import BarTable, checked
from ml.bars import DAY_MS, HOUR_MS, Instants
from ml.capability import Question, Rows
from ml.timeline import Market
from ml.volatility.features import FEATURES, VolatilityFeatures
from registry.models import Card
from server import House, build
from tests.conftest import NOW, HandClock, hourly, table
from tests.served_learner import GOOD, NAME, REAL, RELEASE, artefact
from tools.ask import CLOCK_SLACK_MS
from tools.reply import Source, moment
from workers.train import SUFFIX

pytestmark = pytest.mark.anyio

TOY = next(one for one in GOOD if one.name == "volatility")
CONFIG = Config(ledger=Ledger(flush_ms=1), models=Models(train=False), answers=Answers(deadline_ms=300, remembered=1))


def opened(folder: Path, clock: HandClock) -> House:
    return build(CONFIG, folder, clock, catalogue=GOOD, taught_by="tests.served_learner:GOOD")


@pytest.fixture
def house(tmp_path: Path, clock: HandClock) -> Iterator[House]:
    """A house that learnt through yesterday, with bars through now."""
    built = opened(tmp_path / "data", clock)
    built.history.append([table("AAA", seed=1), table("BBB", seed=2)], received_at=NOW, live=False)
    yield built
    RELEASE.set()
    built.close()
    RELEASE.clear()


def registered(house: House, factor: float, *, behaves: str = "fine", learned_through: int = NOW - DAY_MS) -> int:
    """A candidate, with its artefact on disk."""
    made = artefact(factor, behaves)
    house.trainer.blobs.put(made.to_bytes(), SUFFIX)
    names = tuple(TOY.features.names)
    card = Card(NAME, made.sha256, names, 9, "0" * 64, NOW - 99 * DAY_MS, learned_through, 0, "code", {}, 0, {})
    return house.versions.register("volatility", card, NOW).version


def crowned(house: House, factor: float, *, at: int = NOW, **how: Any) -> int:
    version = registered(house, factor, **how)
    house.versions.promote("volatility", version, ["a test wants it"], "test", at)
    return version


async def ask(house: House, symbol: str = "AAA", **fields: Any) -> Any:
    question = TOY.question.model_validate({"symbol": symbol, **fields})
    return await house.ask.one(TOY, question, "test")


async def explained(house: House, prediction_id: str) -> Any:
    return await house.call("explain_prediction", json.dumps({"prediction_id": prediction_id}), "test")


async def test_the_champion_answers_is_named_and_explains_itself_even_after_it_was_rolled_back(
    house: House, clock: HandClock
) -> None:
    crowned(house, 0.9)
    reply = await ask(house)
    assert (reply.source, reply.answered_by, reply.passed_over) == (Source.MODEL, "volatility@1", ())
    assert reply.answer.percentile_90d == 1.0
    clock.at += HOUR_MS
    house.versions.rollback("volatility", ["a test"], "operator", clock.at)
    assert (await ask(house)).answered_by == "volatility@0"
    then = await ask(house, as_of=moment(NOW))
    assert (then.answered_by, then.prediction_id) == ("volatility@1", reply.prediction_id)
    told = json.loads((await explained(house, reply.prediction_id)).body)
    assert told["answered_by"] == "volatility@1"
    assert told["terms"][0]["text"] == "the rules times 0.9, by 1"


async def test_a_model_answers_what_it_has_earned_and_is_passed_over_elsewhere_with_the_reason(
    house: House, clock: HandClock
) -> None:
    version = registered(house, 0.9)
    earned = ["24h, 1h bars, markets that never close"]
    house.versions.promote("volatility", version, ["a test wants it"], "test", NOW, earned)
    assert (await ask(house)).answered_by == "volatility@1"
    elsewhere = await ask(house, horizon="48h")
    assert (elsewhere.answered_by, elsewhere.source) == ("volatility@0", Source.RULES)
    assert elsewhere.passed_over == (
        "volatility@1: not shown to be better than the rules on 48h, 1h bars, markets that never close",
    )
    questions = [TOY.question.model_validate({"symbol": "AAA", "horizon": one}) for one in ("6h", "24h", "48h")]
    batch = await house.ask.many(TOY, questions, "test")
    assert [one.answered_by for one in batch] == ["volatility@0", "volatility@1", "volatility@0"]
    clock.at += HOUR_MS
    house.versions.rollback("volatility", ["a test"], "test", clock.at)
    house.versions.promote("volatility", version, ["a test"], "test", clock.at)
    assert (await ask(house, horizon="48h")).answered_by == "volatility@1"
    assert (await ask(house, horizon="48h", as_of=moment(NOW))).answered_by == "volatility@0", "what was said stands"


async def test_a_restart_keeps_the_champion(house: House, tmp_path: Path, clock: HandClock) -> None:
    crowned(house, 0.9)
    first = await ask(house)
    house.close()
    again = opened(tmp_path / "data", clock)
    try:
        reply = await ask(again)
        assert (reply.answered_by, reply.prediction_id) == ("volatility@1", first.prediction_id)
    finally:
        again.close()


@pytest.mark.parametrize(
    ("behaves", "says"),
    [
        ("crash", "volatility@1: it failed"),
        ("nan", "volatility@1: what it said is no answer"),
        ("hang", "volatility@1: it did not answer within the deadline"),
    ],
)
async def test_a_model_that_fails_is_answered_by_the_rules_and_after_three_times_left_alone_but_for_one_probe(
    house: House, clock: HandClock, caplog: pytest.LogCaptureFixture, behaves: str, says: str
) -> None:
    crowned(house, 0.9, behaves=behaves)
    hours = ["6h", "12h", "24h", "48h"]
    replies = [await ask(house, horizon=one) for one in hours[:2]]
    assert {one.answered_by for one in replies} == {"volatility@0"}
    assert replies[0].passed_over == (says,)
    assert says in replies[0].summary
    await ask(house, "BBB")
    opened = await ask(house, horizon="48h")
    assert opened.passed_over == ("volatility@1: breaker open after 3 failures",)
    status = json.loads((await house.call("get_server_status", "{}", "test")).body)
    in_force = next(one["in_force"] for one in status["instruments"] if one["tool"] == "forecast_volatility")
    assert (in_force["version"], in_force["state"]) == ("volatility@1", "passed_over")
    clock.at += 60_000
    probes = await asyncio.gather(*(ask(house, one) for one in ("AAA", "BBB") for _ in range(10)))
    tried = [one for one in probes if "breaker" not in one.passed_over[0]]
    assert len(tried) == 1, "exactly one probe"
    assert {one.source for one in probes} == {Source.RULES}


async def test_models_that_hang_hold_up_neither_each_other_nor_the_rules_and_none_is_asked_when_all_threads_are_stuck(
    house: House, clock: HandClock
) -> None:
    crowned(house, 0.9, behaves="hang")
    before = threading.active_count()
    for _ in range(4):
        replies = await asyncio.gather(*(ask(house, one) for one in ("AAA", "BBB") for _ in range(4)))
        assert {one.answered_by for one in replies} == {"volatility@0"}
        clock.at += 60_000
    assert threading.active_count() <= before + 2
    stuck = await ask(house, horizon="48h")
    assert stuck.passed_over == ("volatility@1: all its threads hang",)


async def test_a_model_that_recovers_answers_again(house: House, clock: HandClock) -> None:
    crowned(house, 0.9, behaves="hang")
    assert (await ask(house)).answered_by == "volatility@0"
    RELEASE.set()
    assert (await ask(house)).answered_by == "volatility@1", "the failure was not remembered as the answer"


@pytest.mark.parametrize(("harm", "says"), [("damage", "is damaged"), ("remove", "is missing"), ("empty", "loaded")])
async def test_an_artefact_that_is_unwell_is_passed_over_and_its_answers_are_refused_an_explanation(
    house: House, tmp_path: Path, clock: HandClock, harm: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    version = crowned(house, 0.9)
    first = await ask(house)
    card = house.versions.show("volatility", version).card
    assert card is not None
    path = house.trainer.blobs.path(card.sha256, SUFFIX)
    house.close()
    if harm == "damage":
        path.write_bytes(path.read_bytes().replace(b"0.9", b"0.8"))
    elif harm == "remove":
        path.unlink()
    again = opened(tmp_path / "data", clock)
    try:
        if harm == "empty":
            clock.at += HOUR_MS
            made = artefact(1.0)
            hollow = type(made)(NAME, {}, {})
            again.trainer.blobs.put(hollow.to_bytes(), SUFFIX)
            other = Card(**{**{name: getattr(card, name) for name in card.__slots__}, "sha256": hollow.sha256})
            number = again.versions.register("volatility", other, clock.at).version
            assert again.models.unserved("volatility", number) == "its artefact cannot be loaded"
            again.versions.promote("volatility", number, ["by mistake"], "test", clock.at)
        reply = await ask(again)
        assert reply.source is Source.RULES
        assert says in reply.passed_over[0]
        assert str(tmp_path) not in reply.model_dump_json()
        assert "Traceback" in caplog.text
        told = await explained(again, first.prediction_id)
        assert told.code == (None if harm == "empty" else "model_gone")
    finally:
        again.close()


async def test_a_model_says_nothing_about_times_before_it_had_learnt(house: House, clock: HandClock) -> None:
    crowned(house, 0.9, learned_through=NOW + HOUR_MS)
    reply = await ask(house)
    assert reply.answered_by == "volatility@0"
    assert "it learnt from data through 2024-01-01 01:00Z" in reply.passed_over[0]
    clock.at += HOUR_MS
    assert (await ask(house)).answered_by == "volatility@1"


async def test_a_model_that_is_too_old_is_passed_over_with_its_age_and_the_limit(house: House) -> None:
    crowned(house, 0.9, learned_through=NOW - 70 * DAY_MS)
    reply = await ask(house)
    assert reply.source is Source.RULES
    assert reply.passed_over == ("volatility@1: model is 70 days old, the limit is 62",)
    status = (await house.call("get_server_status", "{}", "test")).text
    assert "volatility@1 is passed over, model is 70 days old" in status


async def test_while_aliases_move_no_answer_fails_and_none_mixes_versions(house: House, clock: HandClock) -> None:
    """Each version marks its answers: whoever is named must have given them."""
    numbers = [registered(house, 0.5 + 0.1 * i) for i in range(4)]
    replies: list[Any] = []
    horizons: dict[str, str] = {}
    moving = True

    async def keep_asking(symbol: str) -> None:
        while moving:
            for hours in ("6h", "12h", "24h", "48h"):
                reply = await ask(house, symbol, horizon=hours)
                horizons[reply.prediction_id] = hours
                replies.append(reply)
            await asyncio.sleep(0)

    def move() -> None:
        for version in numbers:
            at = house.clock() + CLOCK_SLACK_MS + 1
            assert house.models.unserved("volatility", version) is None
            house.versions.promote("volatility", version, ["its turn"], "test", at)
            clock.at, heard = at, len(replies)
            while len(replies) < heard + 8 and not any(one.done() for one in askers):
                RELEASE.wait(0.001)
        house.versions.rollback("volatility", ["back"], "test", clock.at)

    askers = [asyncio.create_task(keep_asking(one)) for one in ("AAA", "BBB")]
    await asyncio.sleep(0)
    await asyncio.to_thread(move)
    moving = False
    await asyncio.gather(*askers)
    assert all(one.answer is not None for one in replies)
    for one in replies:
        assert one.answered_by == f"volatility@{one.answer.percentile_90d:.0f}", one.summary
    assert {f"volatility@{i}" for i in (3, 4)} <= {one.answered_by for one in replies}
    first = next(one for one in replies if one.answered_by == "volatility@3")
    again = await ask(house, first.symbol, horizon=horizons[first.prediction_id], as_of=first.as_of)
    assert (again.answer, again.prediction_id) == (first.answer, first.prediction_id)


async def test_answers_of_a_model_are_settled_and_counted_under_its_version(house: House, clock: HandClock) -> None:
    crowned(house, 0.9)
    house.history.append([bars_until(NOW, 120 * 24)], received_at=NOW, live=False)
    for _ in range(4):
        reply = await ask(house, "CCC")
        assert reply.answered_by == "volatility@1", reply.summary
        clock.at += HOUR_MS
        house.history.append([bars_until(clock.at, 1)], received_at=clock.at, live=True)
    clock.at = NOW + 60 * HOUR_MS
    house.history.append([bars_until(clock.at, 56)], received_at=clock.at, live=True)
    house.ledger.flush_now()
    assert house.settle.settle(clock.at).known == 4
    said = json.loads((await house.call("get_track_record", '{"instrument": "volatility", "window": "all"}', "t")).body)
    (line,) = (one for one in said["records"] if one["answered_by"] == "volatility@1")
    assert line["n"] == 4
    assert line["against_rules"]["n"] == 4


def bars_until(end: int, n: int) -> BarTable:
    """The `n` bars of CCC up to `end`, of a market that goes on after NOW."""
    all_of_it = hourly("CCC", seed=7, n=120 * 24 + 60, end=NOW + 60 * HOUR_MS)
    last = 120 * 24 + (end - NOW) // HOUR_MS
    return checked(all_of_it.between(last - n, last), "files")


def test_the_toy_is_not_the_real_one() -> None:
    assert TOY.rules.version == REAL.rules.version == 0
    assert TOY.rules is not REAL.rules


async def test_an_answer_on_features_of_an_older_release_is_not_explained_by_rules_that_read_others(
    house: House, tmp_path: Path, clock: HandClock
) -> None:
    said = await ask(house)
    house.close()
    newer = replace(TOY, features=WithOneMore(FEATURES))
    again = build(CONFIG, tmp_path / "data", clock, catalogue=(newer, *(one for one in GOOD if one is not TOY)))
    try:
        told = await explained(again, said.prediction_id)
        assert told.code == "model_gone"
        assert "features of an older release" in told.body
    finally:
        again.close()


@dataclass(frozen=True)
class WithOneMore:
    """Features that begin with one that older rows do not have."""

    real: VolatilityFeatures

    @property
    def names(self) -> tuple[str, ...]:
        return ("one_more", *self.real.names)

    def rows(self, questions: Sequence[Question], as_of: Instants, market: Market) -> Rows:
        found = self.real.rows(questions, as_of, market)
        values = np.column_stack([np.zeros(len(found)), found.values])
        return Rows(self.names, values, found.questions, as_of, found.data_through, found.cannot)
