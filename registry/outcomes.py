"""What came true of what was said: which predictions wait for their truth, and the outcomes once it is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.dialects.sqlite import insert

from ml.capability import Truth
from registry import counts
from registry.counts import Counted
from registry.entry import Entry, kept
from registry.store import Store
from registry.tables import outcomes, predictions

ABSTAIN = "abstain"
_OF_PREDICTION = and_(
    outcomes.c.tenant == predictions.c.tenant, outcomes.c.prediction_id == predictions.c.prediction_id
)
#: Entries that are read or written in one go: they carry whole rows and replies.
GROUP = 1_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a walk through the predictions of a series stands: they are ordered by `as_of` (ms), then by id."""

    as_of: int
    prediction_id: str = ""


#: Before every prediction.
START = Place(-(2**63))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A prediction without an outcome. `question` is JSON; instants are ms."""

    prediction_id: str
    capability: str
    question: str
    as_of: int
    data_through: int

    @property
    def place(self) -> Place:
        return Place(self.as_of, self.prediction_id)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came true, and what the answer lost by it. `truth` is None where it can never be known, `loss` where it
    could not be computed; `note` then says why."""

    prediction_id: str
    truth: Truth | None
    loss: float | None
    note: str | None


#: Sums that change with the outcomes of these ids, all new.
Count = Callable[[frozenset[str]], Counted]


class Outcomes:
    """Outcomes of one tenant, and the sums of the track record that are made of them. The first outcome that is written
    for a prediction stands. `code` is the version of the code that sums."""

    def __init__(self, store: Store, tenant: str, code: str = "") -> None:
        self._store = store
        self._tenant = tenant
        self._code = code

    def waiting(self, symbol: str, timeframe: str, after: Place, through: int, most: int) -> list[Waiting]:
        """Answers of a series behind `after`, as of `through` (ms) at the latest, that have no outcome yet; at most
        `most`, in order. Abstentions say nothing that could come true, and are never among them."""
        settled = select(outcomes.c.prediction_id).where(_OF_PREDICTION)
        wanted = (
            select(
                predictions.c.prediction_id,
                predictions.c.capability,
                predictions.c.question,
                predictions.c.as_of,
                predictions.c.data_through,
            )
            .where(
                *self._series(symbol, timeframe, after),
                predictions.c.as_of <= through,
                predictions.c.source != ABSTAIN,
                ~settled.exists(),
            )
            .order_by(predictions.c.as_of, predictions.c.prediction_id)
            .limit(most)
        )
        with self._store.read() as connection:
            return [Waiting(*row) for row in connection.execute(wanted)]

    def settled(self, symbol: str, timeframe: str, after: Place, most: int = GROUP) -> list[tuple[Entry, Truth]]:
        """Answers of a series behind `after` whose truth is known, with it; at most `most`, in order."""
        wanted = (
            kept(outcomes.c.truth)
            .join(outcomes, _OF_PREDICTION)
            .where(*self._series(symbol, timeframe, after), outcomes.c.truth.is_not(None))
            .order_by(predictions.c.as_of, predictions.c.prediction_id)
            .limit(most)
        )
        with self._store.read() as connection:
            return [(Entry.of(row), json.loads(row.truth)) for row in connection.execute(wanted)]

    def entries(self, prediction_ids: Sequence[str]) -> dict[str, Entry]:
        """Whole entries by id; what is not on disk is absent."""
        wanted = kept().where(predictions.c.tenant == self._tenant, predictions.c.prediction_id.in_(prediction_ids))
        with self._store.read() as connection:
            return {row.prediction_id: Entry.of(row) for row in connection.execute(wanted)}

    def write(self, found: Sequence[Outcome], at: int, count: Count | None = None) -> frozenset[str]:
        """Writes outcomes, on disk when this returns, with the sums that `count` makes of those that are new. Ids that
        had one already keep it; those that are new come back. Where it raises, nothing was written."""
        if not found:
            return frozenset()
        ids = [one.prediction_id for one in found]
        had = select(outcomes.c.prediction_id).where(
            outcomes.c.tenant == self._tenant, outcomes.c.prediction_id.in_(ids)
        )
        with self._store.write() as connection:
            new = frozenset(ids) - set(connection.execute(had).scalars())
            rows = [self._row(one, at) for one in found if one.prediction_id in new]
            if rows:
                connection.execute(insert(outcomes).on_conflict_do_nothing(), rows)
                if count is not None:
                    counts.write(connection, self._tenant, count(new))
        return new

    def counted(self) -> Counted | None:
        """The sums as they are kept; None where they have to be made anew. Some ms per thousand."""
        with self._store.read() as connection:
            return counts.read(connection, self._tenant, self._code)

    def recounted(self, every: Counted) -> None:
        """Keeps these sums, made of all outcomes, in the place of those before; on disk when this returns."""
        with self._store.write() as connection:
            counts.replace(connection, self._tenant, self._code, every)

    def find(self, prediction_id: str) -> Outcome | None:
        """The outcome of a prediction, or None while there is none."""
        wanted = select(outcomes).where(outcomes.c.tenant == self._tenant, outcomes.c.prediction_id == prediction_id)
        with self._store.read() as connection:
            row = connection.execute(wanted).first()
        if row is None:
            return None
        return Outcome(prediction_id, None if row.truth is None else json.loads(row.truth), row.loss, row.note)

    def _series(self, symbol: str, timeframe: str, after: Place) -> tuple[ColumnElement[bool], ...]:
        at, name = predictions.c.as_of, predictions.c.prediction_id
        return (
            predictions.c.tenant == self._tenant,
            predictions.c.symbol == symbol,
            predictions.c.timeframe == timeframe,
            at >= after.as_of,  # said once more, for the index
            or_(at > after.as_of, and_(at == after.as_of, name > after.prediction_id)),
        )

    def _row(self, one: Outcome, at: int) -> dict[str, object]:
        return {
            "tenant": self._tenant,
            "prediction_id": one.prediction_id,
            "truth": None if one.truth is None else json.dumps(one.truth, allow_nan=False),
            "loss": one.loss,
            "note": one.note,
            "settled_at": at,
        }
