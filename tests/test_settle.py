"""Settling: what came true is written down once, when it is known, and counts from what the answer knew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from barograph import __version__
from market.bar_table import checked
from ml.bars import DAY_MS, HOUR_MS, Bars, Timeframe
from ml.capability import AnyCapability, Use
from ml.catalogue import CATALOGUE
from registry.entry import Entry
from registry.outcomes import START, Count, Outcome, Outcomes
from registry.record import REPLAY, RecordBook
from server import House
from tests.conftest import NOW, HandClock, hourly
from tools.reply import moment
from workers import settle as settling
from workers.settle import GAP_MS, SILENCE_MS, Settle, Settled

pytestmark = pytest.mark.anyio

REGIME = next(one for one in CATALOGUE if one.name == "regime")
VOLATILITY = next(one for one in CATALOGUE if one.name == "volatility")


async def asked(
    house: House, capability: AnyCapability, instants: Sequence[int], by: str = "agent", **fields: Any
) -> list[Any]:
    """Asks as of instants (ms) and has it on disk."""
    questions = [
        capability.question.model_validate({"symbol": "AAA", "as_of": moment(at), **fields}) for at in instants
    ]
    replies = await house.ask.many(capability, questions, by)
    house.ledger.flush_now()
    return replies


def outcomes(house: House) -> Outcomes:
    return Outcomes(house.store, house.config.tenant, __version__)


def fresh(house: House) -> Settle:
    """The job as a restarted server would have it."""
    by_name = {one.name: one for one in CATALOGUE}
    return Settle(
        outcomes(house), RecordBook(CATALOGUE), by_name, house.ask.market, house.ledger.asked_through_all, house.clock
    )


def kept(house: House, prediction_id: str) -> Entry:
    entry = house.ledger.find(prediction_id)
    assert entry is not None
    return entry


async def test_truth_and_loss_are_written_when_the_horizon_has_passed_and_not_before(house: House) -> None:
    (reply,) = await asked(house, VOLATILITY, [NOW - 24 * HOUR_MS])
    assert house.settle.settle(NOW - 1) == Settled(waiting=1)
    assert outcomes(house).find(reply.prediction_id) is None
    assert house.settle.settle(NOW) == Settled(known=1)
    found = outcomes(house).find(reply.prediction_id)
    close = hourly("AAA", seed=1).close
    came = float((np.diff(np.log(close[-25:])) ** 2).sum())
    assert found is not None
    assert found.truth == pytest.approx(came, rel=1e-12)
    assert found.loss == pytest.approx(came / reply.answer.var - np.log(came / reply.answer.var) - 1.0)
    assert found.note is None


async def test_a_second_run_and_a_restart_change_nothing(house: House) -> None:
    await asked(house, VOLATILITY, [NOW - n * HOUR_MS for n in range(24, 40)])
    assert house.settle.settle(NOW).known == 16
    assert house.settle.settle(NOW) == Settled()
    assert house.settle.settle(NOW, everything=True) == Settled()
    again = fresh(house)
    assert again.settle(NOW + HOUR_MS) == Settled()
    assert again.record.complete
    assert again.record.standing("volatility", 0) == house.settle.record.standing("volatility", 0)


async def test_a_run_that_was_killed_between_groups_is_taken_up_where_it_stood(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asked(house, VOLATILITY, [NOW - n * HOUR_MS for n in range(24, 54)])
    monkeypatch.setattr(settling, "GROUP", 7)
    first, writes = fresh(house), []

    class Dying(Outcomes):
        def write(self, found: Sequence[Outcome], at: int, count: Count | None = None) -> frozenset[str]:
            writes.append(len(found))
            new = super().write(found, at, count)
            if len(writes) == 3:
                raise KeyboardInterrupt
            return new

    first.outcomes = Dying(house.store, house.config.tenant, __version__)
    with pytest.raises(KeyboardInterrupt):
        first.settle(NOW)
    assert max(writes) <= 7
    second = fresh(house)
    assert second.settle(NOW).known == 30 - 21
    assert second.record.standing("volatility", 0).tally.n == 30


async def test_many_predictions_are_looked_at_in_bounded_batches(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "LOOK", 4)
    monkeypatch.setattr(settling, "GROUP", 3)
    await asked(house, VOLATILITY, [NOW - n * HOUR_MS for n in range(10, 40)])
    await asked(house, REGIME, [NOW - n * HOUR_MS for n in range(60, 70)])
    assert house.settle.settle(NOW) == Settled(known=26, waiting=14)


async def test_abstentions_are_not_settled(house: House) -> None:
    early = NOW - 120 * DAY_MS + 10 * HOUR_MS
    (reply,) = await asked(house, VOLATILITY, [early])
    assert reply.answer is None
    assert house.settle.settle(NOW) == Settled()
    assert outcomes(house).find(reply.prediction_id) is None


async def test_a_regime_whose_path_may_still_change_waits_for_more_bars(house: House) -> None:
    replies = await asked(house, REGIME, [NOW - n * HOUR_MS for n in range(12, 40)])
    first = house.settle.settle(NOW)
    assert first.known
    assert first.waiting
    assert first.known + first.waiting == 28
    later = hourly("AAA", seed=1, n=120 * 24)
    more = hourly("AAA", seed=3, n=72, end=NOW + 72 * HOUR_MS)
    house.history.append([checked(_after(later, more), "files")], received_at=NOW + 72 * HOUR_MS, live=False)
    assert house.settle.settle(NOW + 72 * HOUR_MS) == Settled(known=first.waiting)
    truths = [one.truth for reply in replies if (one := outcomes(house).find(reply.prediction_id))]
    assert len(truths) == 28
    assert all(isinstance(truth, str) for truth in truths)


async def test_truth_counts_from_the_bar_that_the_answer_knew_whoever_asked_first(house: House) -> None:
    close = NOW - 30 * HOUR_MS
    (late,) = await asked(house, VOLATILITY, [close + 59 * 60_000])
    (sharp,) = await asked(house, VOLATILITY, [close])
    assert late.prediction_id == sharp.prediction_id
    house.settle.settle(NOW)
    found = outcomes(house).find(late.prediction_id)
    steps = np.diff(np.log(hourly("AAA", seed=1).close)) ** 2
    assert found is not None
    assert found.truth == pytest.approx(float(steps[-30:-6].sum()), rel=1e-12)


async def test_a_bar_that_came_late_does_not_move_the_beginning_of_a_truth(house: House, clock: HandClock) -> None:
    """The answer knew bars up to NOW; the next bar had closed when it was asked, but had not come yet."""
    clock.at = NOW + HOUR_MS + 60_000
    reply = await house.ask.one(VOLATILITY, VOLATILITY.question(symbol="AAA"), "agent")
    house.ledger.flush_now()
    assert reply.data_through == moment(NOW)
    old, more = hourly("AAA", seed=1), hourly("AAA", seed=3, n=30, end=NOW + 30 * HOUR_MS)
    following = _after(old, more)
    house.history.append([checked(following, "files")], received_at=NOW + 30 * HOUR_MS, live=False)
    clock.at = NOW + 30 * HOUR_MS
    assert house.settle.settle(clock.at).known == 1
    found = outcomes(house).find(reply.prediction_id)
    closes = np.concatenate([old.close[-1:], following.close])
    assert found is not None
    assert found.truth == pytest.approx(float((np.diff(np.log(closes))[:24] ** 2).sum()), rel=1e-12)


async def test_a_truth_lost_in_a_gap_is_never_known_once_the_data_have_gone_on(house: House) -> None:
    (reply,) = await asked(house, VOLATILITY, [NOW])
    old = hourly("AAA", seed=1)
    more = _after(old, hourly("AAA", seed=3, n=40 * 24, end=NOW + 40 * DAY_MS))
    holed = replace_bars(more, np.arange(len(more)) != 5)
    days = GAP_MS // DAY_MS + 1
    house.history.append(
        [checked(cut(holed, NOW + days * DAY_MS), "files")], received_at=NOW + days * DAY_MS, live=False
    )
    assert house.settle.settle(NOW + days * DAY_MS) == Settled(never=1)
    found = outcomes(house).find(reply.prediction_id)
    assert found is not None
    assert (found.truth, found.loss) == (None, None)
    assert found.note is not None
    assert found.note.startswith("never known: bars are missing between 2024-01-01T00:00Z and 2024-01-02T00:00Z")


async def test_where_the_data_fall_silent_it_is_waited_longer(house: House) -> None:
    (reply,) = await asked(house, VOLATILITY, [NOW])
    assert house.settle.settle(NOW + DAY_MS + SILENCE_MS - 1) == Settled(waiting=1)
    assert house.settle.settle(NOW + DAY_MS + SILENCE_MS) == Settled(never=1)
    found = outcomes(house).find(reply.prediction_id)
    assert found is not None
    assert found.note == "never known: the bars end at 2024-01-01T00:00Z"
    assert house.settle.settle(NOW + DAY_MS + SILENCE_MS + 1) == Settled()


async def test_questions_about_times_long_past_are_found_within_a_day(house: House) -> None:
    await asked(house, VOLATILITY, [NOW - 26 * HOUR_MS])
    assert house.settle.settle(NOW).known == 1
    await asked(house, VOLATILITY, [NOW - 30 * DAY_MS], by="historian")
    assert house.settle.settle(NOW + HOUR_MS) == Settled()
    assert house.settle.settle(NOW + DAY_MS).known == 1


async def test_what_was_on_record_before_its_truth_is_live_and_the_rest_is_replayed(house: House) -> None:
    await asked(house, VOLATILITY, [NOW - 20 * HOUR_MS, NOW])
    await asked(house, VOLATILITY, [NOW - 40 * HOUR_MS], by="historian")
    await asked(house, VOLATILITY, [NOW - 19 * HOUR_MS], by=REPLAY)
    old, more = hourly("AAA", seed=1), hourly("AAA", seed=3, n=48, end=NOW + 48 * HOUR_MS)
    house.history.append([checked(_after(old, more), "files")], received_at=NOW + 48 * HOUR_MS, live=False)
    assert house.settle.settle(NOW + 48 * HOUR_MS).known == 4
    standing = house.settle.record.standing("volatility", 0)
    assert (standing.n_live, standing.n_replayed) == (2, 2)


async def test_an_answer_given_as_advice_and_as_veto_counts_once(house: House) -> None:
    instants = [NOW - n * HOUR_MS for n in range(24, 34)]
    await asked(house, VOLATILITY, instants)
    await asked(house, VOLATILITY, instants, use=Use.VETO)
    assert house.settle.settle(NOW).known == 20
    assert house.settle.record.standing("volatility", 0).tally.n == 10


async def test_an_answer_that_can_no_longer_be_read_keeps_its_truth_and_says_so(house: House) -> None:
    (reply,) = await asked(house, VOLATILITY, [NOW - 26 * HOUR_MS])
    entry = kept(house, reply.prediction_id)
    said = json.loads(entry.answer)
    said["answer"] = {"sigma": 1.0}
    old = replace(entry, prediction_id="0" * 32, answer=json.dumps(said))
    lost = replace(entry, prediction_id="1" * 32, question='{"symbol": "AAA", "horizon": "7y"}')
    house.ledger.record([old, lost])
    house.ledger.flush_now()
    assert house.settle.settle(NOW) == Settled(known=2, never=1)
    found, gone = outcomes(house).find("0" * 32), outcomes(house).find("1" * 32)
    assert found is not None
    assert gone is not None
    assert found.truth is not None
    assert found.loss is None
    assert found.note is not None
    assert gone.note == "never known: its question can no longer be read"
    assert fresh(house).settle(NOW) == Settled()


async def test_the_first_outcome_stands(house: House) -> None:
    (reply,) = await asked(house, VOLATILITY, [NOW - 26 * HOUR_MS])
    house.settle.settle(NOW)
    first = outcomes(house).find(reply.prediction_id)
    assert outcomes(house).write([Outcome(reply.prediction_id, 1.0, 2.0, None)], NOW) == frozenset()
    assert outcomes(house).find(reply.prediction_id) == first


async def test_two_runs_at_once_write_every_outcome_once(house: House) -> None:
    await asked(house, VOLATILITY, [NOW - n * HOUR_MS for n in range(24, 60)])
    one, other = fresh(house), fresh(house)
    assert one.outcomes.waiting("AAA", "1h", START, NOW, 100)
    known = one.settle(NOW).known + other.settle(NOW).known
    assert known == 36
    await one.run()
    assert one.record.standing("volatility", 0) == other.record.standing("volatility", 0)


def _after(old: Bars, more: Bars) -> Bars:
    """`more` quoted so that it goes on from where `old` ended."""
    scaled = more.scaled(float(old.close[-1] / more.open[0]))
    return Bars("AAA", Timeframe.H1, scaled.open_at, scaled.open, scaled.high, scaled.low, scaled.close, scaled.volume)


def replace_bars(bars: Bars, keep: Any) -> Bars:
    columns = (bars.open_at, bars.open, bars.high, bars.low, bars.close, bars.volume)
    return Bars(bars.symbol, bars.timeframe, *(column[keep] for column in columns))


def cut(bars: Bars, end: int) -> Bars:
    return replace_bars(bars, bars.close_at <= end)
