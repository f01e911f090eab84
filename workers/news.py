"""What is told of a bar that closed: that it did, another label than before, an anomaly. Payloads are JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ml.bars import Instant, Timeframe
from registry.events import Event, Fact

BAR_CLOSED, ANOMALY = "bar.closed", "anomaly.detected"


class Answered(Protocol):
    """A reply as far as it matters here."""

    @property
    def symbol(self) -> str: ...
    @property
    def answer(self) -> Any: ...  # noqa: ANN401 - any capability's
    @property
    def prediction_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Closed:
    """A series that has a new bar: its newest close, and when that came, both ms UTC."""

    symbol: str
    timeframe: Timeframe
    close_at: Instant
    received_at: Instant


def closed(one: Closed) -> Fact:
    """The bar has closed, and is in the answers."""
    return Fact(BAR_CLOSED, _key(one), json.dumps({**_about(one), "received_at": one.received_at}))


def seen_in(event: Event) -> Closed:
    """What an event told by `closed` is about."""
    told = json.loads(event.payload)
    return Closed(told["symbol"], Timeframe(told["timeframe"]), told["close_at"], told["received_at"])


def label_of(reply: Answered) -> str | None:
    """The label of an answer that has one and is not about an anomaly."""
    label = getattr(reply.answer, "label", None)
    return None if label is None else str(label)


def label_changed(capability: str, one: Closed, reply: Answered, before: str | None, label: str) -> Sequence[Fact]:
    """`regime.changed`, where `capability` is regime: from `before` to `label`."""
    return (_fact(f"{capability}.changed", one, reply, before=before, label=label),)


def strange(one: Closed, reply: Answered) -> Sequence[Fact]:
    """`anomaly.detected`, where the answer says that the bar is one."""
    if not getattr(reply.answer, "is_anomaly", False):
        return ()
    return (_fact(ANOMALY, one, reply, type=reply.answer.type, score=reply.answer.score),)


def _fact(name: str, one: Closed, reply: Answered, **told: object) -> Fact:
    payload = {**_about(one), **told, "prediction_id": reply.prediction_id}
    return Fact(name, _key(one), json.dumps(payload, default=str))


def _key(one: Closed) -> str:
    return f"{one.symbol} {one.timeframe} {one.close_at}"


def _about(one: Closed) -> dict[str, object]:
    return {"symbol": one.symbol, "timeframe": str(one.timeframe), "close_at": one.close_at}
