"""The HTTP door: `POST /v1/tools/{tool}`, with the same bytes as the MCP door, and its OpenAPI page."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.routing import Route

from tools.refusal import Code, ErrorBody, Refused
from tools.tool import DOOR_HEADER, WITH_TEXT, Call, Faces, Served, Tool, caller, refusal

JSON = "application/json"
#: Our own doors that pass questions on, by the name under which the ledger knows who asked.
DOORS = ("cli", "mcp")


def http_app(
    tools: Sequence[Tool],
    faces: Faces,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    body_limit_bytes: int,
) -> FastAPI:
    """The app with a route for each tool. The caller mounts the MCP app on it, last."""
    app = FastAPI(title="Barograph", version=faces.version, lifespan=lifespan, docs_url="/docs", redoc_url=None)
    call = caller(tools)
    for tool in tools:  # plain routes: the models validate, so FastAPI has nothing to solve for each request
        app.router.routes.append(
            Route(f"/v1/tools/{tool.name}", _endpoint(tool.name, call, body_limit_bytes), methods=["POST"])
        )
    listed, up = _said(faces.model_dump_json()), _said('{"status":"up"}')
    app.add_api_route("/v1/tools", listed, methods=["GET"], summary="The tools and their schemas")
    app.add_api_route("/healthz", up, methods=["GET"], summary="Whether the server is up")
    app.openapi = lambda: _openapi(app, tools)  # type: ignore[method-assign]  # FastAPI documents it so
    app.add_exception_handler(HTTPException, _not_here(tools))
    return app


def respond(served: Served) -> Response:
    """What was served, as an HTTP response."""
    headers = {"Retry-After": "1"} if served.http_status == 503 else None
    return Response(served.body, status_code=served.http_status, media_type=JSON, headers=headers)


def _said(body: str) -> Callable[[], Awaitable[Response]]:
    """Always the same."""

    async def endpoint() -> Response:
        return Response(body, media_type=JSON)

    return endpoint


def _endpoint(name: str, call: Call, body_limit_bytes: int) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            body = await _bounded_body(request, body_limit_bytes)
        except Refused as refused:
            return respond(refusal(refused))
        if request.headers.get("accept") == WITH_TEXT:
            door = request.headers.get(DOOR_HEADER)
            served = await call(name, body or b"{}", door if door in DOORS else "http")
            return Response(served.model_dump_json(), media_type=WITH_TEXT)
        return respond(await call(name, body or b"{}", "http"))

    return endpoint


async def _bounded_body(request: Request, limit_bytes: int) -> bytes:
    """The body, read only as far as it may go: a caller cannot make the server hold more."""
    parts: list[bytes] = []
    size = 0
    stream: AsyncIterator[bytes] = request.stream()
    async for part in stream:
        size += len(part)
        if size > limit_bytes:
            raise Refused(Code.TOO_LARGE, f"the body is over {limit_bytes} bytes", accepted=[f"{limit_bytes} bytes"])
        parts.append(part)
    return b"".join(parts)


def _not_here(tools: Sequence[Tool]) -> Callable[[Request, Exception], Awaitable[Response]]:
    paths = [f"POST /v1/tools/{tool.name}" for tool in tools]

    async def handler(request: Request, error: Exception) -> Response:  # noqa: ARG001 - nothing of it is echoed
        status = error.status_code if isinstance(error, HTTPException) else 500
        served = refusal(Refused(Code.UNKNOWN_TOOL, "there is nothing at this path with this method", accepted=paths))
        response = respond(served)
        response.status_code = status
        return response

    return handler


def _openapi(app: FastAPI, tools: Sequence[Tool]) -> dict[str, Any]:
    """OpenAPI 3.1, from the same models that validate."""
    if app.openapi_schema:
        return app.openapi_schema
    schema = FastAPI.openapi(app)
    models: list[tuple[type[BaseModel], Any]] = [(ErrorBody, "serialization")]
    models += [(tool.request, "validation") for tool in tools]
    models += [(tool.reply, "serialization") for tool in tools]
    refs, definitions = models_json_schema(models, ref_template="#/components/schemas/{model}")
    schema.setdefault("components", {}).setdefault("schemas", {}).update(definitions["$defs"])
    error = {"content": {JSON: {"schema": refs[ErrorBody, "serialization"]}}}
    for tool in tools:
        asked: dict[str, Any] = {"schema": refs[tool.request, "validation"]}
        if tool.examples:
            asked["example"] = json.loads(tool.examples[0].model_dump_json(exclude_defaults=True))
        reply = {"description": "The reply", "content": {JSON: {"schema": refs[tool.reply, "serialization"]}}}
        operation = {
            "operationId": tool.name,
            "summary": tool.title,
            "description": tool.description,
            "requestBody": {"required": True, "content": {JSON: asked}},
            "responses": {"200": reply, **{code: {"description": why, **error} for code, why in ERRORS.items()}},
        }
        schema["paths"][f"/v1/tools/{tool.name}"] = {"post": operation}
    return schema


ERRORS = {
    "400": "Not valid JSON",
    "404": "A symbol that nobody feeds, or an unknown prediction",
    "410": "The model that gave this prediction is gone",
    "413": "The body is too large",
    "422": "A field is wrong; the body says what would be accepted",
    "500": "The server failed",
    "503": "Predictions cannot be written down now; try again",
}
