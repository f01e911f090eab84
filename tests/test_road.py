"""The road to an answer: the same for ever, fresh or labelled, passed over with a reason, closed for a veto."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands.config import Config
from market.bar_table import checked
from ml.bars import HOUR_MS, Bars, Timeframe
from ml.capability import AnyCapability, CannotAnswer, Outcome, Question, Rows, Term, Use, Why
from ml.catalogue import CATALOGUE
from registry.faults import LedgerFull
from server import House, build
from tests.conftest import NOW, HandClock, hourly, table
from tools.chain import Chains, Link, within
from tools.refusal import Code, Refused
from tools.reply import Source, moment

pytestmark = pytest.mark.anyio

REGIME = next(one for one in CATALOGUE if one.name == "regime")
VOLATILITY = next(one for one in CATALOGUE if one.name == "volatility")
EACH = pytest.mark.parametrize("capability", CATALOGUE, ids=lambda one: one.name)


def asked(capability: AnyCapability, symbol: str = "AAA", **fields: Any) -> Question:
    question: Question = capability.question.model_validate({"symbol": symbol, **fields})
    return question


@EACH
async def test_the_rules_answer_and_say_who_how_fresh_and_why(house: House, capability: AnyCapability) -> None:
    reply = await house.ask.one(capability, asked(capability), "test")
    assert reply.source is Source.RULES
    assert reply.answered_by == f"{capability.name}@0"
    assert reply.data_through == reply.as_of == moment(NOW)
    assert not reply.stale
    assert reply.data_age_seconds == 0
    assert reply.reasons
    assert reply.data_origin == "files"
    assert reply.do_not_trade is None
    for told in ("AAA", "rules", f"{capability.name}@0", "2024-01-01 00:00Z"):
        assert told in reply.summary


@EACH
async def test_the_same_question_with_the_same_as_of_has_the_same_answer_later(
    house: House, clock: HandClock, capability: AnyCapability
) -> None:
    question = asked(capability, as_of=moment(NOW - 30 * HOUR_MS))
    first = await house.ask.one(capability, question, "test")
    clock.at += 90 * HOUR_MS
    revised = hourly("AAA", seed=9)  # other numbers for bars that were known, and bars that follow
    more = hourly("AAA", seed=3, n=50, end=NOW + 50 * HOUR_MS)
    house.history.append([checked(revised, "files")], received_at=clock.at, live=True)
    house.history.append([checked(more, "files")], received_at=clock.at, live=True)
    again = await house.ask.one(capability, question, "test")
    assert again.answer == first.answer
    assert again.prediction_id == first.prediction_id
    assert again.data_through == first.data_through
    now = await house.ask.one(capability, asked(capability), "test")
    assert now.answer != first.answer


async def test_an_answer_given_twice_within_a_stale_stretch_stands_after_a_restart(
    tmp_path: Path, clock: HandClock
) -> None:
    # The second asking writes no new entry; a restart must know of it all the same.
    bars = hourly("AAA", seed=1)
    earlier, later = NOW - 9 * HOUR_MS, NOW - 5 * HOUR_MS
    first = build(Config(), tmp_path / "again", clock)
    first.history.append([checked(bars.between(0, len(bars) - 10), "files")], received_at=NOW, live=False)
    await first.ask.one(REGIME, asked(REGIME, as_of=moment(earlier)), "test")
    said = await first.ask.one(REGIME, asked(REGIME, as_of=moment(later)), "test")
    first.close()
    second = build(Config(), tmp_path / "again", clock)
    second.history.append([checked(bars, "files")], received_at=NOW, live=False)
    again = await second.ask.one(REGIME, asked(REGIME, as_of=moment(later)), "test")
    second.close()
    assert (again.prediction_id, again.answer, again.data_through) == (
        said.prediction_id,
        said.answer,
        said.data_through,
    )


async def test_an_answer_given_now_stands_when_a_bar_arrives_in_the_same_millisecond(house: House) -> None:
    first = await house.ask.one(REGIME, asked(REGIME), "test")
    house.history.append([table("AAA", seed=4, n=1, end=NOW)], received_at=NOW, live=True)  # a revision of the last bar
    again = await house.ask.one(REGIME, asked(REGIME, as_of=moment(NOW)), "test")
    assert again.answer == first.answer


async def test_many_symbols_are_answered_in_one_call_and_as_if_alone(house: House) -> None:
    replies = await house.ask.many(VOLATILITY, [asked(VOLATILITY, one) for one in ("AAA", "BBB", "NOPE")], "test")
    alone = await house.ask.one(VOLATILITY, asked(VOLATILITY, "BBB"), "test")
    assert [one.symbol for one in replies] == ["AAA", "BBB", "NOPE"]
    assert replies[1] == alone
    assert replies[2].source is Source.ABSTAIN


async def test_stale_data_are_labelled_and_too_old_data_abstain(house: House, clock: HandClock) -> None:
    clock.at = NOW + 3 * HOUR_MS
    stale = await house.ask.one(REGIME, asked(REGIME), "test")
    assert stale.stale
    assert stale.source is Source.RULES
    assert "STALE: 3 expected bars are missing" in stale.summary
    clock.at = NOW + 60 * HOUR_MS
    old = await house.ask.one(REGIME, asked(REGIME), "test")
    assert old.source is Source.ABSTAIN
    assert old.answer is None
    assert old.abstained is not None
    assert old.abstained.why is Why.DATA_TOO_OLD
    assert "no answer" in old.summary


async def test_a_veto_says_no_where_it_does_not_know(house: House, clock: HandClock) -> None:
    clear = await house.ask.one(REGIME, asked(REGIME, use=Use.VETO), "risk")
    assert clear.do_not_trade is False
    unknown = await house.ask.one(REGIME, asked(REGIME, "NOPE", use=Use.VETO), "risk")
    assert unknown.do_not_trade is True
    assert unknown.do_not_trade_because is not None
    assert "unknown_symbol" in unknown.do_not_trade_because
    clock.at += 3 * HOUR_MS
    stale = await house.ask.one(REGIME, asked(REGIME, use=Use.VETO), "risk")
    assert stale.do_not_trade is True
    assert "DO NOT TRADE: stale" in stale.summary
    past = await house.ask.one(REGIME, asked(REGIME, use=Use.VETO, as_of=moment(NOW)), "risk")
    assert past.do_not_trade is False, "at that time the data were fresh"


async def test_a_veto_is_on_disk_before_it_is_said(house: House) -> None:
    reply = await house.ask.one(REGIME, asked(REGIME, use=Use.VETO), "risk")
    assert house.ledger.pending() == 0
    assert house.ledger.count() == 1
    entry = house.ledger.find(reply.prediction_id)
    assert entry is not None
    assert entry.use == "veto"
    assert entry.asked_by == "risk"


async def test_advice_is_found_in_the_ledger_at_once(house: House) -> None:
    reply = await house.ask.one(VOLATILITY, asked(VOLATILITY), "test")
    entry = house.ledger.find(reply.prediction_id)
    assert entry is not None
    assert np.frombuffer(entry.features, "<f8").shape == (len(entry.feature_names),)


async def test_asking_twice_is_one_prediction(house: House, clock: HandClock) -> None:
    first = await house.ask.one(REGIME, asked(REGIME), "test")
    clock.at += 60_000
    second = await house.ask.one(REGIME, asked(REGIME), "test")
    assert second.prediction_id == first.prediction_id
    house.ledger.flush_now()
    assert house.ledger.count() == 1


@pytest.mark.parametrize(
    ("symbol", "as_of", "code"),
    [
        ("NOPE", None, Code.UNKNOWN_SYMBOL),
        ("AAA", NOW - 10_000 * HOUR_MS, Code.BEFORE_HISTORY),
        ("AAA", NOW + HOUR_MS, Code.IN_FUTURE),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_what_would_be_accepted(
    house: House, symbol: str, as_of: int | None, code: Code
) -> None:
    question = asked(REGIME, symbol, **({} if as_of is None else {"as_of": moment(as_of)}))
    with pytest.raises(Refused) as refused:
        await house.ask.one(REGIME, question, "test")
    assert refused.value.code is code
    assert refused.value.body.error.accepted
    assert "NOPE" not in refused.value.body.model_dump_json()


@EACH
async def test_a_timeframe_without_measured_rules_abstains(house: House, capability: AnyCapability) -> None:
    unmeasured = next(one for one in Timeframe if one not in capability.timeframes)
    others = replace_timeframe(hourly("AAA", seed=1), unmeasured)
    house.history.append([checked(others, "files")], received_at=NOW, live=False)
    reply = await house.ask.one(capability, asked(capability, timeframe=unmeasured), "test")
    assert reply.abstained is not None
    assert reply.abstained.why is Why.NOT_MEASURED


def replace_timeframe(bars: Bars, timeframe: Timeframe) -> Bars:
    n = len(bars)
    open_at = NOW - (n - np.arange(n, dtype=np.int64)) * timeframe.milliseconds
    return replace(bars, timeframe=timeframe, open_at=open_at)


@EACH
async def test_too_little_history_abstains_with_the_numbers(house: House, capability: AnyCapability) -> None:
    house.history.append([table("NEW", seed=5, n=100)], received_at=NOW, live=False)
    reply = await house.ask.one(capability, asked(capability, "NEW"), "test")
    assert reply.abstained is not None
    assert reply.abstained.why is Why.TOO_LITTLE_HISTORY
    assert "100" in reply.abstained.text


@dataclass
class Model:
    """A stand-in for a trained model, with whatever behaviour a test needs."""

    behaviour: Any
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    version: int = 7

    def predict(self, rows: Rows, *, reasons: bool = True) -> Sequence[Outcome[Any]]:
        return self.behaviour(rows)  # type: ignore[no-any-return]  # whatever the test hands in

    def explain(self, rows: Rows) -> Sequence[tuple[Term, ...]]:
        return [()] * len(rows)


@dataclass(frozen=True)
class Both:
    """A chain of a model before the rules."""

    model: Any

    def chain(self, capability: str, as_of: int) -> Sequence[Link]:
        return (Link(f"{capability}@7", self.model), Link(f"{capability}@0", VOLATILITY.rules))


def with_model(house: House, model: Any) -> Any:
    chains: Chains = Both(model)
    return replace(house.ask, chains=chains, run=within(0.05))


async def test_a_model_that_answers_is_named(house: House) -> None:
    ask = with_model(house, Model(VOLATILITY.rules.predict))
    reply = await ask.one(VOLATILITY, asked(VOLATILITY), "test")
    assert (reply.source, reply.answered_by, reply.passed_over) == (Source.MODEL, "volatility@7", ())


def crash(rows: Rows) -> Sequence[Outcome[Any]]:
    raise ZeroDivisionError


def abstain(rows: Rows) -> Sequence[Outcome[Any]]:
    return [CannotAnswer(Why.MISSING_FEATURE, "funding is missing")] * len(rows)


@pytest.mark.parametrize(("behaviour", "says"), [(crash, "it failed"), (abstain, "funding is missing")])
async def test_a_model_that_fails_is_passed_over_for_the_rules_and_it_is_said(
    house: House, behaviour: Any, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        reply = await with_model(house, Model(behaviour)).one(VOLATILITY, asked(VOLATILITY), "test")
    assert (reply.source, reply.answered_by) == (Source.RULES, "volatility@0")
    assert reply.passed_over == (f"volatility@7: {says}",)
    assert says in reply.summary
    assert ("Traceback" in caplog.text) == (behaviour is crash)


async def test_a_model_that_hangs_is_passed_over_at_the_deadline(house: House) -> None:
    released = threading.Event()

    def hang(rows: Rows) -> Sequence[Outcome[Any]]:
        released.wait(5)
        return abstain(rows)

    reply = await with_model(house, Model(hang)).one(VOLATILITY, asked(VOLATILITY), "test")
    released.set()
    assert reply.answered_by == "volatility@0"
    assert reply.passed_over == ("volatility@7: it did not answer within the deadline",)


async def test_a_model_out_of_its_range_is_passed_over_with_the_numbers(house: House) -> None:
    name = VOLATILITY.features.names[0]
    model = Model(VOLATILITY.rules.predict, ranges={name: (1e6, 2e6)})
    reply = await with_model(house, model).one(VOLATILITY, asked(VOLATILITY), "test")
    assert reply.answered_by == "volatility@0"
    assert "measured range 1e+06 to 2e+06" in reply.passed_over[0]


async def test_a_crash_of_the_rules_is_a_fault_and_not_hidden(house: House) -> None:
    broken = replace(VOLATILITY, rules=Model(crash, version=0))

    class Alone:
        def chain(self, capability: str, as_of: int) -> Sequence[Link]:
            return (Link("volatility@0", broken.rules),)

    with pytest.raises(ZeroDivisionError):
        await replace(house.ask, chains=Alone()).one(broken, asked(VOLATILITY), "test")


async def test_a_full_ledger_turns_questions_away_and_forgets_nothing(house: House) -> None:
    class Full:
        def record(self, entries: Any, *, urgent: bool = False) -> Any:
            raise LedgerFull("full")

        def asked(self, symbol: str, timeframe: str, as_of: int) -> None:
            pass

    with pytest.raises(Refused) as refused:
        await replace(house.ask, book=Full()).one(REGIME, asked(REGIME), "test")
    assert refused.value.code is Code.OVERLOADED
    assert refused.value.body.error.retryable
    reply = await house.ask.one(REGIME, asked(REGIME), "test")
    assert house.ledger.find(reply.prediction_id) is not None, "what was not written down is not remembered either"


async def test_time_does_not_run_backwards_when_the_clock_does(house: House, clock: HandClock) -> None:
    first = await house.ask.one(REGIME, asked(REGIME), "test")
    clock.at -= 5 * HOUR_MS
    again = await house.ask.one(REGIME, asked(REGIME), "test")
    assert again.as_of == first.as_of
    assert again.as_of - first.as_of < timedelta(seconds=1)
