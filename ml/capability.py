"""The vocabulary: what a capability is, what it is asked, and what it may answer.

A capability is one question that an agent may ask and all it takes to answer and judge it. The rules are version 0 of
its model: a rule set and a trained model are the same kind of thing, a `Predictor`, pure and batch-first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ml.bars import Floats, Instants, Timeframe
from ml.observed import Kind
from ml.symbol import SYMBOL_PATTERN as SYMBOL_PATTERN
from ml.symbol import Symbol as Symbol
from ml.timeline import Market

if TYPE_CHECKING:
    from ml.background import Background
    from ml.learning import Learner


class Use(StrEnum):
    """What the caller will do with the answer.

    `advice` fails open: the best available answer, labelled. `veto` fails closed: unknown, stale or out of range means
    "do not trade", with the reason, and the decision is on disk before the reply."""

    ADVICE = "advice"
    VETO = "veto"


class Question(BaseModel):
    """What every question carries. Capabilities add their own fields; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    symbol: Symbol = Field(description="E.g. BTCUSDT; get_server_status lists them.")
    timeframe: Timeframe = Field(
        default=Timeframe.H1, description="Bars to read; measured on 1h and 1d, others abstain."
    )
    as_of: AwareDatetime | None = Field(
        default=None,
        description="Answer with what was known then, with zone.",
    )
    use: Use = Field(
        default=Use.ADVICE,
        description="veto: do_not_trade where unknown, stale or out of range.",
    )


class Answer(BaseModel):
    """Base of what a capability answers: finite numbers and plain words, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Why(StrEnum):
    """Why an answer was refused by somebody who could be asked."""

    TOO_LITTLE_HISTORY = "too_little_history"
    BEFORE_HISTORY = "as_of_before_history"
    UNKNOWN_SYMBOL = "unknown_symbol"
    DATA_TOO_OLD = "data_too_old"
    GAP_IN_DATA = "gap_in_data"
    NOT_MEASURED = "not_measured"
    OUT_OF_RANGE = "out_of_range"
    MISSING_FEATURE = "missing_feature"
    FAILED = "predictor_failed"
    TOO_SLOW = "predictor_too_slow"


@dataclass(frozen=True, slots=True)
class CannotAnswer:
    """An abstention: expected, part of the reply, never a guess. `text` says what is missing, with its number."""

    why: Why
    text: str


Q = TypeVar("Q", bound=Question)
A = TypeVar("A", bound=Answer)
A_co = TypeVar("A_co", bound=Answer, covariant=True)
T = TypeVar("T", float, str)


@dataclass(frozen=True, slots=True)
class Given(Generic[A_co]):
    """An answer that was given. `confidence` is calibrated and in [0, 1], or None with a `confidence_note` that says
    why. `reasons` are short sentences with their numbers, strongest first, at least one."""

    answer: A_co
    confidence: float | None
    confidence_note: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Term:
    """One term of an explanation: a named number of the row and what it did to the answer.

    `effect` is in the unit that the predictor's docstring names (log variance, logit, ...), signed; None where the term
    is a condition rather than a summand.
    """

    name: str
    value: float
    unit: str
    effect: float | None
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Feature rows, one per question: all that a predictor may look at.

    `values` has shape (n, len(names)), float64, NaN where a feature is missing. `as_of` and `data_through` (close of
    the newest bar used; 0 where there is none) are int64 ms, shape (n,). Where `cannot[i]` is not None, nobody is
    asked.
    """

    names: tuple[str, ...]
    values: Floats
    questions: tuple[Question, ...]
    as_of: Instants
    data_through: Instants
    cannot: tuple[CannotAnswer | None, ...]

    def __len__(self) -> int:
        return len(self.questions)

    def column(self, name: str) -> Floats:
        """One feature of all rows, shape (n,). KeyError names a feature that the rows do not have."""
        try:
            return np.ascontiguousarray(self.values[:, self.names.index(name)])
        except ValueError:
            raise KeyError(name) from None

    def columns(self, names: tuple[str, ...]) -> Floats:
        """Several features of all rows, shape (n, len(names)). KeyError names one that the rows do not have."""
        return self.values[:, _places(self.names, names)]

    def pick(self, positions: Sequence[int]) -> Rows:
        """The rows at `positions`, in that order."""
        at = np.asarray(positions, dtype=np.int64)
        return Rows(
            self.names,
            self.values[at],
            tuple(self.questions[i] for i in positions),
            self.as_of[at],
            self.data_through[at],
            tuple(self.cannot[i] for i in positions),
        )


@lru_cache(maxsize=64)
def _places(names: tuple[str, ...], wanted: tuple[str, ...]) -> NDArray[np.int64]:
    places = {name: place for place, name in enumerate(names)}
    return np.asarray([places[name] for name in wanted])


Outcome: TypeAlias = Given[A] | CannotAnswer
#: The reasons of an answer that nobody wanted to have explained.
NOT_ASKED_FOR: tuple[str, ...] = ("reasons were not asked for",)


