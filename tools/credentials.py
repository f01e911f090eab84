"""From the Authorization header to a principal: keys, tokens of an identity provider, and the user of this machine.
One for both doors."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from registry.keys import PREFIX, Key, Keys
from tools.principal import Principal, operator
from tools.refusal import Code, Refused

_ACCEPTED = ("Authorization: Bearer KEY (the operator makes one: barograph keys add NAME --scope read)",)
#: Longer is no credential of anybody's.
_MOST_BYTES = 8_192


class Tokens(Protocol):
    """Verifies tokens of an identity provider."""

    def principal(self, token: bytes) -> Principal:
        """Raises Refused."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who may come in. `local_token` is that of the commands on this machine; `unknown` is who somebody on this
    machine is who shows nothing, or None where everybody has to show something."""

    keys: Keys
    tokens: Tokens | None
    local_token: str | None
    unknown: Principal | None
    tenant: str
    clock: Callable[[], int]

    def principal(self, authorization: bytes | None, *, from_here: bool) -> Principal:
        """Whose header this is. `from_here`: the request came from this machine. Raises Refused with UNAUTHENTICATED,
        or FORBIDDEN for a good token of another tenant."""
        if authorization is None:
            if self.unknown is None or not from_here:
                raise refused("this server asks for a key")
            return self.unknown
        scheme, _, token = authorization.strip().partition(b" ")
        token = token.strip()
        if scheme.lower() != b"bearer" or not token or len(token) > _MOST_BYTES:
            raise refused("the Authorization header holds no bearer credential")
        if token.startswith(PREFIX.encode()):
            return self._of_ours(token, from_here)
        if self.tokens is None:
            raise refused("this is no key of this server")
        return self.tokens.principal(token)

    def _of_ours(self, token: bytes, from_here: bool) -> Principal:
        if self.local_token and from_here and hmac.compare_digest(token, self.local_token.encode()):
            return operator(self.tenant)
        key = self.keys.of(token)
        if key is None:
            raise refused("this is no key of this server")
        self._check(key)
        return Principal(key.actor, self.tenant, key.scopes)

    def _check(self, key: Key) -> None:
        if key.revoked_at is not None:
            raise refused("this key was revoked")
        if key.expired(self.clock()):
            raise refused("this key has expired")


def refused(why: str) -> Refused:
    """Nobody comes in with this."""
    return Refused(Code.UNAUTHENTICATED, why, accepted=_ACCEPTED)
