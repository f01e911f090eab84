"""Refused requests: what was wrong, what would be accepted, and whether to try again.

Errors are part of the interface. There are three kinds: an abstention (`CannotAnswer`, part of a reply), a refusal
(this file) and a fault (masked to the caller, logged with an incident number). A refusal never repeats the caller's
input and never carries third-party text.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from registry.scope import Scope


class Code(StrEnum):
    """What kind of refusal it is; stable, for programs."""

    MALFORMED = "malformed_request"
    INVALID = "invalid_request"
    TOO_LARGE = "request_too_large"
    UNKNOWN_TOOL = "unknown_tool"
    UNKNOWN_SYMBOL = "unknown_symbol"
    UNKNOWN_PREDICTION = "unknown_prediction"
    UNKNOWN_KEY = "unknown_key"
    BEFORE_HISTORY = "as_of_before_history"
    IN_FUTURE = "as_of_in_future"
    OVERLOADED = "overloaded"
    NOT_DURABLE = "not_durable"
    MODEL_GONE = "model_gone"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    RATE_LIMITED = "rate_limited"
    WRONG_HOST = "wrong_host"
    WRONG_ORIGIN = "wrong_origin"
    FAULT = "internal_fault"


#: The HTTP status of each refusal. MCP has only `isError`; the code is in the text of both.
HTTP_STATUS = {
    Code.MALFORMED: 400,
    Code.INVALID: 422,
    Code.TOO_LARGE: 413,
    Code.UNKNOWN_TOOL: 404,
    Code.UNKNOWN_SYMBOL: 404,
    Code.UNKNOWN_PREDICTION: 404,
    Code.UNKNOWN_KEY: 404,
    Code.BEFORE_HISTORY: 422,
    Code.IN_FUTURE: 422,
    Code.OVERLOADED: 503,
    Code.NOT_DURABLE: 503,
    Code.MODEL_GONE: 410,
    Code.UNAUTHENTICATED: 401,
    Code.FORBIDDEN: 403,
    Code.RATE_LIMITED: 429,
    Code.WRONG_HOST: 421,
    Code.WRONG_ORIGIN: 403,
    Code.FAULT: 500,
}


class Refused(Exception):  # noqa: N818 - the word of the vocabulary
    """Raised anywhere on the road; the doors turn it into an error body."""

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        accepted: Iterable[str] = (),
        retryable: bool = False,
        retry_after_seconds: int | None = None,
        needs: Scope | None = None,
    ) -> None:
        super().__init__(message)
        #: The scope that the caller lacks.
        self.needs = needs
        self.body = ErrorBody(
            error=ErrorDetail(
                code=code,
                message=message,
                accepted=tuple(accepted),
                retryable=retryable,
                retry_after_seconds=retry_after_seconds,
            )
        )

    @property
    def code(self) -> Code:
        return self.body.error.code


class ErrorDetail(BaseModel):
    """What was wrong and what to do about it."""

    model_config = ConfigDict(frozen=True)

    code: Code
    message: str = Field(description="What was wrong, without repeating the input.")
    accepted: tuple[str, ...] = Field(description="What would be accepted.")
    retryable: bool = Field(description="Whether the same request may succeed later.")
    retry_after_seconds: int | None = Field(default=None, description="Not before so many seconds, where it is known.")


class ErrorBody(BaseModel):
    """The body of every error, on both doors."""

    model_config = ConfigDict(frozen=True)

    error: ErrorDetail

    def line(self) -> str:
        """The same in one line, for hosts that show text alone."""
        said = "; ".join(one.rstrip(".") for one in self.error.accepted)
        accepted = f" Accepted: {said}." if said else ""
        wait = self.error.retry_after_seconds
        later = "later" if wait is None else f"in {wait} s"
        again = f" Try again {later}." if self.error.retryable else ""
        return f"{self.error.code}: {self.error.message}.{accepted}{again}"


def invalid(error: ValidationError, model: type[BaseModel]) -> Refused:
    """A failed validation of `model`, told without a word of the input: even an unknown field's name is theirs."""
    if any(problem["type"] == "json_invalid" for problem in error.errors(include_input=False, include_url=False)):
        return Refused(Code.MALFORMED, "the request is not valid JSON", accepted=["a JSON object"])
    found = [_told(problem["loc"], problem["type"], problem["msg"], model) for problem in _problems(error)]
    accepted = [f"{name}: {_expected(field)}" for name, field in model.model_fields.items()]
    return Refused(Code.INVALID, "; ".join(dict.fromkeys(found)), accepted=accepted)


def _problems(error: ValidationError) -> list[Any]:
    return list(error.errors(include_input=False, include_url=False, include_context=False))[:5]


def _told(where: tuple[int | str, ...], kind: str, message: str, model: type[BaseModel]) -> str:
    field = str(where[0]) if where and where[0] in model.model_fields else None
    if kind == "extra_forbidden":
        return "there is a field that this tool does not have"
    if kind == "missing":
        return f"{field} is missing"
    return f"{field}: {message}" if field else message


def _expected(field: FieldInfo) -> str:
    required = "required" if field.is_required() else "optional"
    return f"{required}. {field.description}" if field.description else required
