"""Tokens of an identity provider: JWTs for this server, signed with EdDSA or RS256. Only this file knows PyJWT."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt
from jwt import PyJWK, PyJWKClient
from jwt.exceptions import PyJWTError

from registry.scope import Scope
from tools.credentials import refused
from tools.principal import Principal
from tools.refusal import Code, Refused

log = logging.getLogger(__name__)

#: What a key of this kind signs with. Nothing else is ever accepted, whatever a token says of itself.
ALGORITHM_OF = {"OKP": "EdDSA", "RSA": "RS256"}
ALGORITHMS = tuple(ALGORITHM_OF.values())
#: Kinds of tokens that are accepted: RFC 9068, and those that do not say.
TYPES = (None, "jwt", "at+jwt", "application/at+jwt")
#: How often keys are fetched at most, where a token names one that is not known. In between it is refused.
FETCH_EVERY_MS = 60_000
#: Keys are fetched anew after so long: a provider that drops a key wants it dropped.
FETCHED_FOR_MS = 3_600_000
FETCH_WITHIN_SECONDS = 5.0
#: Tokens that were verified are remembered until they expire, this many.
MOST_REMEMBERED = 1_024

Jwk = Mapping[str, Any]


class BadKeys(Exception):  # noqa: N818 - told to the operator as it is
    """The keys of the identity provider cannot be used."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What a token has to say, and where. `scopes` are their words for ours; `tenant_claim` None: every token is of
    this server's tenant."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    leeway_seconds: int
    scope_claim: str
    scopes: Mapping[str, Scope]
    tenant_claim: str | None
    tenant: str


