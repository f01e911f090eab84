"""The chain of predictors: the champion first, the rules last, each passed over, with a reason, if it cannot answer."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, TypeAlias

import numpy as np

from ml.capability import Answer, AnyCapability, CannotAnswer, Given, Outcome, Predictor, Rows, Term, Why
from tools.breaker import Breaker
from tools.reply import Source
from tools.threads import AllStuck, Crowded, Threads

log = logging.getLogger(__name__)

_NOT_AN_ANSWER = CannotAnswer(Why.FAILED, "what it said is no answer")


@dataclass(frozen=True, slots=True)
class Absent:
    """Stands where a model would, and says why that one is not asked: known before any question is."""

    version: int
    why: CannotAnswer

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        return {}

    def predict(self, rows: Rows, *, reasons: bool = True) -> Sequence[CannotAnswer]:  # noqa: ARG002 - it has but one
        return [self.why] * len(rows)

    def explain(self, rows: Rows) -> Sequence[tuple[Term, ...]]:
        return [()] * len(rows)


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A predictor that is not asked for reasons."""

    of: Predictor[Any]

    @property
    def version(self) -> int:
        return self.of.version

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        return self.of.ranges

    def predict(self, rows: Rows, *, reasons: bool = False) -> Sequence[Outcome[Any]]:
        return self.of.predict(rows, reasons=reasons)

    def explain(self, rows: Rows) -> Sequence[tuple[Term, ...]]:
        return self.of.explain(rows)


@dataclass(frozen=True, slots=True)
class Earned:
    """The strata of questions for which a version is in force; `of` names that of each row."""

    names: frozenset[str]
    of: Callable[[Rows], Sequence[str]]

    def elsewhere(self, rows: Rows) -> dict[int, CannotAnswer]:
        """Rows of other strata, by position, and what is said of them."""
        strata = self.of(rows)
        why = Why.NOT_MEASURED
        told = {
            one: CannotAnswer(why, f"not shown to be better than the rules on {one}")
            for one in set(strata) - self.names
        }
        return {i: told[one] for i, one in enumerate(strata) if one in told}


@dataclass(frozen=True, slots=True)
class Link:
    """One predictor of a chain under the name that replies show, `volatility@3`. A model has a breaker and threads of
    its own, and may be in force for what it has `earned` alone; the rules need none of it."""

    name: str
    predictor: Predictor[Any]
    breaker: Breaker | None = None
    threads: Threads | None = None
    earned: Earned | None = None

    @property
    def source(self) -> Source:
        return Source.RULES if self.predictor.version == 0 else Source.MODEL

    @property
    def absent(self) -> CannotAnswer | None:
        """Why it is not even asked, or None."""
        return self.predictor.why if isinstance(self.predictor, Absent) else None

    @property
    def key(self) -> tuple[str, CannotAnswer | None, frozenset[str] | None]:
        """All of a link that an answer depends on."""
        return self.name, self.absent, self.earned.names if self.earned else None


#: How a model is run: at once (replay), or in a thread with a deadline (live). Rules always run at once.
Run: TypeAlias = Callable[[Link, Rows], Awaitable[Sequence[Outcome[Any]]]]


class Chains(Protocol):
    """Who is asked, in which order. Never empty: the rules are always last."""

    def chain(self, capability: str, as_of: int) -> Sequence[Link]:
        """The chain of `capability` in force at `as_of` (ms)."""


def unexplained(chain: Sequence[Link]) -> tuple[Link, ...]:
    """The same chain, whose answers are wanted without reasons."""
    return tuple(link if link.absent else replace(link, predictor=Unexplained(link.predictor)) for link in chain)


class RulesAlone:
    """Chains of a house that has no models: version 0 of every capability."""

    def __init__(self, capabilities: Iterable[AnyCapability]) -> None:
        self._chains = {one.name: (Link(f"{one.name}@0", one.rules),) for one in capabilities}

    def chain(self, capability: str, as_of: int) -> Sequence[Link]:  # noqa: ARG002 - the rules were always in force
        return self._chains[capability]


@dataclass(frozen=True, slots=True)
class Apart:
    """The same chains for a replay beside a live server: what fails there opens no breaker here."""

    live: Chains

    def chain(self, capability: str, as_of: int) -> Sequence[Link]:
        """The chain in force at `as_of` (ms)."""
        return [replace(link, breaker=None) for link in self.live.chain(capability, as_of)]


@dataclass(frozen=True, slots=True)
class Walked:
    """What the chain said to one row, who said it, and who was passed over. `passing`: somebody was, for a reason that
    may be gone a moment later (a crash, a deadline, a breaker), so the outcome should not be remembered for long."""

    outcome: Outcome[Answer]
    link: Link
    passed_over: tuple[str, ...]
    passing: bool = False


@dataclass(slots=True)
class _Open:
    passed_over: list[str] = field(default_factory=list)
    outcome: Outcome[Answer] | None = None
    link: Link | None = None
    passing: bool = False


