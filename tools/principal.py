"""Who asks: known from a key, a token of an identity provider, or from being on this machine; and what they may do."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from registry.scope import EVERY_SCOPE, Scope


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller. `id` is what the audit log and the rate limits know them by, and holds no words of theirs. `known`:
    they showed a credential. `may_step_up`: they can get a token with more scopes."""

    id: str
    tenant: str
    scopes: frozenset[Scope]
    known: bool = True
    may_step_up: bool = False


#: Set by the gate for the time of a request; nobody speaks where it is not set.
_speaking: ContextVar[Principal | None] = ContextVar("speaking", default=None)


def speaker() -> Principal | None:
    """Who asks, in whatever runs on behalf of a request."""
    return _speaking.get()


class speaking:  # noqa: N801 - it is used as a verb; a generator would cost three times as much per request
    """`with speaking(principal):` whatever runs inside runs on behalf of `principal`."""

    __slots__ = ("_before", "_principal")

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    def __enter__(self) -> None:
        self._before = _speaking.set(self._principal)

    def __exit__(self, *_: object) -> None:
        _speaking.reset(self._before)


def operator(tenant: str) -> Principal:
    """The user who owns the data folder, at the command line."""
    return Principal("local", tenant, EVERY_SCOPE)


def neighbour(tenant: str) -> Principal:
    """Somebody on this machine who showed nothing, where that is enough."""
    return Principal("loopback", tenant, EVERY_SCOPE, known=False)


def reading(_: object) -> Scope:
    """Whatever is asked, it is only read."""
    return Scope.READ


def operating(_: object) -> Scope:
    """Whatever is asked, it changes the server."""
    return Scope.OPERATE
