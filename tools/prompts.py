"""Prompts: `prompts/*.md`, each a way to work with the instruments. A prompt of a capability takes its question's
choices as arguments; others name theirs in a head of TOML between lines of `+++`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from ml.symbol import SYMBOL_PATTERN
from tools.refusal import Code, Refused

if TYPE_CHECKING:
    from ml.capability import AnyCapability

HEAD = "+++\n"
SYMBOL = "symbol"
#: What else may stand in an argument: a few words or numbers in one line.
WORDS = r"^[\w .,:;/@+%()=-]{1,120}$"


class Argument(BaseModel):
    """What a prompt may be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    required: bool = False
    values: tuple[str, ...] = ()
    """All there are; empty: any that fits `pattern`."""
    pattern: str = WORDS


class Head(BaseModel):
    """What a prompt's file says of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str
    arguments: tuple[Argument, ...] = Field(default=())


class Prompt(BaseModel):
    """A prompt as it is listed, with its text."""

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    description: str
    arguments: tuple[Argument, ...]
    text: str

    def rendered(self, given: Mapping[str, str]) -> str:
        """The text, for these arguments. Raises Refused for one that is missing, unknown or unfit."""
        problems = [*_problems(self.arguments, given)]
        if problems:
            accepted = [f"{one.name}: {_expected(one)}" for one in self.arguments]
            raise Refused(Code.INVALID, "; ".join(problems), accepted=accepted or ["no arguments"])
        told = [f"{one.name} {given[one.name]}" for one in self.arguments if given.get(one.name)]
        about = [f"For {', '.join(told)}.", ""] if told else []
        return "\n".join([f"# {self.title}", "", *about, self.text])


def prompts(folder: Path, capabilities: Iterable[AnyCapability]) -> tuple[Prompt, ...]:
    """All prompts of a folder, those of the catalogue's instruments first. Raises ValueError for a file that has no
    head and belongs to no capability, and FileNotFoundError for a capability without one."""
    by_name = {one.name: one for one in capabilities}
    others = sorted(path.stem for path in folder.glob("*.md") if path.stem not in by_name)
    return tuple(_prompt(folder / f"{name}.md", by_name.get(name)) for name in [*by_name, *others])


def _prompt(path: Path, capability: AnyCapability | None) -> Prompt:
    whole = path.read_text("utf-8")
    head: Head | None = None
    if whole.startswith(HEAD):
        said, _, whole = whole.removeprefix(HEAD).partition(HEAD)
        head = Head.model_validate(tomllib.loads(said))
    elif capability is not None:
        head = Head(description=f"How to use {capability.tool} and read its answer.", arguments=_arguments(capability))
    if head is None:
        raise ValueError(f"{path.name} has no head: its description and arguments, between lines of +++")
    title, _, text = whole.strip().partition("\n")
    return Prompt(
        name=path.stem,
        title=title.removeprefix("# "),
        description=head.description,
        arguments=head.arguments,
        text=text.strip(),
    )


def _arguments(capability: AnyCapability) -> tuple[Argument, ...]:
    """A symbol, and what a question may choose among."""
    fields = capability.question.model_fields
    chosen = [
        Argument(name=name, description=fields[name].description or name, values=tuple(kind))
        for name in ("horizon", "timeframe")
        if name in fields and isinstance(kind := fields[name].annotation, type) and issubclass(kind, StrEnum)
    ]
    described = fields[SYMBOL].description or SYMBOL
    return (Argument(name=SYMBOL, description=described, required=True, pattern=SYMBOL_PATTERN), *chosen)


def _problems(arguments: tuple[Argument, ...], given: Mapping[str, str]) -> Iterable[str]:
    if set(given) - {one.name for one in arguments}:
        yield "there is an argument that this prompt does not have"
    for one in arguments:
        value = given.get(one.name, "")
        if not value:
            if one.required:
                yield f"{one.name} is missing"
        elif one.values and value not in one.values:
            yield f"{one.name} is none of {', '.join(one.values)}"
        elif not re.fullmatch(one.pattern, value):
            yield f"{one.name} is not as it should be"


def _expected(argument: Argument) -> str:
    needed = "required" if argument.required else "optional"
    choice = f", one of {', '.join(argument.values)}" if argument.values else ""
    return f"{needed}{choice}. {argument.description}"
