"""The laws: what every capability of the catalogue must obey, rules and models alike.

Each law is a function of a capability, a predictor of it, and a market that it may read. It raises `LawBroken` with the
numbers. A new capability obeys them without a line of test code of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ml.bars import MINUTE_MS, Bars, Floats, Timeframe
from ml.capability import NOT_ASKED_FOR, Answer, AnyCapability, CannotAnswer, Given, Outcome, Predictor, Question, Rows
from ml.economic_calendar import EconomicCalendar
from ml.observed import BOOK_LEVELS, FIELDS, Kind, Observed
from ml.timeline import StillMarket, Timeline

#: Instants that a law asks about, spread over the second half of the bars.
ASKED = 12
#: Prices are quoted in a unit of money that is this much smaller, to see what changes.
UNIT = 10.0


class LawBroken(AssertionError):  # noqa: N818 - what it says
    """A capability breaks a law; the message says which row, and by how much."""


@dataclass(frozen=True, slots=True)
class Case:
    """Who stands before the law: a predictor of a capability, and the market it is asked about."""

    capability: AnyCapability
    predictor: Predictor[Answer]
    bars: Bars


@dataclass(frozen=True, slots=True)
class Law:
    """One law by its name."""

    name: str
    check: Callable[[Case], None]


def bars_for_laws(random: np.random.Generator, timeframe: Timeframe, n: int, symbol: str = "LAW") -> Bars:
    """A lively market to hold the laws in: volatility that comes and goes, some trend, no gaps."""
    swing = np.exp(0.7 * np.sin(np.arange(n) / 97.0) + 0.3 * random.standard_normal(n))
    steps = 0.004 * swing * random.standard_normal(n) + 0.0006 * np.sin(np.arange(n) / 61.0)
    close = 100.0 * np.exp(np.cumsum(steps))
    open_ = np.concatenate([[100.0], close[:-1]])
    reach = 0.002 * swing * np.abs(random.standard_normal((2, n)))
    high = np.maximum(open_, close) * np.exp(reach[0])
    low = np.minimum(open_, close) * np.exp(-reach[1])
    open_at = np.arange(n, dtype=np.int64) * timeframe.milliseconds + 1_600_041_600_000  # a Monday
    return Bars(symbol, timeframe, open_at, open_, high, low, close, 1_000.0 * swing)


def observed_for_laws(bars: Bars, kind: Kind) -> Observed:
    """One observation a minute before each close and one a minute after, each received ten seconds later."""
    at = np.sort(np.concatenate([bars.close_at - MINUTE_MS, bars.close_at + MINUTE_MS]))
    wave = np.sin(np.arange(len(at)) / 13.0)
    values = np.empty((len(at), len(FIELDS[kind])))
    if kind is Kind.BOOK:
        mid, step = np.repeat(bars.close, 2), 1e-4 * (2.0 + wave)
        for level in range(BOOK_LEVELS):
            away = mid * step * (1 + level)
            values[:, 4 * level : 4 * level + 4] = np.column_stack([mid - away, 5.0 + wave, mid + away, 5.0 - wave])
    else:
        values[:] = (1e-4 * wave if kind is Kind.FUNDING else 1e6 * (2.0 + wave))[:, None]
    return Observed(kind, bars.symbol, at, at + 10_000, values)


def pure(case: Case) -> None:
    """The same row gives the same answer."""
    rows = _rows(case)
    _same(case.predictor.predict(rows), case.predictor.predict(rows), "asked twice")


def batch_is_single(case: Case) -> None:
    """A row's answer does not depend on the rows beside it."""
    rows = _rows(case)
    alone = [case.predictor.predict(rows.pick([i]))[0] for i in range(len(rows))]
    _same(case.predictor.predict(rows), alone, "alone and in a batch")


def reasons_change_nothing(case: Case) -> None:
    """Not asked for reasons, it answers the same."""
    rows = _rows(case)
    explained = case.predictor.predict(rows)
    bare = [replace(one, reasons=NOT_ASKED_FOR) if isinstance(one, Given) else one for one in explained]
    _same(case.predictor.predict(rows, reasons=False), bare, "with reasons and without")


def blind_to_the_future(case: Case) -> None:
    """Bars after `as_of` change nothing: recomputed on truncated history, rows are equal bit for bit."""
    asked, rows = _asked(case), _rows(case)
    for i, (question, as_of) in enumerate(asked):
        past = StillMarket.of(case.bars.between(0, _known(case.bars, as_of)))
        cut = case.capability.features.rows([question], np.array([as_of]), past)
        _equal(rows.values[i], cut.values[0], rows.names, "with and without the bars after as_of")


