"""Schemathesis reads the OpenAPI page as a stranger would, and calls all operations with what it allows and forbids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, TypeAlias

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.types import ASGIApp, Receive, Scope, Send

from server import House, app
from tools.refusal import HTTP_STATUS, ErrorBody

Operation: TypeAlias = schemathesis.APIOperation[Any, Any, Any, Any]
ADDRESS = "http://127.0.0.1"
EXAMPLES = 15
#: That valid data are accepted is not asked of everybody: no schema can say that a time lies in the future.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.fixture
def page(house: House) -> dict[str, Any]:
    return app(house).openapi()


@pytest.fixture
def operations(house: House) -> Iterator[list[Operation]]:
    door = app(house)
    read = schemathesis.openapi.from_dict(door.openapi())
    read.app = _neighbour(door)
    found = list(read.get_all_operations())
    assert all(isinstance(one, Ok) for one in found)
    yield [one.ok() for one in found if isinstance(one, Ok)]
    shutdown_lifespans()


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_operation_keeps_to_the_page(operations: list[Operation], mode: GenerationMode, house: House) -> None:
    seen: Counter[tuple[str, int]] = Counter()
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and operation.method == "get":
            continue  # there is nothing in it that could be wrong

        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def keeps_to_the_page(case: schemathesis.Case[Any]) -> None:
            if mode is GenerationMode.POSITIVE and isinstance(case.body, dict) and "symbol" in case.body:
                # One of two: else hardly anybody would come past the door.
                case.body["symbol"] = ("AAA", case.body["symbol"])[len(str(case.body)) % 2]
            reply = case.call(base_url=ADDRESS)
            seen[case.operation.path, reply.status_code] += 1
            case.validate_response(reply, checks=CHECKS)

        keeps_to_the_page()
    for tool in house.tools:
        told = {status for path, status in seen if path == f"/v1/tools/{tool.name}"}
        wanted = {200, 400, 422} if mode is GenerationMode.NEGATIVE else {200, 404, 410, 422}  # 200: asked with no body
        assert told, tool.name
        assert told <= wanted, tool.name


def test_the_page_is_openapi_3_1(page: dict[str, Any]) -> None:
    assert page["openapi"].startswith("3.1")
    for name, schema in page["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert schema.get("type") or schema.get("enum"), name


def test_every_tool_is_there_with_its_request_its_reply_and_all_its_errors(page: dict[str, Any], house: House) -> None:
    for tool in house.tools:
        operation = page["paths"][f"/v1/tools/{tool.name}"]["post"]
        request = operation["requestBody"]["content"]["application/json"]["schema"]
        assert set(_resolved(page, request)["properties"]) == set(tool.request.model_fields)
        reply = operation["responses"]["200"]["content"]["application/json"]["schema"]
        assert set(_resolved(page, reply)["properties"]) == set(tool.reply.model_fields)
        errors = {int(code): told for code, told in operation["responses"].items() if int(code) >= 400}
        for told in errors.values():
            error = _resolved(page, told["content"]["application/json"]["schema"])
            assert set(error["properties"]) == set(ErrorBody.model_fields)
        assert set(errors) >= {400, 401, 403, 404, 413, 422, 429, 500, 503}
        assert set(errors) <= set(HTTP_STATUS.values())


def test_whatever_may_be_null_may_be_left_out(page: dict[str, Any]) -> None:
    """Replies leave nulls out: a schema that required one would make liars of them."""
    wrong = [
        f"{name}.{field}"
        for name, schema in page["components"]["schemas"].items()
        for field, told in schema.get("properties", {}).items()
        if {"type": "null"} in told.get("anyOf", ()) and field in schema.get("required", ())
    ]
    assert wrong == []


def _resolved(page: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = page["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _neighbour(door: ASGIApp) -> ASGIApp:
    """Calls come from this machine: no key is needed."""

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        await door({**scope, "client": ("127.0.0.1", 50_000)}, receive, send)

    return asked
