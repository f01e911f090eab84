"""From what the chain said to what the caller reads: identity, summary, staleness, veto. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeAlias, cast

from ml.bars import Floats
from ml.capability import Answer, AnyCapability, CannotAnswer, Given, Outcome, Question, Use
from registry.entry import Entry
from tools.chain import Walked
from tools.reply import Abstention, Reply, Source, TrackRecord, brief_time, moment

#: A reply of whatever capability.
AnyReply: TypeAlias = Reply[Any]
#: Of one settled question, so many replies are kept for as many states of its data.
MOST_STATES = 2


@dataclass(frozen=True, slots=True)
class Settled:
    """All of a reply that does not look at the clock: fixed for ever by the question and by what was known."""

    question: Question
    walked: Walked
    names: tuple[str, ...]
    features: Floats
    data_through: int
    origin: str
    prediction_id: str
    said: str
    """The answer or the abstention as the opening of the summary."""
    replied: dict[tuple[int, bool, int], tuple[TrackRecord, AnyReply]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """The replies that were made of it, but for the clock: one for each state of the data."""

    @property
    def answer(self) -> Answer | None:
        """What was answered; None where nobody did."""
        return self.walked.outcome.answer if isinstance(self.walked.outcome, Given) else None

    @property
    def answered_by(self) -> str:
        """The name of the predictor: `volatility@3`."""
        return self.walked.link.name

    @property
    def source(self) -> Source:
        """Rules, model, or nobody."""
        return Source.ABSTAIN if self.answer is None else self.walked.link.source

    @property
    def abstained(self) -> Abstention | None:
        """Why nobody answered."""
        cannot = self.walked.outcome
        return Abstention(why=cannot.why, text=cannot.text) if isinstance(cannot, CannotAnswer) else None


@dataclass(frozen=True, slots=True)
class Freshness:
    """How the data stand: `missing_bars` at the server's clock, and at `as_of`; against the operator's limit."""

    now_ms: int
    missing_now: int
    missing_then: int
    stale_after_bars: int

    @property
    def stale(self) -> bool:
        return self.missing_now >= self.stale_after_bars

    @property
    def stale_then(self) -> bool:
        return self.missing_then >= self.stale_after_bars


def rounded(outcome: Outcome[Answer]) -> Outcome[Answer]:
    """The outcome with its numbers to six significant digits: more is noise to a reader, and tokens to an agent."""
    if isinstance(outcome, CannotAnswer):
        return outcome
    numbers = {name: float(f"{value:.6g}") for name, value in outcome.answer if type(value) is float}
    return replace(outcome, answer=outcome.answer.model_copy(update=numbers))


def identity(
    tenant: str, capability: str, question: Question, data_through: int, features: Floats, walked: Walked
) -> str:
    """The prediction's id: SHA-256 over everything that the answer depends on, and nothing else.

    `as_of` enters through what it lets the predictors know (the row, and the close of its newest bar), so a question
    asked twice within one bar is one prediction. 32 hexadecimal digits.
    """
    asked = question.model_dump_json(exclude={"as_of"})
    why = walked.outcome.why if isinstance(walked.outcome, CannotAnswer) else ""
    told = json.dumps([tenant, capability, asked, data_through, walked.link.name, why, walked.passed_over])
    return hashlib.sha256(told.encode() + features.tobytes()).hexdigest()[:32]


def envelope(
    capability: AnyCapability, settled: Settled, as_of: int, fresh: Freshness, record: TrackRecord
) -> AnyReply:
    """The reply for one question. Asked again, it is the reply of before with the clock as it is now."""
    state = fresh.missing_now, fresh.stale, fresh.missing_then
    known = settled.replied.get(state)
    if known is None or known[0] is not record:
        if len(settled.replied) >= MOST_STATES:
            settled.replied.clear()
        known = settled.replied[state] = record, _envelope(capability, settled, as_of, fresh, record)
        return known[1]
    return known[1].at(moment(as_of), _age_seconds(settled, fresh))


def _envelope(
    capability: AnyCapability, settled: Settled, as_of: int, fresh: Freshness, record: TrackRecord
) -> AnyReply:
    outcome, question = settled.walked.outcome, settled.question
    given = outcome if isinstance(outcome, Given) else None
    cannot = outcome if isinstance(outcome, CannotAnswer) else None
    blocked = _blocked(question, cannot, fresh)
    through = settled.data_through or None
    return capability_reply(capability)(
        symbol=question.symbol,
        summary=_summary(settled, fresh, blocked),
        answer=settled.answer,
        answered_by=settled.answered_by,
        source=settled.source,
        abstained=settled.abstained,
        passed_over=settled.walked.passed_over,
        confidence=given.confidence if given else None,
        confidence_note=given.confidence_note if given else "there is no answer to be sure of",
        reasons=given.reasons if given else (cannot.text if cannot else "",),
        track_record=record,
        do_not_trade=None if question.use is Use.ADVICE else blocked is not None,
        do_not_trade_because=blocked,
        data_origin=settled.origin,
        as_of=moment(as_of),
        data_through=moment(through) if through else None,
        data_age_seconds=_age_seconds(settled, fresh),
        stale=fresh.stale,
        prediction_id=settled.prediction_id,
        expires_at=moment(through + capability.valid_ms(question)) if through else None,
    )


def _age_seconds(settled: Settled, fresh: Freshness) -> float | None:
    return max(fresh.now_ms - settled.data_through, 0) / 1000 if settled.data_through else None


def capability_reply(capability: AnyCapability) -> type[AnyReply]:
    """The reply model of a capability: the envelope around its own answer model (pydantic keeps one per answer)."""
    answer: Any = capability.answer
    return _reply_with(answer)


@lru_cache(maxsize=256)
def _reply_with(answer: Any) -> type[AnyReply]:  # noqa: ANN401 - an answer model
    return cast(type[AnyReply], Reply.__class_getitem__(answer))


def entry(capability: str, settled: Settled, reply: AnyReply, as_of: int, asked_by: str, now_ms: int) -> Entry:
    """What the ledger keeps of an answer: the row whole, so that it can be explained, judged and learnt from."""
    question = settled.question
    return Entry(
        prediction_id=settled.prediction_id,
        capability=capability,
        version=settled.walked.link.predictor.version,
        source=reply.source,
        symbol=question.symbol,
        timeframe=question.timeframe,
        as_of=as_of,
        data_through=settled.data_through,
        question=question.model_dump_json(),
        feature_names=settled.names,
        features=settled.features.tobytes(),
        answer=reply.model_dump_json(),
        use=question.use,
        asked_by=asked_by,
        asked_at=now_ms,
        passed_over=json.dumps(settled.walked.passed_over),
    )


def _blocked(question: Question, cannot: CannotAnswer | None, fresh: Freshness) -> str | None:
    """Why a risk engine must not trade on this: fail closed on unknown, stale or out of range."""
    if question.use is not Use.VETO:
        return None
    if cannot is not None:
        return f"{cannot.why}: {cannot.text}"
    if fresh.stale_then:
        return f"stale: {fresh.missing_then} expected bars are missing, the limit is {fresh.stale_after_bars}"
    return None


def _summary(settled: Settled, fresh: Freshness, blocked: str | None) -> str:
    missing = f", STALE: {fresh.missing_now} expected bars are missing" if fresh.stale and settled.data_through else ""
    stop = f" DO NOT TRADE: {blocked}." if blocked is not None else ""
    return f"{settled.said}{missing}.{stop}"


def opening(capability: AnyCapability, question: Question, walked: Walked, data_through: int, origin: str) -> str:
    """The part of a summary that no clock changes: who says what, and on which data."""
    outcome, who = walked.outcome, walked.link
    said = (
        f"{capability.say(question, outcome.answer)} (by {who.source} {who.name})"
        if isinstance(outcome, Given)
        else f"no answer, {who.name} abstains: {outcome.text}"
    )
    passed = f". Passed over {'; '.join(walked.passed_over)}" if walked.passed_over else ""
    data = f"Data ({origin}) through {brief_time(data_through)}" if data_through else "No data"
    return f"{question.symbol}: {said}{passed}. {data}"
