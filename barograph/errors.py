"""What can go wrong for a caller. Every error says what was wrong and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


class BarographError(Exception):
    """The base of all that a client raises by intent."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error body of the server."""

    code: str
    message: str
    accepted: tuple[str, ...]
    retryable: bool


class Refused(BarographError):  # noqa: N818 - the word of the vocabulary
    """The server understood, and said no. `code` is stable, for programs; `retry_after_seconds` is what it asked to
    wait, or None."""

    def __init__(self, refusal: Refusal, status: int, retry_after_seconds: float | None) -> None:
        said = "; ".join(one.rstrip(".") for one in refusal.accepted)
        super().__init__(f"{refusal.code}: {refusal.message}." + (f" Accepted: {said}." if said else ""))
        self.code = refusal.code
        self.message = refusal.message
        self.accepted = refusal.accepted
        self.retryable = refusal.retryable
        self.status = status
        self.retry_after_seconds = retry_after_seconds


class Unreachable(BarographError):  # noqa: N818 - the word of the vocabulary
    """Nobody answered in time, or what stands between did."""


class Unexpected(BarographError):  # noqa: N818 - the word of the vocabulary
    """Something answered that is no Barograph of this version: check the address, and both versions."""
