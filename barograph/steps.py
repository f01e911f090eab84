"""One call as steps: what to send, how long to wait, when to give up. No input or output here, so that the sync and the
async client walk the same road.

Most tools may be called twice: asking again gives the same answer. The others, and those that this version does not
know, are asked again only where nothing can have arrived.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import SimpleNamespace
from typing import Any, NoReturn, TypeAlias, TypeVar
from urllib.parse import quote

from barograph.decoding import Mismatch, decoded
from barograph.errors import BarographError, Refusal, Refused, Unexpected, Unreachable
from barograph.replies import REPEATABLE

#: What a proxy answers where the server does not.
GATEWAY = (502, 503, 504)
#: Asks for the text of a reply beside its JSON.
WITH_TEXT = "application/vnd.barograph.served+json"
TOO_MANY = 429
#: The status of a refusal that came without one.
REFUSED = 400


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `repeatable`: whether asking twice is as good as asking once."""

    method: str
    path: str
    body: bytes | None
    repeatable: bool
    accept: str = "application/json"


@dataclass(frozen=True, slots=True)
class Send:
    """Send it now, and wait so long at most."""

    request: Request
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Arrived:
    """A whole response. The names of `headers` are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """No response. `never_sent`: nobody can have read the request."""

    why: str
    never_sent: bool = False


@dataclass(frozen=True, slots=True)
class Served:
    """What comes WITH_TEXT: a reply or a refusal (that has a `code`), as JSON and as text."""

    body: str
    text: str
    code: str | None = None
    retry_after_seconds: float | None = None


T = TypeVar("T")
#: Yields what to do, is told what came of it, and returns or raises the outcome.
Steps: TypeAlias = Generator[Send | Wait, Arrived | Lost | None, T]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may take with all its attempts, and how often it is tried again. Pauses double, and are drawn at
    random below that, so that many clients do not come back at once."""

    timeout_seconds: float
    retries: int
    clock: Callable[[], float]
    """Seconds, from any start."""
    chance: Callable[[], float]
    """In [0, 1)."""
    first_pause_seconds: float = 0.1
    longest_pause_seconds: float = 5.0

    def within(self, timeout_seconds: float) -> Patience:
        """The same with another limit."""
        return replace(self, timeout_seconds=timeout_seconds)

    def pause_seconds(self, attempt: int, asked_seconds: float | None) -> float:
        """Before attempt number `attempt` + 1: never less than the server asked."""
        most = min(self.first_pause_seconds * 2.0**attempt, self.longest_pause_seconds)
        return (asked_seconds or 0.0) + self.chance() * most


def asked(kind: type[T] | None, request: Request, patience: Patience) -> Steps[T]:
    """The whole call. Raises Refused, Unreachable, Unexpected. Without a `kind` the reply has the attributes of its
    JSON."""
    body = yield from _body(request, patience)
    try:
        if kind is None:
            said: Any = json.loads(
                body, object_hook=lambda fields: SimpleNamespace(**fields), parse_constant=_no_number
            )
            return said  # type: ignore[no-any-return]  # nobody knows its type
        return decoded(kind, json.loads(body, parse_constant=_no_number))
    except (ValueError, RecursionError, Mismatch) as error:
        why = str(error) if isinstance(error, Mismatch) else "the reply is not JSON"
        raise Unexpected(f"what answered is no Barograph of this version: {why}") from error


def said(tool: str, fields: Mapping[str, object], patience: Patience) -> Steps[str]:
    """The whole call, for its text."""
    return (yield from asked(Served, replace(question(tool, fields), accept=WITH_TEXT), patience)).text


def question(tool: str, fields: Mapping[str, object]) -> Request:
    """The request for one tool, as JSON. What is None was not said."""
    said = {name: value for name, value in fields.items() if value is not None}
    body = json.dumps(said, default=_plain, allow_nan=False).encode()
    return Request("POST", f"v1/tools/{quote(tool, safe='')}", body, repeatable=tool in REPEATABLE)


def _body(request: Request, patience: Patience) -> Steps[bytes]:
    until, attempt = patience.clock() + patience.timeout_seconds, 0
    while True:
        told = yield Send(request, max(until - patience.clock(), 0.001))
        assert told is not None
        told = _unwrapped(told) if request.accept == WITH_TEXT else told
        if isinstance(told, Arrived) and told.status == 200:
            return told.body
        error, again, asked_seconds = _judged(told, request)
        pause_seconds = patience.pause_seconds(attempt, asked_seconds)
        if not again or attempt >= patience.retries or patience.clock() + pause_seconds >= until:
            raise error
        yield Wait(pause_seconds)
        attempt += 1


def _judged(told: Arrived | Lost, request: Request) -> tuple[BarographError, bool, float | None]:
    """The error, whether to try again, and how long the server asked to wait."""
    if isinstance(told, Lost):
        return Unreachable(told.why), request.repeatable or told.never_sent, None
    asked_seconds, refusal = _retry_after_seconds(told.headers), _refusal(told.body)
    if refusal is not None:
        return Refused(refusal, told.status, asked_seconds), refusal.retryable and request.repeatable, asked_seconds
    if told.status in GATEWAY or told.status == TOO_MANY:
        return Unreachable(f"a proxy answered {told.status}"), request.repeatable, asked_seconds
    return Unexpected(f"what answered {told.status} is no Barograph: check the address"), False, None


def _unwrapped(told: Arrived | Lost) -> Arrived | Lost:
    """A refusal WITH_TEXT, as it would have come without."""
    if isinstance(told, Lost) or told.status != 200:
        return told
    try:
        served = decoded(Served, json.loads(told.body))
    except (ValueError, RecursionError, Mismatch):
        return told
    wait = {"retry-after": f"{served.retry_after_seconds:.0f}"} if served.retry_after_seconds else {}
    return Arrived(REFUSED, {**told.headers, **wait}, served.body.encode()) if served.code else told


def _refusal(body: bytes) -> Refusal | None:
    try:
        return decoded(Refusal, json.loads(body)["error"])
    except (ValueError, KeyError, TypeError, RecursionError, Mismatch):
        return None


def _retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """In either form that HTTP allows; a time is read against the server's own."""
    said = headers.get("retry-after", "")
    if said.isdecimal():
        return float(said)
    try:
        return max((parsedate_to_datetime(said) - parsedate_to_datetime(headers.get("date", ""))).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "__iter__"):
        return list(value)
    raise TypeError(f"a {type(value).__name__} cannot be asked")
