"""Barograph: instruments for LLM trading agents. This is the only name that the wheel puts on the import path.

`Client` and `AsyncClient` ask a server; they are imported, with httpx, when they are first named.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; importing typing would cost more than all the rest of this file
if TYPE_CHECKING:
    from barograph.async_client import AsyncClient as AsyncClient
    from barograph.client import Client as Client
    from barograph.errors import BarographError as BarographError
    from barograph.errors import Refused as Refused
    from barograph.errors import Unexpected as Unexpected
    from barograph.errors import Unreachable as Unreachable
    from barograph.verdict import Verdict as Verdict

__version__ = "0.1.0"

_HOMES = {
    "AsyncClient": "async_client",
    "BarographError": "errors",
    "Client": "client",
    "Refused": "errors",
    "Unexpected": "errors",
    "Unreachable": "errors",
    "Verdict": "verdict",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'barograph' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"barograph.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
