"""The HTTP door: `POST /v1/tools/{tool}`, with the same bytes as the MCP door, and its OpenAPI page."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.routing import Route

from tools.challenge import WELL_KNOWN, Challenge
from tools.changes import Changes
from tools.event_stream import stream
from tools.offer import Offer
from tools.refusal import Code, ErrorBody, Refused
from tools.tool import Call, Faces, Served, Tool, refusal
from tools.tool_door import JSON, ToolDoor, headers_of


@dataclass(frozen=True, slots=True)
class Desk:
    """Tools that are called alike: `POST /v1/{under}/{tool}`, with bodies up to a limit; `listed` ones are in the
    OpenAPI page."""

    under: str
    tools: Sequence[Tool]
    body_limit_bytes: int
    listed: bool = True


def http_app(
    desks: Sequence[Desk],
    call: Call,
    offer: Offer,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
    challenge: Challenge,
    changes: Changes,
) -> FastAPI:
    """The app with a route for each tool of each desk, and the change feed. The caller puts the MCP app beside them."""
    app = FastAPI(title="Barograph", version=offer.version, lifespan=lifespan, docs_url="/docs", redoc_url=None)
    pages = app.router.routes[:]
    app.router.routes.clear()  # they come last: each route costs whoever is looking for one behind it
    for desk in desks:
        for tool in desk.tools:  # plain routes: the models validate, so FastAPI has nothing to solve for each request
            door = ToolDoor(tool.name, call, desk.body_limit_bytes, challenge)
            app.router.routes.append(Route(f"/v1/{desk.under}/{tool.name}", door, methods=["POST"]))
    if challenge.resource is not None:
        metadata = _said(challenge.resource.metadata().decode())
        for path in {WELL_KNOWN, urlsplit(challenge.resource.metadata_url()).path}:
            app.add_api_route(path, metadata, methods=["GET"], include_in_schema=False)
    listed, up = _said(Faces(version=offer.version, tools=offer.tools).model_dump_json()), _said('{"status":"up"}')
    whole = _said(offer.model_dump_json())
    app.add_api_route("/v1/tools", listed, methods=["GET"], summary="The tools and their schemas")
    app.add_api_route("/v1/offer", whole, methods=["GET"], summary="All that the MCP door offers, for its proxies")
    app.add_api_route("/healthz", up, methods=["GET"], summary="Whether the server is up")
    app.router.routes.append(Route("/v1/events", _follows(changes), methods=["GET"]))
    app.router.routes.extend(pages)
    listed_desks = [desk for desk in desks if desk.listed]
    app.openapi = lambda: _openapi(app, listed_desks)  # type: ignore[method-assign]  # FastAPI documents it so
    app.add_exception_handler(HTTPException, _not_here(desks[0].tools))
    return app


def respond(served: Served, challenge: Challenge | None = None) -> Response:
    """What was served, as an HTTP response."""
    headers = headers_of(served, challenge)
    return Response(served.body, status_code=served.http_status, media_type=JSON, headers=headers)


def _said(body: str) -> Callable[[], Awaitable[Response]]:
    """Always the same."""

    async def endpoint() -> Response:
        return Response(body, media_type=JSON)

    return endpoint


def _follows(changes: Changes) -> Callable[[Request], Awaitable[Response]]:
    """`GET /v1/events[?after=ID][&name=NAME]...`: server-sent events, from now on or after an id (which the header
    Last-Event-ID tells too)."""

    async def endpoint(request: Request) -> Response:
        after = request.headers.get("last-event-id") or request.query_params.get("after")
        try:
            return await stream(changes, after, request.query_params.getlist("name"))
        except Refused as refused:
            return respond(refusal(refused))

    return endpoint


def _not_here(tools: Sequence[Tool]) -> Callable[[Request, Exception], Awaitable[Response]]:
    paths = [f"POST /v1/tools/{tool.name}" for tool in tools]

    async def handler(request: Request, error: Exception) -> Response:  # noqa: ARG001 - nothing of it is echoed
        status = error.status_code if isinstance(error, HTTPException) else 500
        served = refusal(Refused(Code.UNKNOWN_TOOL, "there is nothing at this path with this method", accepted=paths))
        response = respond(served)
        response.status_code = status
        return response

    return handler


def _openapi(app: FastAPI, desks: Sequence[Desk]) -> dict[str, Any]:
    """OpenAPI 3.1, from the same models that validate."""
    if app.openapi_schema:
        return app.openapi_schema
    schema = FastAPI.openapi(app)
    tools = [(desk.under, tool) for desk in desks for tool in desk.tools]
    models: list[tuple[type[BaseModel], Any]] = [(ErrorBody, "serialization")]
    models += [(tool.request, "validation") for _, tool in tools]
    models += [(tool.reply, "serialization") for tool in {tool.reply: tool for _, tool in tools}.values()]
    refs, definitions = models_json_schema(models, ref_template="#/components/schemas/{model}")
    schema.setdefault("components", {}).setdefault("schemas", {}).update(definitions["$defs"])
    error = {"content": {JSON: {"schema": refs[ErrorBody, "serialization"]}}}
    for under, tool in tools:
        asked: dict[str, Any] = {"schema": refs[tool.request, "validation"]}
        if tool.examples:
            asked["example"] = json.loads(tool.examples[0].model_dump_json(exclude_defaults=True))
        reply = {"description": "The reply", "content": {JSON: {"schema": refs[tool.reply, "serialization"]}}}
        operation = {
            "operationId": tool.name,
            "summary": tool.title,
            "description": tool.description,
            "requestBody": {"required": _asks_for_something(tool), "content": {JSON: asked}},
            "responses": {"200": reply, **{code: {"description": why, **error} for code, why in ERRORS.items()}},
        }
        schema["paths"][f"/v1/{under}/{tool.name}"] = {"post": operation}
    return schema


def _asks_for_something(tool: Tool) -> bool:
    """A tool without a field that must be there is asked with no body as well."""
    return any(field.is_required() for field in tool.request.model_fields.values())


ERRORS = {
    "400": "Not valid JSON",
    "401": "No credential, or one that is not good (any more)",
    "403": "The credential lacks a scope; the body says which",
    "404": "A symbol that nobody feeds, or an unknown prediction",
    "410": "The model that gave this prediction is gone",
    "413": "The body is too large",
    "422": "A field is wrong; the body says what would be accepted",
    "429": "Called too often; Retry-After says when to try again",
    "500": "The server failed",
    "503": "Predictions cannot be written down now; try again",
}
