"""The yardsticks of `make bench`: the same doors with nothing behind them."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

from mcp.server import MCPServer
from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel

if TYPE_CHECKING:
    from fastapi import FastAPI


class Asked(BaseModel):
    symbol: str


class Reply(BaseModel):
    """Fifteen fields, about as many bytes as one of our replies."""

    symbol: str = "SIMBTC"
    summary: str = "x" * 190
    one: float = 0.000403232
    two: float = 2.00806
    three: float = 0.0000846788
    four: float = 0.00010605
    five: float = 0.000156454
    six: float = 0.000249198
    seven: float = 0.000423394
    answered_by: str = "volatility@0"
    source: str = "rules"
    note: str = "x" * 100
    reasons: tuple[str, ...] = ("x" * 90, "x" * 90, "x" * 90, "x" * 90)
    as_of: str = "2026-11-20T11:02:22.481000Z"
    stale: bool = False


REPLY = Reply()
mcp = MCPServer("bare")


@mcp.tool()
async def answer(symbol: str) -> Annotated[CallToolResult, Reply]:
    """Says always the same."""
    del symbol
    return CallToolResult(
        content=[TextContent(type="text", text=REPLY.summary)], structured_content=REPLY.model_dump(mode="json")
    )


def http_app() -> FastAPI:
    """The same over HTTP; imported here, because a stdio server need not wait for it."""
    from fastapi import FastAPI

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        async with mcp.session_manager.run():
            yield

    app = FastAPI(lifespan=life)

    @app.post("/v1/tools/answer")
    async def over_http(asked: Asked) -> Reply:
        del asked
        return Reply()

    app.router.routes.extend(mcp.streamable_http_app().routes)
    return app


def main() -> None:
    """`stdio` serves MCP over standard input; anything else serves HTTP on a free port, which it prints."""
    if sys.argv[1:] == ["stdio"]:
        mcp.run("stdio")
        return
    import uvicorn

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(http_app(), log_level="error", access_log=False)).run(sockets=[listening])


if __name__ == "__main__":
    main()
