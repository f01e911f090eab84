"""The callers of the soak: at a steady pace, over HTTP and MCP, and what they heard."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from benchmarks.wire import Heard, Lost, Wire, post
from ml.catalogue import CATALOGUE

TOOLS = tuple(one.tool for one in CATALOGUE)
#: The sample market tells each bar once; the exchange corrects itself.
UNREVISED = ("SIMBTC", "SIMETH")
SYMBOLS = (*UNREVISED, "LOOPA", "LOOPB")
#: Of so many questions one goes through MCP.
MCP_EVERY = 10
OK, SHED = 200, (429, 503)

_MCP = {"Accept": "application/json, text/event-stream"}
_VERSION = "2025-11-25"
_SHED_BY = {"rate_limited": 429, "overloaded": 503, "not_durable": 503}


@dataclass(frozen=True, slots=True)
class Answered:
    """Who answered a question, when it was asked and when it was answered (seconds), and whether somebody was passed
    over."""

    asked_at: float
    heard_at: float
    by: str
    passed_over: bool


@dataclass
class Seen:
    """What was heard: seconds an answer took, statuses, who answered, answers by what they hang on, what was wrong."""

    took: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    answered: list[Answered] = field(default_factory=list)
    answers: dict[tuple[str, ...], str] = field(default_factory=dict)
    passed_over: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)

    def reply(self, tool: str, symbol: str, reply: dict[str, Any], asked_at: float, heard_at: float) -> None:
        """One answer. What has one name is one answer, and on bars that nobody revises there is one of each version."""
        passed_over = reply.get("passed_over") or ()
        self.answered.append(Answered(asked_at, heard_at, reply["answered_by"], bool(passed_over)))
        self.passed_over.update(passed_over)
        name = reply["prediction_id"]
        self._one((name,), json.dumps([reply.get("answer"), reply["answered_by"]], sort_keys=True))
        if symbol in UNREVISED:
            self._one((tool, symbol, reply["answered_by"], str(reply.get("data_through")), str(passed_over)), name)

    def _one(self, key: tuple[str, ...], said: str) -> None:
        if self.answers.setdefault(key, said) != said:
            self.wrong[f"two answers for {key}"] += 1


async def load(port: int, per_second: int, seconds: float, connections: int) -> Seen:
    """Asks at this pace for so long; where answers come too slowly, at the pace of the connections."""
    seen = Seen()
    until, pace = time.perf_counter() + seconds, connections / per_second
    wires = [Wire(port) for _ in range(connections)]
    session = await _session(wires[0])
    try:
        await asyncio.gather(*(_line(wire, session, seen, n, pace, until) for n, wire in enumerate(wires)))
    finally:
        for wire in wires:
            wire.close()
    return seen


async def _line(wire: Wire, session: dict[str, str], seen: Seen, n: int, pace: float, until: float) -> None:
    chance = random.Random(n)  # noqa: S311 - which question comes next
    due = time.perf_counter() + pace * chance.random()
    while due < until:
        await asyncio.sleep(max(due - time.perf_counter(), 0.0))
        due = max(due + pace, time.perf_counter() - pace)
        tool, symbol = chance.choice(TOOLS), chance.choice(SYMBOLS)
        mcp = not chance.randrange(MCP_EVERY)
        began = time.perf_counter()
        try:
            heard = await wire.ask(_called(session, tool, symbol) if mcp else _ASKED[tool, symbol])
        except (Lost, OSError, TimeoutError) as error:
            seen.wrong[f"{type(error).__name__}: {error}"] += 1
            continue
        ended = time.perf_counter()
        status, reply, told_when = _through_mcp(heard) if mcp else _over_http(heard)
        seen.took.append(ended - began)
        seen.statuses[status] += 1
        if status in SHED and not told_when:
            seen.wrong[f"{status} without Retry-After"] += 1
        if reply is not None:
            seen.reply(tool, symbol, reply, began, ended)


_ASKED = {(tool, symbol): post(f"/v1/tools/{tool}", {"symbol": symbol}) for tool in TOOLS for symbol in SYMBOLS}


def _over_http(heard: Heard) -> tuple[int, dict[str, Any] | None, bool]:
    """Status, reply, and whether it says when to come again."""
    return heard.status, json.loads(heard.body) if heard.status == OK else None, "retry-after" in heard.headers


def _through_mcp(heard: Heard) -> tuple[int, dict[str, Any] | None, bool]:
    """The same; MCP says when to come again in the error."""
    if heard.status != OK:
        return heard.status, None, "retry-after" in heard.headers
    told = _message(heard)
    result = told.get("result")
    if result is None:
        return 500, None, False
    if result.get("isError"):
        error = result["_meta"]["barograph/error"]
        return _SHED_BY.get(error["code"], 500), None, bool(error.get("retryable"))
    return OK, result["structuredContent"], False


def _message(heard: Heard) -> dict[str, Any]:
    lines = [line.removeprefix(b"data: ") for line in heard.body.splitlines() if line.startswith(b"data: {")]
    message: dict[str, Any] = json.loads(lines[-1] if lines else heard.body)
    return message


async def _session(wire: Wire) -> dict[str, str]:
    hello = {"protocolVersion": _VERSION, "capabilities": {}, "clientInfo": {"name": "soak", "version": "1"}}
    heard = await wire.ask(_rpc({}, "initialize", hello))
    return {"Mcp-Session-Id": heard.headers["mcp-session-id"], "MCP-Protocol-Version": _VERSION}


def _called(session: dict[str, str], tool: str, symbol: str) -> bytes:
    return _rpc(session, "tools/call", {"name": tool, "arguments": {"symbol": symbol}})


def _rpc(session: dict[str, str], method: str, params: dict[str, Any]) -> bytes:
    body = {"jsonrpc": "2.0", "id": random.getrandbits(40), "method": method, "params": params}
    return post("/mcp", body, {**session, **_MCP})
