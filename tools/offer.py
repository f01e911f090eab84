"""All that a server offers, as data: what a door needs beside somebody who answers calls. A proxy gets it by HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from tools.prompts import Prompt, prompts
from tools.resources import Resource, resources
from tools.tool import Face, Tool

if TYPE_CHECKING:
    from ml.capability import AnyCapability


class Offer(BaseModel):
    """All tools, resources and prompts of a server."""

    model_config = ConfigDict(frozen=True)

    version: str
    tools: tuple[Face, ...]
    resources: tuple[Resource, ...]
    prompts: tuple[Prompt, ...]

    @staticmethod
    def of(version: str, tools: Sequence[Tool], catalogue: Iterable[AnyCapability], folder: Path) -> Offer:
        """What these tools and this catalogue offer, with the prompts of a folder."""
        capabilities = tuple(catalogue)
        return Offer(
            version=version,
            tools=tuple(Face.of(tool) for tool in tools),
            resources=resources(capabilities),
            prompts=prompts(folder, capabilities),
        )
