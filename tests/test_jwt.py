"""Tokens of an identity provider: signed as pinned, for this server, in time; and how a client finds the provider."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from jwt.algorithms import OKPAlgorithm, RSAAlgorithm

from commands.access_config import Access, Http, Jwt, Limits
from commands.config import BadConfig, Config, Ledger, Models, load
from registry.scope import Scope
from server import House, app, build
from tests.conftest import NOW, HandClock, table
from tests.doors import bearer, called, opened, rpc, session
from tools.jwt_verifier import BadKeys, JwtVerifier, Provider, keys_at, keys_in, usable
from tools.refusal import Code, Refused

ISSUER, HERE = "https://id.example.com", "https://api.example.com/mcp"
ED, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
RSA, SMALL = generate_private_key(65_537, 2_048), generate_private_key(65_537, 1_024)
SECONDS = NOW // 1_000
CLAIMS = {"iss": ISSUER, "aud": HERE, "sub": "alice@example.com", "exp": SECONDS + 600, "scope": "read openid"}
PROVIDER = Provider(ISSUER, HERE, ("EdDSA", "RS256"), 10, "scope", {one.value: one for one in Scope}, None, "local")


def public(key: Any, kid: str, **more: Any) -> dict[str, Any]:
    algorithm = OKPAlgorithm if isinstance(key, Ed25519PrivateKey) else RSAAlgorithm
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, **more}


KEYS = [public(ED, "ed"), public(RSA, "rsa")]


def token(key: Any = ED, kid: str | None = "ed", algorithm: str = "EdDSA", headers: Any = None, **claims: Any) -> str:
    said = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    return jwt.encode(said, key, algorithm, headers={**({"kid": kid} if kid else {}), **(headers or {})})


def refusal(verifier: JwtVerifier, said: str | bytes) -> Code | None:
    try:
        verifier.principal(said if isinstance(said, bytes) else said.encode())
    except Refused as no:
        return no.code
    return None


@pytest.fixture
def verifier(clock: HandClock) -> JwtVerifier:
    return JwtVerifier(PROVIDER, KEYS, clock)


def test_good_tokens_are_known_by_a_hash_of_who_they_are_of(verifier: JwtVerifier) -> None:
    one = verifier.principal(token().encode())
    two = verifier.principal(token(RSA, "rsa", "RS256", scope=["read", "trade", 5, None]).encode())
    assert (one.scopes, two.scopes) == (frozenset({Scope.READ}), frozenset({Scope.READ, Scope.TRADE}))
    assert one.id == two.id
    assert "alice" not in one.id
    assert verifier.principal(token(sub="bob").encode()).id != one.id
    assert verifier.principal(token(aud=["https://other.example.com", HERE]).encode()).id == one.id
    assert verifier.principal(token(headers={"typ": "at+jwt"}, scope=None).encode()).scopes == frozenset()


WRONG: Mapping[str, Callable[[], str]] = {
    "another issuer": lambda: token(iss="https://evil.example.com"),
    "issuer with a slash": lambda: token(iss=ISSUER + "/"),
    "no issuer": lambda: token(iss=None),
    "another audience": lambda: token(aud="https://api.example.com/other"),
    "audience that begins alike": lambda: token(aud=HERE + "/more"),
    "no audience": lambda: token(aud=None),
    "no expiry": lambda: token(exp=None),
    "no subject": lambda: token(sub=None),
    "expired": lambda: token(exp=SECONDS - 10),
    "expiry that is no time": lambda: token(exp="soon"),
    "expiry that is true": lambda: token(exp=True),
    "expiry without end": lambda: raw({"alg": "EdDSA", "kid": "ed"}, json.dumps(CLAIMS | {"exp": float("inf")}), ED),
    "expiry that is NaN": lambda: raw({"alg": "EdDSA", "kid": "ed"}, json.dumps(CLAIMS | {"exp": float("nan")}), ED),
    "not yet": lambda: token(nbf=SECONDS + 11),
    "issued in the future": lambda: token(iat=SECONDS + 11),
    "another key": lambda: token(OTHER),
    "a key that is not known": lambda: token(ED, "other"),
    "no kid where there are two keys": lambda: token(kid=None),
    "the kid of another kind of key": lambda: token(ED, "rsa"),
    "signed by the wrong kind for its kid": lambda: token(RSA, "ed", "RS256"),
    "not signed": lambda: raw({"alg": "none", "kid": "ed"}, json.dumps(CLAIMS), None),
    "another RSA scheme": lambda: token(RSA, "rsa", "RS512"),
    "PSS": lambda: token(RSA, "rsa", "PS256"),
    "an id token": lambda: token(headers={"typ": "id+jwt"}),
    "a key of its own": lambda: token(OTHER, "ed", headers={"jwk": public(OTHER, "ed")}),
    "a header that must be understood": lambda: token(headers={"crit": ["x"], "x": 1}),
    "claims that are a list": lambda: raw({"alg": "EdDSA", "kid": "ed"}, "[]", ED),
    "claims that are no JSON": lambda: raw({"alg": "EdDSA", "kid": "ed"}, "{", ED),
    "nothing": lambda: "",
    "dots": lambda: "..",
    "text": lambda: "barograph",
    "a changed signature": lambda: token()[:-4] + "AAAA",
    "HMAC with the public key": lambda: raw({"alg": "HS256", "kid": "rsa"}, json.dumps(CLAIMS), b"public"),
}


def raw(header: Any, claims: str, key: Any) -> str:
    """A token by hand, signed by whatever key."""
    parts = [base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in (json.dumps(header), claims)]
    message = b".".join(parts)
    if isinstance(key, bytes):
        signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(message, key)
    else:
        signature = b"" if key is None else key.sign(message)
    return (message + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_whatever_is_wrong_with_a_token_it_is_refused(verifier: JwtVerifier, wrong: str) -> None:
    assert refusal(verifier, WRONG[wrong]()) is Code.UNAUTHENTICATED


@pytest.mark.parametrize("wrong", [b"\xff\xfe", b"a.b.c", b"\x00.\x00.\x00", "é.é.é".encode()])
def test_bytes_that_are_no_token_are_refused(verifier: JwtVerifier, wrong: bytes) -> None:
    assert refusal(verifier, wrong) is Code.UNAUTHENTICATED


def test_clocks_may_differ_by_the_leeway_and_no_more(verifier: JwtVerifier, clock: HandClock) -> None:
    said = token(exp=SECONDS, nbf=SECONDS)
    for at, code in ((-11, Code.UNAUTHENTICATED), (-10, None), (0, None), (9, None), (10, Code.UNAUTHENTICATED)):
        clock.at = NOW + 1_000 * at
        assert refusal(verifier, said) is code, at
    clock.at = NOW  # it was remembered, and counts again; what was remembered ends with the token
    assert refusal(verifier, said) is None


def test_only_the_pinned_algorithms_and_long_keys_count(clock: HandClock) -> None:
    pinned = Provider(ISSUER, HERE, ("EdDSA",), 10, "scope", {}, None, "local")
    assert refusal(JwtVerifier(pinned, KEYS, clock), token(RSA, "rsa", "RS256")) is Code.UNAUTHENTICATED
    assert refusal(JwtVerifier(pinned, KEYS, clock), token(kid=None)) is None, "one key is left, and needs no name"
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):
        short = token(SMALL, "small", "RS256")
    assert refusal(JwtVerifier(PROVIDER, [public(SMALL, "small")], clock), short) is Code.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ([], "there is no key for EdDSA or RS256"),
        ([{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}], "there is no key"),
        ([public(ED, "a", use="enc")], "there is no key"),
        ([public(RSA, "a", alg="RS512")], "there is no key"),
        ([public(ED, "a"), public(OTHER, "a")], "two keys have the same kid"),
        ([{**public(ED, "a"), "d": "AAAA"}], "there is a private key among them"),
        ([{"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "a"}], "a key cannot be read"),
    ],
)
def test_keys_that_cannot_be_used_are_told_to_the_operator(keys: Sequence[Any], says: str) -> None:
    with pytest.raises(BadKeys, match=says):
        usable(keys, ("EdDSA", "RS256"))


@pytest.mark.parametrize("wrong", [b"", b"[]", b'{"keys": {}}', b'{"keys": [5]}', b"\xff"])
def test_a_document_without_keys_is_told(wrong: bytes) -> None:
    with pytest.raises(BadKeys, match="a JWK set is expected"):
        keys_in(wrong)


def test_keys_are_fetched_anew_when_they_turn_and_not_more_often_than_they_may(clock: HandClock) -> None:
    there: list[Any] = [public(ED, "ed")]
    asked: list[int] = []

    def fetch() -> Sequence[Any]:
        asked.append(clock.at)
        if not there:
            raise BadKeys("the provider is away")
        return list(there)

    verifier = JwtVerifier(PROVIDER, fetch(), clock, fetch)
    there[:] = [public(OTHER, "new")]
    turned = token(OTHER, "new")
    for _ in range(3):
        assert refusal(verifier, turned) is Code.UNAUTHENTICATED, "fetched a moment ago"
    assert refusal(verifier, token()) is None
    clock.at += 60_000
    assert refusal(verifier, turned) is Code.UNAUTHENTICATED, "nobody waits for the fetching"
    verifier.fetched()
    assert refusal(verifier, turned) is None
    assert refusal(verifier, token()) is Code.UNAUTHENTICATED, "its key is dropped, and what was remembered with it"
    there.clear()
    clock.at += 3_600_000
    late = token(OTHER, "new", exp=SECONDS + 9_999)
    assert refusal(verifier, late) is None
    verifier.fetched()
    assert refusal(verifier, late) is None, "the provider is away: the keys that there are go on"
    assert len(asked) == 3


def test_keys_come_from_an_address_without_redirects() -> None:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/jwks")
                self.end_headers()
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": KEYS} if self.path == "/jwks" else []).encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Answers) as provider:
        threading.Thread(target=provider.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{provider.server_port}"
        assert list(keys_at(f"{at}/jwks")()) == KEYS
        for wrong in ("moved", "list"):
            with pytest.raises(BadKeys, match="gives no JWK set"):
                keys_at(f"{at}/{wrong}")()
        provider.shutdown()


def test_a_token_of_another_tenant_is_forbidden(clock: HandClock) -> None:
    tenants = Provider(ISSUER, HERE, ("EdDSA",), 10, "scope", {}, "org", "local")
    verifier = JwtVerifier(tenants, KEYS, clock)
    assert refusal(verifier, token(org="local")) is None
    assert refusal(verifier, token(org="other")) is Code.FORBIDDEN
    assert refusal(verifier, token()) is Code.FORBIDDEN


@pytest.fixture
def house(tmp_path: Path, clock: HandClock) -> Iterator[House]:
    """A house whose identity provider calls our scopes `bg:read` and `bg:trade`."""
    words = {"bg:read": Scope.READ, "bg:trade": Scope.TRADE}
    provider = Jwt(issuer=ISSUER, audience=HERE, jwks=KEYS, scopes=words)
    config = Config(
        ledger=Ledger(flush_ms=1),
        models=Models(train=False),
        http=Http(host="0.0.0.0", allowed_hosts=("api.example.com",)),
        access=Access(jwt=provider),
        limits=Limits(),
    )
    built = build(config, tmp_path / "data", clock)
    built.history.append([table("AAA", seed=1)], received_at=NOW, live=False)
    yield built
    built.close()


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with opened(app(house)) as client:
        yield client


METADATA = "https://api.example.com/.well-known/oauth-protected-resource/mcp"


@pytest.mark.anyio
async def test_a_client_without_a_token_finds_the_provider(http: httpx.AsyncClient) -> None:
    refused = await rpc(http, "initialize", {}, {})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == f'Bearer scope="bg:read", resource_metadata="{METADATA}"'
    for path in ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"):
        told = (await http.get(path)).json()
        assert told["resource"] == HERE
        assert told["authorization_servers"] == [ISSUER]
        assert told["scopes_supported"] == ["bg:read", "bg:trade"]
        assert told["bearer_methods_supported"] == ["header"]


@pytest.mark.anyio
async def test_one_token_opens_both_doors_and_a_key_still_does(http: httpx.AsyncClient, house: House) -> None:
    mine = bearer(token(scope="bg:read read operate"))
    reply = await http.post("/v1/tools/get_market_regime", json={"symbol": "AAA"}, headers=mine)
    assert reply.status_code == 200
    assert not (await called(http, "get_market_regime", {"symbol": "AAA"}, await session(http, mine))).get("isError")
    assert (await http.post("/v1/operate/list_keys", json={}, headers=mine)).status_code == 403, (
        "their word is not ours"
    )
    key = house.keys.add("bot", [Scope.READ], expires_at=None, by="local", at=NOW)
    assert (await http.get("/v1/tools", headers=bearer(key.token))).status_code == 200
    wrong = await http.get("/v1/tools", headers=bearer(token(aud="https://other.example.com")))
    assert wrong.status_code == 401
    assert 'error="invalid_token"' in wrong.headers["www-authenticate"]
    assert "other.example" not in wrong.text


@pytest.mark.anyio
async def test_a_token_that_does_not_go_far_enough_is_told_how_to_step_up(http: httpx.AsyncClient) -> None:
    mine = bearer(token(scope="bg:read"))
    veto = {"symbol": "AAA", "use": "veto"}
    step_up = f'Bearer error="insufficient_scope", scope="bg:trade", resource_metadata="{METADATA}"'
    over_http = await http.post("/v1/tools/get_market_regime", json=veto, headers=mine)
    opened_ = await session(http, mine)
    over_mcp = await rpc(http, "tools/call", {"name": "get_market_regime", "arguments": veto}, opened_)
    for reply in (over_http, over_mcp):
        assert (reply.status_code, reply.headers["www-authenticate"]) == (403, step_up)
        assert reply.json()["error"]["code"] == "forbidden"
    assert not (await called(http, "get_market_regime", {"symbol": "AAA"}, opened_)).get("isError")
    for odd in (
        b"",
        b"[]",
        b'{"method": "tools/call"}',
        b'{"method": "tools/call", "params": {"name": []}}',
        b"[" * 9_000,
    ):
        reply = await http.post("/mcp", content=odd, headers={**opened_, "Content-Type": "application/json"})
        assert 400 <= reply.status_code < 500


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"scopes": {"a b": "read"}}, "hold no spaces"),
        ({"scopes": {"read": "all"}}, "access.jwt.scopes.read"),
        ({"leeway_seconds": 600}, "access.jwt.leeway_seconds"),
        ({"jwks_file": "x"}, "one of jwks, jwks_file and jwks_url"),
        ({"jwks_url": "ftp://id"}, "access.jwt.jwks_url"),
        ({"resource": 'https://me/"'}, "access.jwt.resource"),
    ],
)
def test_a_provider_that_cannot_be_is_refused_in_the_config(said: Any, says: str) -> None:
    provider = {"issuer": ISSUER, "audience": HERE, "jwks": KEYS, **said}
    with pytest.raises(BadConfig, match=says):
        load(None, {"access": {"jwt": provider}})


def test_the_provider_on_the_page_can_be_configured() -> None:
    page = (Path(__file__).parent.parent / "docs" / "security.md").read_text("utf-8")
    said = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    config = load(None, said)
    assert config.access.jwt is not None
    assert config.access.jwt.scopes == {"barograph:read": Scope.READ, "barograph:trade": Scope.TRADE}
