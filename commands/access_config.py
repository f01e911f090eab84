"""What an operator may set about who comes in: hosts, keys, an identity provider, rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from registry.scope import Scope


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listenable(host: str) -> str:
    try:
        ip_address(host)
    except ValueError:
        if host != "localhost":
            raise ValueError("an address in figures is expected, or localhost: 127.0.0.1, ::1, 0.0.0.0") from None
    return host


def _address(said: str) -> str:
    at = urlsplit(said)
    safe = at.scheme == "https" or (at.scheme == "http" and is_loopback(at.hostname or ""))
    if not safe or not at.netloc or at.fragment or at.query or any(c in '"\\' or c <= " " for c in said):
        raise ValueError("an https address is expected (http only on this machine), without query or fragment")
    return said


Address = Annotated[str, AfterValidator(_address)]
#: As the library `limits` reads it.
Rate = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,6}/([1-9][0-9]{0,2} )?(second|minute|hour|day)$")]
_Name = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]{1,253})(:[0-9]{1,5})?$")]
_Origin = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.:\[\]-]{1,260}$")]


class Http(_Section):
    host: Annotated[str, AfterValidator(_listenable)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8765
    body_limit_bytes: Annotated[int, Field(ge=1_024)] = 65_536
    batch_limit_bytes: Annotated[int, Field(ge=65_536)] = 4_194_304
    allowed_hosts: tuple[_Name, ...] = ()
    allowed_origins: tuple[_Origin, ...] = ()


class Jwt(_Section):
    """An identity provider whose tokens are accepted. Its keys are public ones, from one of three places."""

    issuer: Address
    audience: Annotated[str, Field(min_length=1)]
    resource: Address | None = None
    algorithms: Annotated[tuple[Literal["EdDSA", "RS256"], ...], Field(min_length=1)] = ("EdDSA", "RS256")
    jwks: Sequence[Mapping[str, Any]] | None = None
    jwks_file: Path | None = None
    jwks_url: Address | None = None
    leeway_seconds: Annotated[int, Field(ge=0, le=120)] = 10
    scope_claim: str = "scope"
    scopes: Mapping[str, Scope] = {scope.value: scope for scope in Scope}
    tenant_claim: str | None = None

    @field_validator("scopes")
    @classmethod
    def _tokens(cls, said: Mapping[str, Scope]) -> Mapping[str, Scope]:
        if not all(word and all("!" <= c <= "~" and c not in '"\\' for c in word) for word in said):
            raise ValueError("the words of scopes hold no spaces, quotes or backslashes (RFC 6749)")
        return said

    @model_validator(mode="after")
    def _one_place(self) -> Jwt:
        if sum(place is not None for place in (self.jwks, self.jwks_file, self.jwks_url)) != 1:
            raise ValueError("one of jwks, jwks_file and jwks_url is needed: where the provider's public keys are")
        if self.resource is None:
            _address(self.audience)  # it is what the metadata names as this server
        return self


class Access(_Section):
    keys_on_loopback: bool = False
    jwt: Jwt | None = None


class Limits(_Section):
    with_key: Rate = "300/second"
    without_key: Rate = "2000/second"
    pushes: Rate = "50/second"
    tools: Mapping[str, Rate] = {}
