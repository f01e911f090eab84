"""What `GET /v1/tools` says. Written by `make client` from the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Face:
    """What a caller is told of a tool before calling it."""

    name: str
    title: str
    description: str
    read_only: bool
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Faces:
    """All tools of a server."""

    version: str
    tools: tuple[Face, ...]
