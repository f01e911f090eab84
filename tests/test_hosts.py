"""By which names the server may be called, and from which pages: DNS rebinding stays outside, on both doors."""

from __future__ import annotations

import httpx
import pytest

from server import House, app
from tools.hosts import Hosts
from tools.refusal import Code, Refused

HERE = (
    "localhost",
    "localhost:8765",
    "LOCALHOST:1",
    "127.0.0.1",
    "127.0.0.1:8765",
    "127.8.9.1:1",
    "[::1]",
    "[::1]:8765",
)
ELSEWHERE = (
    "evil.example",
    "evil.example:8765",
    "localhost.evil.example",
    "evil.example#localhost",
    "localhost@evil.example",
    "user@localhost",
    "localhost/x",
    "127.0.0.1.nip.io",
    "192.168.1.5:8765",
    "0.0.0.0",
    "::1",
    "localhost:port",
    "localhost:99999",
    "[::1",
    "",
    " localhost",
    "localhost,evil.example",
)


def refused(hosts: Hosts, host: str | None, origin: str | None = None) -> Code | None:
    try:
        hosts.check(None if host is None else host.encode(), None if origin is None else origin.encode())
    except Refused as no:
        return no.code
    return None


@pytest.mark.parametrize("host", HERE)
def test_on_loopback_the_names_of_this_machine_are_known(host: str) -> None:
    hosts = Hosts("127.0.0.1")
    assert refused(hosts, host) is None
    assert refused(hosts, host) is None, "the second look is into memory"


@pytest.mark.parametrize("host", ELSEWHERE)
def test_on_loopback_no_other_name_is(host: str) -> None:
    assert refused(Hosts("::1"), host) is Code.WRONG_HOST


def test_a_request_without_a_host_is_refused() -> None:
    assert refused(Hosts("127.0.0.1"), None) is Code.WRONG_HOST


@pytest.mark.parametrize(
    ("origin", "code"),
    [
        ("http://localhost:6274", None),
        ("https://127.0.0.1", None),
        ("http://[::1]:3000", None),
        ("http://127.0.0.1:8765", None),
        ("http://evil.example", Code.WRONG_ORIGIN),
        ("http://localhost.evil.example", Code.WRONG_ORIGIN),
        ("file://localhost", Code.WRONG_ORIGIN),
        ("null", Code.WRONG_ORIGIN),
        ("", Code.WRONG_ORIGIN),
        ("http://[", Code.WRONG_ORIGIN),
        ("https://desk.example.com", Code.WRONG_ORIGIN),
    ],
)
def test_pages_of_other_sites_are_refused(origin: str, code: Code | None) -> None:
    assert refused(Hosts("127.0.0.1"), "127.0.0.1:8765", origin) is code


def test_the_operator_may_allow_more() -> None:
    hosts = Hosts("127.0.0.1", ["API.example.com", "one.example.com:8443"], ["https://desk.example.com/"])
    assert refused(hosts, "api.example.com") is None
    assert refused(hosts, "api.example.com:444") is None
    assert refused(hosts, "one.example.com:8443") is None
    assert refused(hosts, "one.example.com") is Code.WRONG_HOST
    assert refused(hosts, "api.example.com", "https://desk.example.com") is None
    assert refused(hosts, "api.example.com", "https://api.example.com") is None, "its own pages"
    assert refused(hosts, "api.example.com", "https://api.example.com:81") is Code.WRONG_ORIGIN
    assert refused(hosts, "localhost", "https://api.example.com") is Code.WRONG_ORIGIN


def test_on_other_addresses_figures_are_known_and_names_are_not() -> None:
    hosts = Hosts("0.0.0.0")
    assert refused(hosts, "192.168.1.5:8765") is None
    assert refused(hosts, "[fe80::1]:8765") is None
    assert refused(hosts, "localhost:8765") is None
    assert refused(hosts, "evil.example:8765") is Code.WRONG_HOST
    assert refused(hosts, "192.168.1.5:8765", "http://192.168.1.5:8765") is None
    assert refused(hosts, "192.168.1.5:8765", "http://localhost:3000") is Code.WRONG_ORIGIN


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/tools/get_server_status"), ("POST", "/mcp"), ("GET", "/healthz")]
)
async def test_every_path_is_behind_the_check(house: House, method: str, path: str) -> None:
    transport = httpx.ASGITransport(app=app(house))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        misled = await http.request(method, path, headers={"Host": "evil.example"}, json={})
        assert (misled.status_code, misled.json()["error"]["code"]) == (421, "wrong_host")
        page = await http.request(method, path, headers={"Origin": "http://evil.example"}, json={})
        assert (page.status_code, page.json()["error"]["code"]) == (403, "wrong_origin")
        assert "evil" not in misled.text + page.text