class Predictor(Protocol[A_co]):
    """Rules or a model. Pure: the same row gives the same answer, in a batch or alone, today or in a year."""

    @property
    def version(self) -> int:
        """0 for the rules; immutable, counted per capability."""

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Closed interval of each feature within which this predictor was measured. Outside it is passed over."""

    def predict(self, rows: Rows, *, reasons: bool = True) -> Sequence[Given[A_co] | CannotAnswer]:
        """One outcome per row. Not asked for reasons it says `NOT_ASKED_FOR`, and for the rest the same: to find them
        takes longer than to answer, and where answers are only judged nobody reads them."""

    def explain(self, rows: Rows) -> Sequence[tuple[Term, ...]]:
        """Per row the terms of the answer that `predict` gives on it, strongest first."""


#: What came true: a number, or a label.
Truth: TypeAlias = float | str


class Features(Protocol):
    """Questions and a point-in-time market in, rows out; many at a time."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def rows(self, questions: Sequence[Question], as_of: Instants, market: Market) -> Rows:
        """Rows of `questions`, as of `as_of` (int64 ms, shape (n,); it stands for the question's own `as_of`)."""


@dataclass(frozen=True, slots=True)
class Goals:
    """What the gate asks of a model beside a smaller loss. `calibration`: the closed interval in which each figure must
    lie: `ece` (of `label` and `confidence`), `coverage_80` (of q10 .. q90), `coverage_90` (of q05 .. q95). A loss below
    `least_ratio` times that of the rules is too good to be true: a leak."""

    calibration: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    least_ratio: float = 0.5


def by_question(rows: Rows) -> Sequence[str]:
    """Strata by what is asked: for each row its horizon and its timeframe, "24h, 1h bars"."""
    return [_asked(getattr(one, "horizon", None), one.timeframe) for one in rows.questions]


def until_next_bar(question: Question) -> int:
    """For `Capability.valid_ms`: an answer may be used until the next bar has closed."""
    return question.timeframe.milliseconds


@lru_cache(maxsize=256)
def _asked(horizon: object, timeframe: str) -> str:
    return f"{timeframe} bars" if horizon is None else f"{horizon}, {timeframe} bars"


@dataclass(frozen=True, slots=True)
class Capability(Generic[Q, A, T]):
    """One question that an agent may ask, and all it takes to answer and judge it.

    `name` names the registry entry, the jobs, the prompt (`prompts/{name}.md`) and the docs page
    (`docs/{name}.md`); `tool` names the MCP tool and the HTTP route.
    """

    name: str
    tool: str
    title: str
    description: str
    """What it answers, when to ask, when not to, units and limits; 3-4 sentences, at most 1,024 characters."""
    question: type[Q]
    answer: type[A]
    timeframes: frozenset[Timeframe]
    """Where the rules were measured. Elsewhere the capability abstains."""
    features: Features
    rules: Predictor[A]
    horizon_ms: Callable[[Q], int]
    """How long after `as_of` the truth is known, in milliseconds."""
    valid_ms: Callable[[Q], int]
    """How long after `data_through` an answer may be used: usually until the next bar has closed."""
    truth: Callable[[Sequence[Q], Instants, Market], Sequence[T | None]]
    """What came true for questions asked as of the given instants (int64 ms, shape (n,)), or None while it is not
    known or cannot be (a gap inside the window)."""
    truth_kind: type[T]
    """float for a number, str for a label."""
    loss: Callable[[A, T], float]
    """A proper score; smaller is better."""
    certain: Callable[[T], A]
    """The answer of somebody who knew the truth: nobody's loss is smaller."""
    say: Callable[[Q, A], str]
    """The answer in one line that is enough on its own, with units."""
    examples: tuple[Q, ...]
    replayed: Callable[[str, Timeframe], tuple[Q, ...]]
    """What a replay asks for a symbol on a timeframe at each step: one question per horizon."""
    observes: Mapping[Kind, int] = field(default_factory=dict)
    """The kinds of observation that its features read, each with the age in milliseconds beyond which the newest record
    counts for nothing. The road remembers an answer by what was known of these, and by nothing else."""
    learner: Learner[A] | None = None
    """How it learns; None where only the rules answer."""
    goals: Goals = field(default_factory=Goals)
    """What a model must hold to be served."""
    strata: Callable[[Rows], Sequence[str]] = field(default=by_question)
    """The kind of question of each row. A model is judged on each kind apart, and answers those that it has earned
    (`ml.strata` tells markets that close from others). Names are read by people."""
    figures: Mapping[str, Callable[[A, T], float | None]] = field(default_factory=dict)
    """Figures of calibration of its own, beside those of `Goals`: each the mean of what this tells of an answer that
    has met its truth, None where it tells nothing. A name in `goals.calibration` holds it to an interval."""
    practice: Callable[[Market], Market] | None = None
    """Where nobody tells what came true often enough to learn from: the market in which it is learnt and judged along
    history instead, the same with made truths in it, which `truth` reads from there and which are known at once. None:
    the market itself."""
    background: Callable[[Market, Sequence[tuple[str, Timeframe]], int, int], Background] | None = None
    """What a learner must know of the market as it was, beside its lessons: of the bars of these series that close in
    [start, end) (ms)."""
    beside: Mapping[Timeframe, int] = field(default_factory=dict)
    """Longer timeframes on which a model answers that learnt from the finest: their lessons are taken beside, where
    they are fed, each so many bars apart."""
    scale_free: bool = field(default=True)
    """Whether prices times a constant must give the same answer."""
    money: frozenset[str] = field(default=frozenset())
    """Fields of the answer that are amounts in quote currency. Prices times a constant multiply them by it, where all
    else must stay as it is."""


#: A capability whatever it asks and answers, for what treats all of them alike.
AnyCapability: TypeAlias = Capability[Any, Any, Any]