class JwtVerifier:
    """Verifies tokens against the keys of one provider. `fetch` gets the keys anew, where they have an address: in a
    thread of its own, never in the way of a request."""

    def __init__(
        self,
        provider: Provider,
        keys: Sequence[Jwk],
        clock: Callable[[], int],
        fetch: Callable[[], Sequence[Jwk]] | None = None,
    ) -> None:
        self._provider, self._clock, self._fetch = provider, clock, fetch
        self._keys = usable(keys, provider.algorithms)
        self._fetched_at = clock()
        self._fetching: threading.Thread | None = None
        self._remembered: dict[bytes, tuple[Principal, float, Mapping[str, PyJWK]]] = {}

    def principal(self, token: bytes) -> Principal:
        """Whose token it is. Raises Refused with UNAUTHENTICATED, or FORBIDDEN where it is of another tenant."""
        self._keep_fresh()
        now = self._clock() / 1_000
        name = hashlib.sha256(token).digest()
        known = self._remembered.get(name)
        keys = self._keys
        if known is not None and now < known[1] and known[2] is keys:
            return known[0]
        claims = self._claims(token, now)
        principal = self._principal(claims)
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[name] = (principal, claims["exp"] + self._provider.leeway_seconds, keys)
        return principal

    def fetched(self) -> None:
        """Waits for keys that are being fetched."""
        if self._fetching is not None:
            self._fetching.join()

    def _claims(self, token: bytes, now: float) -> Mapping[str, Any]:
        try:
            key = self._key(jwt.get_unverified_header(token))
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm_name],
                audience=self._provider.audience,
                issuer=self._provider.issuer,
                options={
                    "require": ["exp", "iss", "aud", "sub"],
                    "enforce_minimum_key_length": True,
                    # PyJWT asks the wall clock; ours is below.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except (PyJWTError, ValueError, TypeError, RecursionError):
            raise refused("this token was not issued by our identity provider for this server") from None
        leeway = self._provider.leeway_seconds
        if now >= _instant(claims["exp"]) + leeway:
            raise refused("this token has expired")
        if any(name in claims and now < _instant(claims[name]) - leeway for name in ("nbf", "iat")):
            raise refused("this token is not valid yet")
        return claims

    def _key(self, header: Mapping[str, Any]) -> PyJWK:
        kind, kid, algorithm = header.get("typ"), header.get("kid"), header.get("alg")
        if (kind.lower() if isinstance(kind, str) else kind) not in TYPES:
            raise refused("this is no access token")
        if kid is None and len(self._keys) == 1:
            (key,) = self._keys.values()
        elif isinstance(kid, str) and kid in self._keys:
            key = self._keys[kid]
        else:
            self._fetch_anew(FETCH_EVERY_MS)
            raise refused("this token is signed with a key that is not known here")
        if algorithm != key.algorithm_name:
            raise refused("this token is not signed as its key has to sign")
        return key

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        provider = self._provider
        if provider.tenant_claim is not None and claims.get(provider.tenant_claim) != provider.tenant:
            raise Refused(
                Code.FORBIDDEN, "this token is of another tenant", accepted=["a token of this server's tenant"]
            )
        said = claims.get(provider.scope_claim, "")
        words = said.split() if isinstance(said, str) else said if isinstance(said, list) else []
        scopes = frozenset(provider.scopes[word] for word in words if isinstance(word, str) and word in provider.scopes)
        subject = hashlib.sha256(f"{provider.issuer}\0{claims['sub']}".encode()).hexdigest()[:16]
        return Principal(f"jwt:{subject}", provider.tenant, scopes, may_step_up=True)

    def _keep_fresh(self) -> None:
        if self._fetch is not None and self._clock() - self._fetched_at >= FETCHED_FOR_MS:
            self._fetch_anew(FETCHED_FOR_MS)

    def _fetch_anew(self, not_within_ms: int) -> None:
        """Begins to fetch the keys, unless that was begun a moment ago."""
        now = self._clock()
        if self._fetch is None or now - self._fetched_at < not_within_ms:
            return
        self._fetched_at = now
        self._fetching = threading.Thread(target=self._take, args=(self._fetch,), name="barograph-jwks", daemon=True)
        self._fetching.start()

    def _take(self, fetch: Callable[[], Sequence[Jwk]]) -> None:
        try:
            self._keys = usable(fetch(), self._provider.algorithms)
        except BadKeys as bad:  # those that we have are the best that there is
            log.warning("the keys of the identity provider were not fetched anew: %s", bad)


def usable(keys: Sequence[Jwk], algorithms: Sequence[str]) -> Mapping[str, PyJWK]:
    """The keys that tokens may be signed with, by id. Raises BadKeys where there is none, or two have one id."""
    found: dict[str, PyJWK] = {}
    for key in keys:
        algorithm = ALGORITHM_OF.get(str(key.get("kty")))
        if algorithm not in algorithms or key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
            continue
        if "d" in key:
            raise BadKeys("there is a private key among them: only public ones belong here")
        kid = str(key.get("kid", ""))
        if kid in found:
            raise BadKeys("two keys have the same kid")
        try:
            found[kid] = PyJWK.from_dict(dict(key), algorithm)
        except PyJWTError as error:
            raise BadKeys(f"a key cannot be read ({type(error).__name__})") from error
    if not found:
        raise BadKeys(f"there is no key for {' or '.join(algorithms)} among them")
    return found


def keys_in(document: bytes) -> Sequence[Jwk]:
    """The keys of a JWK set (RFC 7517). Raises BadKeys."""
    try:
        keys = json.loads(document)["keys"]
    except (ValueError, KeyError, TypeError):
        keys = None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise BadKeys('a JWK set is expected: {"keys": [...]}')
    return keys


def keys_at(url: str) -> Callable[[], Sequence[Jwk]]:
    """Fetches a JWK set: http or https, no redirects, within seconds. Raises BadKeys."""
    client = PyJWKClient(url, cache_jwk_set=False, timeout=FETCH_WITHIN_SECONDS)

    def fetch() -> Sequence[Jwk]:
        try:
            return keys_in(json.dumps(client.fetch_data()).encode())
        except (PyJWTError, OSError, ValueError) as error:
            raise BadKeys(f"{url} gives no JWK set ({type(error).__name__})") from error

    return fetch


def _instant(said: object) -> float:
    """Seconds since 1970, or a time that nothing is valid at."""
    if isinstance(said, bool) or not isinstance(said, (int, float)) or not math.isfinite(said):
        raise refused("this token tells no time that can be read")
    return float(said)
