"""Requests to both doors that were right once: cut, swollen, bent, filled with what nobody sends.

Reproducible: the same `chance` gives the same requests. In each of them somewhere, more often than not, is CANARY, a
word that no reply may hold.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from ml.catalogue import CATALOGUE

CANARY = "zq9Canary"
#: Tokens that JSON's dumps cannot write: written as strings first, then bared.
BARE = ("NaN", "-Infinity", "1e400", "-0", "1E+999999999", "\\ud800", "0x10", "'x'", "undefined")
#: The names that a request must keep to be routed; the rest is anybody's.
VERSIONS = ("2025-11-25", "2026-07-28")
META = "io.modelcontextprotocol/"


@dataclass(frozen=True)
class Sent:
    """One request. `door`: http, or the version of MCP."""

    door: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def requests(chance: Random, questions: Mapping[str, Sequence[Mapping[str, Any]]], session: str) -> Iterator[Sent]:
    """Without end. `questions`: for each tool, some that it answers. `session`: of the protocol that has sessions."""
    tools = sorted(questions)
    while True:
        tool = chance.choice(tools)
        question = dict(chance.choice(questions[tool]))
        door = chance.choice(("http", "http", *VERSIONS))
        if door == "http":
            body = bent(chance, question)
            path = f"/v1/tools/{tool}" if chance.random() < 0.97 else f"/v1/tools/{chance.choice(PATHS)}"
            yield Sent(door, chance.choice(METHODS), path, headers(chance, {}), body)
        else:
            call = message(chance, door, tool, question)
            wanted = _routing(door, call, session)
            yield Sent(door, "POST", "/mcp", headers(chance, wanted), bent(chance, call))


def questions(one: str, other: str) -> dict[str, list[dict[str, Any]]]:
    """For each tool some questions that it answers, or might, of two symbols that are fed."""
    asked: dict[str, list[dict[str, Any]]] = {
        capability.tool: [
            {"symbol": one},
            {"symbol": one, "more_symbols": [other], "use": "veto", "detail": "full"},
            {"symbol": other, "as_of": "2023-12-30T07:30:00Z", "timeframe": "1h"},
        ]
        for capability in CATALOGUE
    }
    asked["get_server_status"] = [{}, {"symbol": one}]
    asked["explain_prediction"] = [{"prediction_id": "0" * 32}]
    asked["get_track_record"] = [{"instrument": "volatility", "window": "90d", "horizon": "24h", "version": 0}]
    return asked


METHODS = ("POST",) * 30 + ("GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")
PATHS = (CANARY, "..%2f..%2fetc", "%00", "get_market_regime/", "get_market_regime%0d%0a", "a" * 3_000)
CALLS = ("tools/call",) * 6 + (
    "tools/list", "initialize", "prompts/list", "prompts/get", "resources/list", "resources/read",
    "resources/templates/list", "completion/complete", "server/discover", "ping", CANARY,
)  # fmt: skip


def message(chance: Random, version: str, tool: str, question: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON-RPC request."""
    method = chance.choice(CALLS)
    known: dict[str, dict[str, Any]] = {
        "tools/call": {"name": tool, "arguments": dict(question)},
        "initialize": {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}},
        "prompts/get": {"name": chance.choice(("regime", "market_brief", CANARY)), "arguments": {"symbol": "AAA"}},
        "resources/read": {"uri": chance.choice((f"barograph://{CANARY}", "barograph://status", "file:///etc/passwd"))},
        "completion/complete": {
            "ref": {"type": "ref/prompt", "name": "regime"},
            "argument": {"name": "symbol", "value": chance.choice(("", "A", CANARY))},
        },
    }
    parameters = known.get(method, {})
    if version == VERSIONS[1]:
        parameters["_meta"] = {
            f"{META}protocolVersion": version,
            f"{META}clientInfo": {"name": "x", "version": "1"},
            f"{META}clientCapabilities": {},
        }
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}


def headers(chance: Random, wanted: Mapping[str, str]) -> dict[str, str]:
    """Mostly as they should be."""
    found = {"content-type": "application/json", "accept": "application/json, text/event-stream", **wanted}
    if chance.random() < 0.1:
        found[chance.choice([*found, "x-barograph-door", "mcp-session-id", "accept-encoding", "referer"])] = (
            chance.choice(
                ("", CANARY, "text/plain", "*/*", "application/vnd.barograph.served+json", "2024-11-05", "x" * 2_000)
            )
        )
    return found


