"""Completion: what may follow what was typed. Symbols are asked of the server, choices are known."""

from __future__ import annotations

import json

from pydantic import BaseModel, ConfigDict

from tools.prompts import SYMBOL, Argument
from tools.tool import Call

#: The protocol allows so many in one completion.
MOST = 100
WHO_KNOWS_SYMBOLS = "get_server_status"


class Completions(BaseModel):
    """The first of them, and how many there are."""

    model_config = ConfigDict(frozen=True)

    values: tuple[str, ...] = ()
    total: int = 0


async def completions(argument: Argument, typed: str, call: Call, asked_by: str) -> Completions:
    """What the argument may be, given its beginning. Nothing where anything goes, or where nothing fits."""
    if argument.name == SYMBOL:
        return await symbols(typed.upper(), call, asked_by)
    fitting = tuple(one for one in argument.values if one.startswith(typed))
    return Completions(values=fitting[:MOST], total=len(fitting))


async def symbols(typed: str, call: Call, asked_by: str) -> Completions:
    """Symbols that are fed and begin so."""
    served = await call(WHO_KNOWS_SYMBOLS, json.dumps({"starts_with": typed, "detail": "full"}), asked_by)
    if served.code is not None:  # what was typed is no beginning of a symbol
        return Completions()
    told = json.loads(served.body)
    return Completions(values=tuple(told["symbols"][:MOST]), total=told["n_symbols"])
