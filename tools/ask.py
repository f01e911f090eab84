"""The road: the only way from a question to an answer. Both doors, the workers, replay and the tests walk it.

Live, an answer mostly costs a look into the memo; in a replay the same code answers thousands of questions in one go,
with another clock.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from market.staleness import Staleness
from ml.bars import Timeframe
from ml.capability import AnyCapability, CannotAnswer, Question, Rows, Use, Why
from ml.timeline import Market
from registry.entry import Entry
from registry.faults import LedgerFull, LedgerNotDurable
from tools.chain import Chains, Link, Run, Walked, unexplained, walk
from tools.envelope import AnyReply, Freshness, Settled, entry, envelope, identity, opening, rounded
from tools.memo import Memo
from tools.refusal import Code, Refused
from tools.reply import TrackRecord, instant, moment

#: A caller's clock may be ahead of ours by this much before `as_of` counts as the future.
CLOCK_SLACK_MS = 2_000

#: Abstentions that a caller can mend, told as refusals when a single question meets them.
REFUSED = {Why.UNKNOWN_SYMBOL: Code.UNKNOWN_SYMBOL, Why.BEFORE_HISTORY: Code.BEFORE_HISTORY}


class FedMarket(Market, Protocol):
    """A market that also knows which bars should have come, and remembers what it was asked about."""

    def missing(self, symbol: str, timeframe: Timeframe, as_of: int, at: int) -> int:
        """How many bars after the newest one known at `as_of` were to be expected by `at`; 0 for an unknown series."""

    def seal(self, symbol: str, timeframe: Timeframe, as_of: int) -> None:
        """Somebody was answered as of then: what is received later was not known then."""

    def symbols(self) -> Sequence[str]:
        """All symbols that somebody feeds."""


class Records(Protocol):
    """Track records of predictors."""

    def record(self, capability: str, version: int) -> TrackRecord: ...


class Book(Protocol):
    """Where predictions are written down."""

    def record(self, entries: Sequence[Entry], *, urgent: bool = False) -> Future[None]: ...

    def asked(self, symbol: str, timeframe: str, as_of: int) -> None:
        """A series was answered on as of then, with a new entry or one that stands: it must stay known."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with what the road found out before anybody answers it."""

    question: Question
    as_of: int
    chain: tuple[Link, ...]
    fresh: Freshness
    key: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """Answers questions of any capability. Everything it needs is passed in; its only state is the memo.

    `now` says what time it is (ms) for a question with this `as_of`: live that is the clock, in a replay the `as_of`.
    """

    market: FedMarket
    chains: Chains
    book: Book
    records: Records
    now: Callable[[int | None], int]
    limits: Mapping[Timeframe, Staleness]
    run: Run
    tenant: str
    memo: Memo[Settled]

    async def one(self, capability: AnyCapability, question: Question, asked_by: str) -> AnyReply:
        """The reply to one question. Raises Refused for a symbol that nobody feeds and an `as_of` before the history;
        but a veto is answered, with no."""
        reply = (await self.many(capability, [question], asked_by))[0]
        code = REFUSED.get(reply.abstained.why) if reply.abstained else None
        if code and reply.abstained and question.use is Use.ADVICE:
            raise Refused(code, reply.abstained.text, accepted=self._accepted(code))
        return reply

    async def many(self, capability: AnyCapability, questions: Sequence[Question], asked_by: str) -> list[AnyReply]:
        """The replies to many questions of one capability, in order; what cannot be answered abstains. Raises Refused
        for an `as_of` in the future, a full ledger, and a veto that could not be written down."""
        asked = self._asked(capability, questions)
        remembered = [self.memo.get(one.key) for one in asked]
        settled = await self._settle(capability, asked, remembered)
        replies = [
            envelope(capability, known, one.as_of, one.fresh, self._record(capability, known))
            for one, known in zip(asked, settled, strict=True)
        ]
        new = [i for i, known in enumerate(remembered) if known is None]
        await self._write_down(
            [
                entry(capability.name, settled[i], replies[i], asked[i].as_of, asked_by, asked[i].fresh.now_ms)
                for i in new
            ]
        )
        for i in new:  # only what is written down is remembered: a veto that failed to reach the disk is tried again
            if not settled[i].walked.passing:  # and a model that failed once is asked again
                self.memo.put(asked[i].key, settled[i])
        return replies

    async def settled(self, capability: AnyCapability, questions: Sequence[Question]) -> list[Settled]:
        """The same answers without their reasons and with nothing around them, written down nowhere: for a table of
        very many. Raises Refused for an `as_of` in the future."""
        asked = self._asked(capability, questions)
        return await self._settle(capability, asked, [None] * len(asked), explained=False)

    def _asked(self, capability: AnyCapability, questions: Sequence[Question]) -> list[Asked]:
        said = [None if question.as_of is None else instant(question.as_of) for question in questions]
        now = {one: self.now(one) for one in dict.fromkeys(said)}  # asked together, they are answered as of one time
        return [self._looked_up(capability, *one, now[one[1]]) for one in zip(questions, said, strict=True)]

    def _looked_up(self, capability: AnyCapability, question: Question, said: int | None, now: int) -> Asked:
        as_of = now if said is None else said
        if as_of > now + CLOCK_SLACK_MS:
            raise Refused(Code.IN_FUTURE, "as_of lies in the future", accepted=[f"as_of up to {moment(now)}, or none"])
        symbol, timeframe = question.symbol, question.timeframe
        self.market.seal(symbol, timeframe, as_of)
        if self.market.timeline(symbol, timeframe) is not None:
            self.book.asked(symbol, timeframe, as_of)
        missing_then = self.market.missing(symbol, timeframe, as_of, as_of)
        missing_now = self.market.missing(symbol, timeframe, as_of, now) if now > as_of else missing_then
        fresh = Freshness(now, missing_now, missing_then, self.limits[timeframe].stale_after_bars)
        chain = tuple(self.chains.chain(capability.name, as_of))
        timeless = question.model_copy(update={"as_of": None}) if question.as_of is not None else question
        who = tuple(link.key for link in chain)
        known = self._known(question, as_of), self._observed(capability, question, as_of)
        key = (capability.name, timeless, who, known, self._too_old(timeframe, fresh))
        return Asked(question, as_of, chain, fresh, key)

    def _known(self, question: Question, as_of: int) -> tuple[int, int]:
        """How many records of the series were known, and the open of the newest bar: they only ever grow."""
        timeline = self.market.timeline(question.symbol, question.timeframe)
        known = 0 if timeline is None else timeline.known_at(as_of)
        return known, int(timeline.newest_open[known - 1]) if timeline is not None and known else 0

    def _observed(self, capability: AnyCapability, question: Question, as_of: int) -> tuple[tuple[int, int], ...]:
        """Of each kind that it reads: how many records were known, and which is the newest that counts."""
        at, result = np.array([as_of]), []
        for kind, most_ms in capability.observes.items():
            observed = self.market.observed(kind, question.symbol)
            known = (0, -1) if observed is None else (observed.n_known(at)[0], observed.newest(at, most_ms)[0])
            result.append((int(known[0]), int(known[1])))
        return tuple(result)

    def _too_old(self, timeframe: Timeframe, fresh: Freshness) -> bool:
        return fresh.missing_then >= self.limits[timeframe].too_old_after_bars

    async def _settle(
        self,
        capability: AnyCapability,
        asked: Sequence[Asked],
        remembered: Sequence[Settled | None],
        *,
        explained: bool = True,
    ) -> list[Settled]:
        if all(remembered):
            return [known for known in remembered if known]
        settled = list(remembered)
        by_chain: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for i, one in enumerate(asked):
            if settled[i] is None:
                by_chain[tuple(link.key for link in one.chain)].append(i)
        for members in by_chain.values():
            rows = self._rows(capability, [asked[i] for i in members])
            chain = asked[members[0]].chain
            said = await walk(chain if explained else unexplained(chain), rows, self.run)
            for k, (i, walked) in enumerate(zip(members, said, strict=True)):
                settled[i] = self._settled(capability, rows, k, walked)
        return [one for one in settled if one is not None]

    def _rows(self, capability: AnyCapability, asked: Sequence[Asked]) -> Rows:
        instants = np.array([one.as_of for one in asked], dtype=np.int64)
        rows = capability.features.rows([one.question for one in asked], instants, self.market)
        cannot = [found or self._limited(capability, one) for found, one in zip(rows.cannot, asked, strict=True)]
        return replace(rows, cannot=tuple(cannot))

    def _limited(self, capability: AnyCapability, asked: Asked) -> CannotAnswer | None:
        if asked.question.timeframe not in capability.timeframes:
            measured = ", ".join(sorted(capability.timeframes))
            return CannotAnswer(Why.NOT_MEASURED, f"this is measured on {measured} bars only")
        if self._too_old(asked.question.timeframe, asked.fresh):
            limit = self.limits[asked.question.timeframe].too_old_after_bars
            text = f"the data are too old: {asked.fresh.missing_then} expected bars are missing, the limit is {limit}"
            return CannotAnswer(Why.DATA_TOO_OLD, text)
        return None

    def _settled(self, capability: AnyCapability, rows: Rows, i: int, walked: Walked) -> Settled:
        question, through, features = rows.questions[i], int(rows.data_through[i]), rows.values[i]
        timeline = self.market.timeline(question.symbol, question.timeframe)
        origin = timeline.origin if timeline is not None else "none"
        prediction_id = identity(self.tenant, capability.name, question, through, features, walked)
        walked = replace(walked, outcome=rounded(walked.outcome))
        said = opening(capability, question, walked, through, origin)
        return Settled(question, walked, rows.names, features, through, origin, prediction_id, said)

    def _record(self, capability: AnyCapability, settled: Settled) -> TrackRecord:
        return self.records.record(capability.name, settled.walked.link.predictor.version)

    def _accepted(self, code: Code) -> list[str]:
        if code is Code.UNKNOWN_SYMBOL:
            known = self.market.symbols()
            return [*known[:20], *(["get_server_status lists the others"] if len(known) > 20 else [])]
        return ["a later as_of, or none for now"]

    async def _write_down(self, entries: Sequence[Entry]) -> None:
        """Advice is queued for the next group; a veto is on disk before it is said."""
        if not entries:
            return
        urgent = any(one.use == Use.VETO for one in entries)
        try:
            written = self.book.record(entries, urgent=urgent)
            if urgent:
                await asyncio.wrap_future(written)
        except LedgerFull as full:
            raise Refused(Code.OVERLOADED, "predictions cannot be written down fast enough", retryable=True) from full
        except LedgerNotDurable as lost:
            raise Refused(Code.NOT_DURABLE, "the decision could not be put on disk", retryable=True) from lost