def blind_to_what_comes(case: Case) -> None:
    """A future that is turned upside down changes nothing."""
    (question, as_of), rows = _asked(case)[0], _rows(case)
    known = _known(case.bars, as_of)
    other = case.bars.between(0, known).followed_by(case.bars.between(known, len(case.bars)).scaled(3.0))
    again = case.capability.features.rows([question], np.array([as_of]), StillMarket.of(other))
    _equal(rows.values[0], again.values[0], rows.names, "with another future")


def blind_to_observations_to_come(case: Case) -> None:
    """Of what is observed beside bars it reads the kinds that it declares, and what was known at `as_of`."""
    fed = {kind: observed_for_laws(case.bars, kind) for kind in case.capability.observes}
    asked = _asked(case)
    instants = np.array([at for _, at in asked], dtype=np.int64)
    whole = _Declared(StillMarket.of(case.bars, observed=tuple(fed.values())), frozenset(fed))
    rows = case.capability.features.rows([question for question, _ in asked], instants, whole)
    for i, (question, as_of) in enumerate(asked):
        past = StillMarket.of(case.bars, observed=tuple(_until(one, as_of) for one in fed.values()))
        cut = case.capability.features.rows([question], np.array([as_of]), past)
        _equal(rows.values[i], cut.values[0], rows.names, "with and without what is observed after as_of")


