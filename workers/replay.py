"""Replay: history asked as the server would have been asked, with time as a parameter. Many answers at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from itertools import islice
from types import UnionType
from typing import Any, Protocol, Union, get_args, get_origin

import numpy as np
import pyarrow as pa

from ml.capability import AnyCapability, Question, Truth
from ml.timeline import Market
from workers.questions import Asked

#: Questions that are answered together: many enough to share the work on features, few enough to fit into memory.
BATCH = 5_000


class Answered(Protocol):
    """What the road says, as far as a replay looks."""

    @property
    def answer(self) -> Any: ...  # noqa: ANN401 - the answer model of the capability

    @property
    def answered_by(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def prediction_id(self) -> str: ...

    @property
    def abstained(self) -> Any: ...  # noqa: ANN401 - a type of tools, which workers do not know


#: The road, handed over by the composition root.
AskMany = Callable[[AnyCapability, Sequence[Question]], Awaitable[Sequence[Answered]]]


async def replayed(
    ask: AskMany, capability: AnyCapability, asked: Iterable[Asked], market: Market
) -> AsyncIterator[pa.Table]:
    """Tables of `schema`, one row per question, in order: who answered, the answer's fields, the truth and the loss
    where they are known, nulls where nobody answered (`why` then says why). Reads `asked` as it goes."""
    coming = iter(asked)
    form = schema(capability)
    while batch := list(islice(coming, BATCH)):
        yield pa.Table.from_pylist(await _rows(ask, capability, batch, market), schema=form)


def schema(capability: AnyCapability) -> pa.Schema:
    """The columns of `{capability}.parquet`."""
    text, number = pa.string(), pa.float64()
    return pa.schema(
        [
            ("symbol", text),
            ("as_of", pa.timestamp("ms", tz="UTC")),
            ("horizon", text),
            ("answered_by", text),
            ("source", text),
            ("prediction_id", text),
            *((name, _column(field.annotation)) for name, field in capability.answer.model_fields.items()),
            ("truth", _column(capability.truth_kind)),
            ("loss", number),
            ("why", text),
        ]
    )


def _column(kind: Any) -> pa.DataType:  # noqa: ANN401 - whatever a field is annotated with
    """The column of an answer's field: numbers, and lists of words, may be null; whatever else is told in words."""
    said = (
        [one for one in get_args(kind) if one is not type(None)] if get_origin(kind) in (Union, UnionType) else [kind]
    )
    if len(said) == 1:
        (one,) = said
        if get_origin(one) is tuple:
            return pa.list_(_column(get_args(one)[0]))
        return {float: pa.float64(), int: pa.int64(), bool: pa.bool_()}.get(one, pa.string())
    return pa.string()


async def _rows(
    ask: AskMany, capability: AnyCapability, batch: Sequence[Asked], market: Market
) -> list[dict[str, Any]]:
    rows = [_echo(one) for one in batch]
    can = [i for i, one in enumerate(batch) if one.question is not None]
    questions = [question for one in batch if (question := one.question) is not None]
    if questions:
        replies = await ask(capability, questions)
        instants = np.array([batch[i].as_of for i in can], dtype=np.int64)
        truths = capability.truth(questions, instants, market)
        for i, reply, truth in zip(can, replies, truths, strict=True):
            rows[i] |= _told(reply) | {"truth": truth, "loss": _loss(capability, reply.answer, truth)}
    return rows


def _echo(one: Asked) -> dict[str, Any]:
    echo = {"symbol": one.symbol, "as_of": one.as_of, "horizon": one.horizon}
    return echo if one.question is not None else {**echo, "source": "abstain", "why": one.wrong}


def _told(reply: Answered) -> dict[str, Any]:
    told = {"answered_by": reply.answered_by, "source": str(reply.source), "prediction_id": reply.prediction_id}
    if reply.answer is None:
        return {**told, "why": f"{reply.abstained.why}: {reply.abstained.text}"}
    return {**told, **reply.answer.model_dump(mode="json")}


def _loss(capability: AnyCapability, answer: Any, truth: Truth | None) -> float | None:  # noqa: ANN401 - the capability's answer
    return None if answer is None or truth is None else capability.loss(answer, truth)
