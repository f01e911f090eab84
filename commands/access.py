"""Who may come in, from the config: the rules of the gate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from commands.access_config import Jwt, is_loopback
from commands.config import Config
from registry.audit_chain import Act
from registry.faults import StateFault
from registry.keys import Keys
from registry.scope import Scope
from tools.behind_gate import as_user
from tools.challenge import Challenge, Resource
from tools.credentials import Credentials, Tokens
from tools.gate import Rules
from tools.guard import Log
from tools.hosts import Hosts
from tools.principal import neighbour
from tools.rate_limits import RateLimits


class BadRates(StateFault):
    """A rate of a tool that there is not."""


class Unlocked(StateFault):
    """Others could reach the server, and nobody could be told from anybody."""


def rules(config: Config, keys: Keys, log: Log, clock: Callable[[], int], local_token: str | None = None) -> Rules:
    """What the gate goes by. Raises Unlocked where there would be no lock; SecretLost, SecretUnusable and
    BadKeys where the lock would not turn."""
    host, jwt = config.http.host, config.access.jwt
    keys.need_secret(clock())
    open_here = is_loopback(host) and not config.access.keys_on_loopback
    if not is_loopback(host) and jwt is None and not keys.any_live(clock()):
        raise Unlocked(
            f"other machines can reach {host}, and there is no key yet: make one first (barograph keys add NAME "
            "--scope read, with this --data and --config), or listen on 127.0.0.1"
        )
    credentials = Credentials(
        keys=keys,
        tokens=_tokens(jwt, config.tenant, clock) if jwt else None,
        local_token=local_token,
        unknown=neighbour(config.tenant) if open_here else None,
        tenant=config.tenant,
        clock=clock,
    )
    return Rules(
        hosts=Hosts(host, config.http.allowed_hosts, config.http.allowed_origins),
        credentials=credentials,
        challenge=Challenge(_resource(jwt) if jwt else None),
        log=log,
        clock=clock,
        as_user=as_user,
    )


def rates(config: Config, tools: Iterable[str], pushes: Iterable[str], clock: Callable[[], int]) -> RateLimits:
    """How often callers may call `tools`, and each way to push market data in. Raises BadRates for one that there is
    not: its rate would count for nothing."""
    ways, limits = list(pushes), config.limits
    known = {*tools, *ways}
    unknown = sorted(set(limits.tools) - known)
    if unknown:
        raise BadRates(f"limits.tools: there is no tool {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    own = {**dict.fromkeys(ways, limits.pushes), **limits.tools}
    return RateLimits(limits.with_key, limits.without_key, own, lambda: clock() / 1_000)


def started(config: Config, version: str, at: int) -> Act:
    """What the audit log says of a start: which version, where, and a hash of the config that it went by."""
    said = config.model_dump(mode="json")
    said["features"]["timeframes"].sort()  # a set, which JSON has in any order
    told = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return Act(at, "server", "started", version, json.dumps({"host": config.http.host, "config_sha256": told}))


def lock(config: Config) -> str:
    """Who may come in, in one line, for whoever starts the server."""
    ways = ["keys (barograph keys add NAME --scope read)"]
    if config.access.jwt is not None:
        ways.append(f"tokens of {config.access.jwt.issuer}")
    if is_loopback(config.http.host) and not config.access.keys_on_loopback:
        return "open to this machine; no other can reach it"
    return f"locked: {' or '.join(ways)}"


def _tokens(jwt: Jwt, tenant: str, clock: Callable[[], int]) -> Tokens:
    from tools.jwt_verifier import JwtVerifier, Provider, keys_at, keys_in  # PyJWT, which few servers need

    provider = Provider(
        issuer=jwt.issuer,
        audience=jwt.audience,
        algorithms=jwt.algorithms,
        leeway_seconds=jwt.leeway_seconds,
        scope_claim=jwt.scope_claim,
        scopes=jwt.scopes,
        tenant_claim=jwt.tenant_claim,
        tenant=tenant,
    )
    if jwt.jwks_url is not None:
        fetch = keys_at(jwt.jwks_url)
        return JwtVerifier(provider, fetch(), clock, fetch)
    if jwt.jwks_file is not None:
        return JwtVerifier(provider, keys_in(Path(jwt.jwks_file).expanduser().read_bytes()), clock)
    return JwtVerifier(provider, list(jwt.jwks or ()), clock)


def _resource(jwt: Jwt) -> Resource:
    theirs: dict[Scope, str] = {}
    for word, ours in jwt.scopes.items():
        theirs.setdefault(ours, word)
    return Resource(jwt.resource or jwt.audience, jwt.issuer, theirs)