async def walk(chain: Sequence[Link], rows: Rows, run: Run) -> list[Walked]:
    """One `Walked` per row. A model that crashes, hangs, abstains or is out of its range is passed over; a crash of the
    rules, the last link, is a fault and is raised."""
    states = [_Open(outcome=cannot, link=chain[-1] if cannot else None) for cannot in rows.cannot]
    for link in chain:
        last = link is chain[-1]
        asked = [i for i, state in enumerate(states) if state.outcome is None]
        outside = _not_for_it(link, rows, asked)
        for i, cannot in outside.items():
            _take(states[i], link, cannot, last)
        inside = [i for i in asked if i not in outside]
        if inside:
            said = await _ask(link, rows if len(inside) == len(rows) else rows.pick(inside), run, last)
            for i, outcome in zip(inside, said, strict=True):
                _take(states[i], link, outcome, last)
    return [_closed(state) for state in states]


def at_once() -> Run:
    """Runs every predictor where it is called: no deadline, for replay and tests."""

    async def run(link: Link, rows: Rows) -> Sequence[Outcome[Any]]:
        return link.predictor.predict(rows)

    return run


def within(deadline_seconds: float) -> Run:
    """Runs models in threads and gives up on one after `deadline_seconds`."""
    shared = Threads()

    async def run(link: Link, rows: Rows) -> Sequence[Outcome[Any]]:
        return await (link.threads or shared).run(partial(link.predictor.predict, rows), deadline_seconds)

    return run


async def _ask(link: Link, rows: Rows, run: Run, last: bool) -> Sequence[Outcome[Answer]]:
    if last or link.absent:
        return link.predictor.predict(rows)
    turn = link.breaker.admit() if link.breaker else 0
    if turn is None:
        opened = link.breaker.opens_after if link.breaker else 0
        return [CannotAnswer(Why.FAILED, f"breaker open after {opened} failures")] * len(rows)
    said = await _tried(link, rows, run)
    if isinstance(said, Crowded):
        return [CannotAnswer(Why.TOO_SLOW, "no thread came free within the deadline")] * len(rows)
    failed = isinstance(said, CannotAnswer) or any(one is _NOT_AN_ANSWER for one in said)
    if link.breaker:
        (link.breaker.failed if failed else link.breaker.succeeded)(turn)
    return [said] * len(rows) if isinstance(said, CannotAnswer) else said


async def _tried(link: Link, rows: Rows, run: Run) -> Sequence[Outcome[Answer]] | CannotAnswer | Crowded:
    """Its outcomes, or how it failed, or that it never came to be asked."""
    try:
        said = [_sound(one) for one in await run(link, rows)]
        if len(said) != len(rows):
            raise ValueError(f"{len(said)} outcomes for {len(rows)} rows")  # noqa: TRY301 - as any crash of its own
    except Crowded as crowded:
        log.warning("%s was not asked: %s", link.name, crowded)
        return crowded
    except AllStuck as stuck:
        return CannotAnswer(Why.TOO_SLOW, str(stuck))
    except TimeoutError:
        log.warning("%s was too slow and is passed over", link.name)
        return CannotAnswer(Why.TOO_SLOW, "it did not answer within the deadline")
    except Exception:  # the one place that catches the crash of a model, never of the rules
        log.exception("%s crashed and is passed over", link.name)
        return CannotAnswer(Why.FAILED, "it failed")
    if any(one is _NOT_AN_ANSWER for one in said):
        log.error("%s said what is no answer (NaN, or no reason) and is passed over", link.name)
    return said


def _sound(outcome: Outcome[Answer]) -> Outcome[Answer]:
    """The outcome, unless a number in it is not finite, its confidence no probability, or there is no reason."""
    if isinstance(outcome, CannotAnswer):
        return outcome
    numbers = all(math.isfinite(value) for _, value in outcome.answer if type(value) is float)
    sure = outcome.confidence is None or 0.0 <= outcome.confidence <= 1.0
    return outcome if numbers and sure and outcome.reasons else _NOT_AN_ANSWER


def _take(state: _Open, link: Link, outcome: Outcome[Answer], last: bool) -> None:
    if isinstance(outcome, Given) or last:
        state.outcome, state.link = outcome, link
    else:
        state.passed_over.append(f"{link.name}: {outcome.text}")
        state.passing |= link.absent is None and outcome.why in (Why.FAILED, Why.TOO_SLOW)


def _not_for_it(link: Link, rows: Rows, asked: Sequence[int]) -> dict[int, CannotAnswer]:
    """Rows of what it has not earned, and those out of its range."""
    found = link.earned.elsewhere(rows) if link.earned and not link.absent else {}
    for name, (low, high) in link.predictor.ranges.items():
        column = rows.column(name)
        # NaN is neither below nor above: missing features are the predictor's to judge.
        for i in np.flatnonzero((column < low) | (column > high)):
            text = f"{name} is {column[i]:.4g}, measured range {low:.4g} to {high:.4g}"
            found.setdefault(int(i), CannotAnswer(Why.OUT_OF_RANGE, text))
    return {i: found[i] for i in asked if i in found}


def _closed(state: _Open) -> Walked:
    if state.outcome is None or state.link is None:
        raise AssertionError("the rules take every row that is left")
    return Walked(state.outcome, state.link, tuple(state.passed_over), state.passing)
