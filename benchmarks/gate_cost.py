"""What an answer by rules costs when it is asked again within a bar, from ASGI to ASGI, beside the bare FastAPI no-op;
and what stands before it: gate, guard, and a row of the audit log. CPU of one thread, the best of many short runs, so
that other work on the machine counts little. What a server adds (the same to both) is not in it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.bare import Asked, Reply, http_app
from commands.access import rates, rules
from commands.access_config import Limits
from commands.config import Config, Market, Models
from commands.running import sample_work
from registry.audit_chain import Act, append
from registry.scope import Scope
from registry.store import migrate, open_store
from server import House, app, build
from tools.gate import Gate
from tools.guard import Guard
from tools.principal import neighbour, speaking
from tools.tool import Tool, caller

RUNS, REQUESTS, ROWS = 400, 20, 350
OFTEN = "9999999/second"
BODY = b'{"symbol": "SIMBTC"}'
TOOL = "get_server_status"
AGAIN = ("get_market_regime", "forecast_volatility")
BARE = "bare FastAPI no-op, without its server"
HEADERS = [
    (b"host", b"127.0.0.1:8765"),
    (b"accept", b"*/*"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"connection", b"keep-alive"),
    (b"user-agent", b"python-httpx/0.28.1"),
    (b"content-length", b"20"),
    (b"content-type", b"application/json"),
]


async def cost_us(work: Callable[[], Awaitable[Any]]) -> float:
    """Microseconds of CPU of one `work`."""
    best = float("inf")
    for _ in range(RUNS):
        begun = time.thread_time()
        for _ in range(REQUESTS):
            await work()
        best = min(best, (time.thread_time() - begun) / REQUESTS)
        await asyncio.sleep(0.001)
    return best * 1e6


async def nothing(*_: Any) -> None:  # noqa: ANN401 - whatever an app is given
    """An app that does nothing."""


def request(asgi: Any, path: str, more: list[tuple[bytes, bytes]]) -> Callable[[], Awaitable[Any]]:  # noqa: ANN401 - an ASGI app of any maker
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    def scope() -> dict[str, Any]:
        here = {"client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8_765), "headers": [*HEADERS, *more]}
        at = {"path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http"}
        return {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", **at, **here}

    return lambda: asgi(scope(), receive, nothing)


async def before(house: House) -> dict[str, float]:
    """The cost of the gate and the guard, each without what is behind it."""
    token = house.keys.add("bench", [Scope.READ], expires_at=None, by="local", at=house.clock()).token
    key = (b"authorization", f"Bearer {token}".encode())
    gate = Gate(nothing, rules(house.config, house.keys, house.audit, house.clock), house.guard.needed)
    path = f"/v1/tools/{TOOL}"
    empty = await cost_us(request(nothing, path, []))
    found = {
        "gate, nobody shows a key": await cost_us(request(gate, path, [])) - empty,
        "gate, with a key": await cost_us(request(gate, path, [key])) - empty,
    }
    tool = Tool(TOOL, "", "", Asked, Reply, always)
    guard, plain = Guard((tool,), rates(house.config, [], [], house.clock), house.audit, house.clock), caller((tool,))
    with speaking(neighbour("local")):
        guarded = await cost_us(lambda: guard.call(TOOL, BODY, "http"))
        found["guard (scope, rate, hash, row queued)"] = guarded - await cost_us(lambda: plain(TOOL, BODY, "http"))
    return found


async def whole(house: House) -> dict[str, float]:
    """Answers by rules, asked again within a bar, in turn with the no-op; the row of the audit log not in them."""
    ours = app(house)
    asked = {tool: request(ours, f"/v1/tools/{tool}", []) for tool in AGAIN}
    found = {f"{tool}, asked again within a bar": await cost_us(ask) for tool, ask in asked.items()}
    return {**found, BARE: await cost_us(request(http_app(), "/v1/tools/answer", []))}


class Answer(Reply):
    """A reply that can say itself in text."""

    prediction_id: str = "a" * 32

    def text(self) -> str:
        return self.summary


async def always(_: Asked, __: str) -> Answer:
    """Says always the same."""
    return Answer()


def row_us(folder: Path) -> float:
    """A row of the audit log, in groups as they come at 700 calls a second; its thread runs beside the answers."""
    store = open_store(folder / "log.sqlite")
    migrate(store)
    detail = f'{{"door":"http","status":200,"code":null,"prediction_id":"{"a" * 32}","question_sha256":"{"b" * 64}"}}'
    acts = [Act(1_700_000_000_000 + n, "loopback", "call", TOOL, detail) for n in range(ROWS)]
    best = float("inf")
    for _ in range(60):
        begun = time.thread_time()
        with store.write() as connection:
            append(connection, "local", acts)
        best = min(best, time.thread_time() - begun)
    store.close()
    return best / ROWS * 1e6


def main() -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        often, untaught = Limits(with_key=OFTEN, without_key=OFTEN), Models(train=False, replay_past_days=0)
        config = Config(market=Market(sample=True), models=untaught, limits=often)
        house = build(config, folder / "data", lambda: time.time_ns() // 1_000_000)
        try:
            sample_work(house)
            found = {**asyncio.run(whole(house)), **asyncio.run(before(house))}
        finally:
            house.close()
        found["a row of the audit log, on disk"] = row = row_us(folder)
    print("| what | us CPU a request |\n|---|---|")
    for what, cost in found.items():
        print(f"| {what} | {cost:.1f} |")
    dearest = max(found[f"{tool}, asked again within a bar"] for tool in AGAIN) + row
    print(f"| the dearest with its row / the no-op, both without their server | {dearest / found[BARE]:.2f} x |")


if __name__ == "__main__":
    main()