def tail_is_full(case: Case) -> None:
    """The row of one question (from a tail) equals its row among many (from full history), bit for bit."""
    asked, many = _asked(case, every=1), _rows(case, every=1)
    for i in range(0, len(many), max(len(many) // ASKED, 1)):
        question, as_of = asked[i]
        single = case.capability.features.rows([question], np.array([as_of]), StillMarket.of(case.bars))
        _equal(many.values[i], single.values[0], many.names, "from a tail and from full history")


def beside_others_is_alone(case: Case) -> None:
    """Series that are asked about together, with gaps and holes and short pasts, have the rows that each has alone."""
    for series in (_others(case.bars), _young(case.bars)):
        _beside_is_alone(case, StillMarket.of(*series))


def _beside_is_alone(case: Case, market: StillMarket) -> None:
    asked = [q for symbol, _ in market.timelines for q in case.capability.replayed(symbol, case.bars.timeframe)]
    as_of = np.full(len(asked), case.bars.close_at[-1])
    together = case.capability.features.rows(asked, as_of, market)
    for i, question in enumerate(asked):
        alone = case.capability.features.rows([question], as_of[:1], market)
        _equal(together.values[i], alone.values[0], together.names, f"beside others and alone ({question.symbol})")


def free_of_scale(case: Case) -> None:
    """Prices in another unit of money give the same answer, where the capability says so; amounts of money in it are
    in the other unit too."""
    if not case.capability.scale_free:
        return
    said = case.predictor.predict(_rows(case))
    scaled = case.predictor.predict(_rows(replace(case, bars=case.bars.scaled(UNIT))))
    for one, other in zip(said, scaled, strict=True):
        if isinstance(one, Given) != isinstance(other, Given):
            raise LawBroken("prices times ten turn an answer into an abstention")
        if isinstance(one, Given) and isinstance(other, Given):
            _close(one.answer, other.answer, case.capability.money)


def sound_or_silent(case: Case) -> None:
    """On broken, missing and degenerate input it answers with finite numbers or abstains; it never raises."""
    for spoilt in _spoilt(case.bars):
        for outcome in case.predictor.predict(_rows(replace(case, bars=spoilt))):
            _sound(outcome)
    rows = _rows(case)
    for value in (np.nan, np.inf, -np.inf):
        for column in range(len(rows.names)):
            values = rows.values.copy()
            values[:, column] = value
            for outcome in case.predictor.predict(replace(rows, values=values)):
                _sound(outcome)


def says_why(case: Case) -> None:
    """Every answer has a reason, a sentence and terms; its confidence is a probability, or null with a note."""
    rows = _rows(case)
    for question, outcome, terms in zip(
        rows.questions, case.predictor.predict(rows), case.predictor.explain(rows), strict=True
    ):
        _sound(outcome)
        if isinstance(outcome, Given):
            if not outcome.reasons or not terms or not case.capability.say(question, outcome.answer):
                raise LawBroken("an answer without a reason, a term or a sentence")
            if outcome.confidence is None and not outcome.confidence_note:
                raise LawBroken("no confidence, and no word why")


def answers_something(case: Case) -> None:
    """On an ordinary market most questions are answered: a law that nobody speaks under proves nothing."""
    said = case.predictor.predict(_rows(case))
    if sum(isinstance(outcome, Given) for outcome in said) < 0.9 * len(said):
        first = next(outcome for outcome in said if isinstance(outcome, CannotAnswer))
        raise LawBroken(f"too many abstentions on an ordinary market: {first.text}")


def truth_beats_rules(case: Case) -> None:
    """Somebody who knew the truth would lose no more than anybody else: the loss is worth minimising."""
    rows = _rows(case)
    truths = case.capability.truth(rows.questions, rows.as_of, StillMarket.of(case.bars))
    pairs = [
        (outcome.answer, truth)
        for outcome, truth in zip(case.predictor.predict(rows), truths, strict=True)
        if isinstance(outcome, Given) and truth is not None
    ]
    if not pairs:
        raise LawBroken("no answer met its truth")
    for answer, truth in pairs:
        if case.capability.loss(case.capability.certain(truth), truth) > case.capability.loss(answer, truth) + 1e-12:
            raise LawBroken(f"the truth {truth} loses more than {answer}")


def truth_has_closed(case: Case) -> None:
    """A truth is told only once its horizon has passed."""
    for question, as_of in _asked(case):
        known = int(np.searchsorted(case.bars.close_at, as_of + case.capability.horizon_ms(question), side="left"))
        early = case.capability.truth([question], np.array([as_of]), StillMarket.of(case.bars.between(0, known)))
        if early[0] is not None:
            raise LawBroken("a truth is told before its horizon has passed")


def finds_what_is_made(case: Case) -> None:
    """Where the truth is made for practice, the answers there know it better than somebody who only knows how often
    each truth came."""
    capability, practice = case.capability, case.capability.practice
    if practice is None:
        return
    market, bars = practice(StillMarket.of(case.bars)), case.bars
    closes = bars.close_at[len(bars) // 2 :].tolist()
    asked = [(q, at) for q in capability.replayed(bars.symbol, bars.timeframe) for at in closes]
    instants = np.array([at for _, at in asked], dtype=np.int64)
    rows = capability.features.rows([question for question, _ in asked], instants, market)
    truths = capability.truth(rows.questions, instants, market)
    known = [i for i, truth in enumerate(truths) if truth is not None and rows.cannot[i] is None]
    said = dict(zip(known, case.predictor.predict(rows.pick(known)), strict=True))
    pairs = [(one.answer, truths[i]) for i, one in said.items() if isinstance(one, Given)]
    came = {truth: sum(one == truth for _, one in pairs) / len(pairs) for _, truth in pairs}
    if len(came) < 2:
        raise LawBroken("no truth was made to practise on")
    always = {
        guess: sum(share * capability.loss(capability.certain(guess), truth) for truth, share in came.items())
        for guess in came
    }
    guess, mine = min(always, key=always.__getitem__), sum(capability.loss(*pair) for pair in pairs) / len(pairs)
    if mine >= always[guess]:
        raise LawBroken(f"made truths are not found: a loss of {mine:.4f}, {always[guess]:.4f} by always {guess}")


LAWS: tuple[Law, ...] = tuple(
    Law(check.__name__, check)
    for check in (
        pure,
        batch_is_single,
        reasons_change_nothing,
        blind_to_the_future,
        blind_to_what_comes,
        blind_to_observations_to_come,
        tail_is_full,
        beside_others_is_alone,
        free_of_scale,
        sound_or_silent,
        says_why,
        answers_something,
        truth_beats_rules,
        truth_has_closed,
        finds_what_is_made,
    )
)


def _asked(case: Case, every: int | None = None) -> list[tuple[Question, int]]:
    """What a replay would ask, as of closes in the second half of the bars but for the last tenth."""
    bars = case.bars
    first, last = len(bars) // 2, len(bars) * 9 // 10
    step = every or max((last - first) // ASKED, 1)
    instants = bars.close_at[first : max(last, first + 1) : step].tolist()
    return [(q, at) for q in case.capability.replayed(bars.symbol, bars.timeframe) for at in instants]


def _rows(case: Case, every: int | None = None) -> Rows:
    asked = _asked(case, every)
    instants = np.array([at for _, at in asked], dtype=np.int64)
    return case.capability.features.rows([question for question, _ in asked], instants, StillMarket.of(case.bars))


@dataclass(frozen=True, slots=True)
class _Declared:
    """A market in which nobody may look at what was not declared."""

    real: StillMarket
    kinds: frozenset[Kind]

    def timeline(self, symbol: str, timeframe: Timeframe) -> Timeline | None:
        return self.real.timeline(symbol, timeframe)

    def panel(self, timeframe: Timeframe) -> Sequence[str]:
        return self.real.panel(timeframe)

    def observed(self, kind: Kind, symbol: str) -> Observed | None:
        if kind not in self.kinds:
            raise LawBroken(f"{kind} is read, and not declared in `observes`")
        return self.real.observed(kind, symbol)

    def calendar(self) -> EconomicCalendar:
        return self.real.calendar()


def _until(observed: Observed, as_of: int) -> Observed:
    known = int(observed.n_known(np.array([as_of]))[0])
    columns = observed.at[:known], observed.received_at[:known], observed.values[:known]
    return Observed(observed.kind, observed.symbol, *columns)


def _known(bars: Bars, as_of: int) -> int:
    return int(np.searchsorted(bars.close_at, as_of, side="right"))


def _others(bars: Bars) -> list[Bars]:
    """Other series that end with this one: some miss hours, some have begun late, some are spoilt."""
    here = np.arange(len(bars))
    kept = [here, here[(here % 168 < 120) | (here == here[-1])], here[here % 41 != 3], here[-700:], here[-1_900:]]
    names = ("open_at", "open", "high", "low", "close", "volume")
    cut = [Bars(bars.symbol, bars.timeframe, *(getattr(bars, name)[some] for name in names)) for some in kept]
    whole = [*cut, bars.scaled(0.1), *(one for one in _spoilt(bars) if len(one) == len(bars))]
    return [replace(one, symbol=f"{bars.symbol}{n}") for n, one in enumerate(whole)]


def _young(bars: Bars) -> list[Bars]:
    """Series that all began a short while ago, and together."""
    return [
        replace(bars.between(len(bars) - n, len(bars)), symbol=f"{bars.symbol}{n}{twin}")
        for n in (500, 800, 1_500, 1_700)
        for twin in "AB"
    ]


def _spoilt(bars: Bars) -> list[Bars]:
    flat = np.full(len(bars), 7.0)
    holes = bars.close.copy()
    holes[:: len(bars) // 50 or 1] = np.nan
    zeros = bars.low.copy()
    zeros[-len(bars) // 3 :] = 0.0
    wild = bars.high.copy()
    wild[-len(bars) // 3 :: 7] = np.inf
    return [
        replace(bars, open=flat, high=flat, low=flat, close=flat),
        replace(bars, close=holes),
        replace(bars, low=zeros),
        replace(bars, high=wild),
        replace(bars, volume=np.zeros(len(bars))),
        bars.between(0, 1),
        bars.between(0, 30),
    ]


def _sound(outcome: Outcome[Answer]) -> None:
    if isinstance(outcome, CannotAnswer):
        if not outcome.text:
            raise LawBroken("an abstention without a word")
        return
    numbers = [value for value in outcome.answer.model_dump().values() if isinstance(value, float)]
    if not all(math.isfinite(value) for value in numbers):
        raise LawBroken(f"a number is not finite: {outcome.answer}")
    if outcome.confidence is not None and not 0.0 <= outcome.confidence <= 1.0:
        raise LawBroken(f"confidence {outcome.confidence} is no probability")


def _same(one: Sequence[Outcome[Answer]], other: Sequence[Outcome[Answer]], how: str) -> None:
    for i, (first, second) in enumerate(zip(one, other, strict=True)):
        if first != second:
            raise LawBroken(f"row {i} differs {how}: {first} and {second}")


def _equal(one: Floats, other: Floats, names: tuple[str, ...], how: str) -> None:
    if one.tobytes() != other.tobytes():
        apart = [name for name, a, b in zip(names, one, other, strict=True) if a != b and not (a != a and b != b)]
        raise LawBroken(f"{', '.join(apart)} differ {how}")


def _close(one: Answer, other: Answer, money: frozenset[str]) -> None:
    for (name, first), (_, second) in zip(one.model_dump().items(), other.model_dump().items(), strict=True):
        expected = first * UNIT if name in money and isinstance(first, float) else first
        alike = (
            math.isclose(expected, second, rel_tol=1e-6, abs_tol=1e-12)
            if isinstance(expected, float) and isinstance(second, float)
            else expected == second
        )
        if not alike:
            raise LawBroken(f"{name} is {first}, and {second} with prices times ten")