def bent(chance: Random, value: Any) -> bytes:
    """The value as JSON, after none to three harms to its structure and none to two to its bytes."""
    made = copy.deepcopy(value)
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        made = _harmed(chance, made)
    text = json.dumps(made, ensure_ascii=chance.random() < 0.5)
    for token in BARE:
        text = text.replace(f'"@{token}"', token).replace(json.dumps(f"@{token}"), token)
    data = text.encode("utf-8", "surrogatepass")
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        data = _torn(chance, data)
    return data


def _routing(version: str, call: Mapping[str, Any], session: str) -> dict[str, str]:
    if version == VERSIONS[0]:
        return {"mcp-protocol-version": version, "mcp-session-id": session} if call["method"] != "initialize" else {}
    name = call["params"].get("name") or call["params"].get("uri")
    named = {"mcp-name": str(name)} if name else {}
    return {"mcp-protocol-version": version, "mcp-method": str(call["method"]), **named}


def _harmed(chance: Random, value: Any) -> Any:
    """One node replaced, removed, renamed or added. The `id` of a message may be anything but the canary: that comes
    back by right."""
    if not isinstance(value, dict) or not value or chance.random() < 0.05:
        return _nasty(chance)
    key = chance.choice(sorted(value))
    harm = chance.random()
    if isinstance(value[key], dict) and harm < 0.7:
        value[key] = _harmed(chance, value[key])
    elif harm < 0.5:
        value[key] = chance.choice((0, -1, "", None, 1.5, [])) if key == "id" else _nasty(chance)
    elif harm < 0.6:
        del value[key]
    elif harm < 0.8:
        value[f"{CANARY}{chance.choice(('', '_2', '.x', ' '))}"] = _nasty(chance)
    elif key != "id":
        value[chance.choice((key.upper(), f"{key} ", CANARY, ""))] = value.pop(key)
    return value


def _nasty(chance: Random) -> Any:
    kind = chance.randrange(8)
    if kind == 0:
        return f"@{chance.choice(BARE)}"
    if kind == 1:
        return chance.choice((None, True, False, 0, -1, 2**63, 2**64, 10**30, 1e308, -1e-308, 1.5))
    if kind == 2:
        return CANARY * chance.choice((1, 4, 40, 1_000))
    if kind == 3:
        deep: Any = CANARY
        for _ in range(chance.choice((3, 30, 300))):
            deep = [deep] if chance.random() < 0.5 else {"symbol": deep}
        return deep
    if kind == 4:
        return [CANARY] * chance.choice((0, 1, 51, 2_000))
    if kind == 5:
        return {CANARY: CANARY}
    return chance.choice(
        ("", " ", "\x00", "\ud800", "AAA\n", "ＡＡＡ", "aaa", "AAA' OR 1=1", "../..", "veto ", "1H", "A" * 33,
         "2023-12-30T07:30:00", "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z", "1e3", "٣", "f" * 32, f"<{CANARY}>",
         f"%{CANARY}%s{{}}")
    )  # fmt: skip


def _torn(chance: Random, data: bytes) -> bytes:
    at, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    kind = chance.randrange(6)
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + data[end:]
    if kind == 2:
        return data[:end] + data[at:]
    if kind == 3 and data:
        at = min(at, len(data) - 1)
        return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
    if kind == 4:
        return (
            data[:at]
            + chance.choice((b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"//", b",", b"{", b'"', b"\r\n"))
            + data[at:]
        )
    return data + chance.choice((b" " * 70_000, b"}", b"null", data, b"\n" + data))


def wrong(status: int, told_headers: Mapping[str, str], body: bytes) -> str | None:
    """What a reply must not be or hold."""
    if status >= 500:
        return f"status {status}"
    told = body.lower()
    if CANARY.lower().encode() in told or any(CANARY.lower() in f"{k}{v}".lower() for k, v in told_headers.items()):
        return "an echo of the input"
    return "a traceback" if b"traceback" in told or b'file \\"/' in told else None
