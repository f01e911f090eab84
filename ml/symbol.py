"""What a symbol may look like. Without numpy: a proxy's start waits for it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

SYMBOL_PATTERN = r"^[A-Z0-9][A-Z0-9._:/-]{0,31}$"
Symbol = Annotated[str, Field(pattern=SYMBOL_PATTERN, max_length=32)]
