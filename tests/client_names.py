"""How the client's types are written: pydantic annotations as text."""

from __future__ import annotations

import re
import textwrap
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

FIELDS = "Each method asks one tool. What is None is not said: the server's default holds."
WIDTH = 112


@dataclass(frozen=True)
class Parameter:
    """One parameter of a method."""

    name: str
    text: str
    required: bool


@dataclass(frozen=True)
class Models:
    """Models and enums, in the order in which they must be written."""

    all: tuple[type, ...]

    @staticmethod
    def of(model: type[BaseModel]) -> Models:
        """All that a model is made of, parts first."""
        return Models(tuple(dict.fromkeys(_parts(model))))

    @property
    def classes(self) -> list[type[BaseModel]]:
        return [one for one in self.all if issubclass(one, BaseModel)]

    @property
    def enums(self) -> list[type[Enum]]:
        return [one for one in self.all if issubclass(one, Enum)]

    @property
    def generic(self) -> bool:
        return any(_is_generic(one) for one in self.classes)

    def dataclass_of(self, model: type[BaseModel]) -> list[str]:
        """The lines of one class. Its fields are given by name, so that new ones may come anywhere."""
        parents = [one for one in self.classes if one in model.__bases__]
        inherited = {name for one in parents for name in one.model_fields}
        bases = ", ".join([f"{one.__name__}[A]" if _is_generic(one) else one.__name__ for one in parents])
        if _is_generic(model):
            bases = f"{bases}, Generic[A]" if bases else "Generic[A]"
        lines = ["", "@dataclass(frozen=True, kw_only=True)", f"class {model.__name__}{f'({bases})' if bases else ''}:"]
        lines += [textual(model.__doc__, "    "), ""]
        for name, field in model.model_fields.items():
            if name not in inherited:
                lines += [f"    {name}: {shown(field.annotation)}{_default(field)}"]
                lines += [textual(field.description, "    ")] if field.description else []
        return lines


def tops(reply: type[BaseModel]) -> list[type]:
    """The classes by which a reply is named: itself, or what a generic one is of."""
    return list(reply.__pydantic_generic_metadata__["args"]) or [reply]


def parameters(request: type[BaseModel], shared: Sequence[type]) -> list[Parameter]:
    """What a method takes: required fields first."""
    found = []
    for name, field in request.model_fields.items():
        kind = shown(field.annotation, asked=True, named=shared)
        optional = kind if kind.endswith("| None") else f"{kind} | None"
        required = field.is_required()
        found.append(Parameter(name, f"{name}: {kind}" if required else f"{name}: {optional} = None", required))
    return sorted(found, key=lambda one: not one.required)


def shown(kind: Any, *, asked: bool = False, named: Sequence[type] | None = None) -> str:
    """An annotation as text. `asked`: of a question, where more is taken than is given. `named`: enums that have a
    name; None: all have."""
    origin, arguments = get_origin(kind), get_args(kind)

    def inner(one: Any) -> str:
        return shown(one, asked=asked, named=named)

    if origin is Annotated:
        return inner(arguments[0])
    if origin in (Union, types.UnionType):
        return " | ".join(sorted((inner(one) for one in arguments), key=lambda text: text == "None"))
    if origin in (tuple, list, frozenset, set):
        return f"Sequence[{inner(arguments[0])}]" if asked else f"tuple[{inner(arguments[0])}, ...]"
    if origin in (dict, Mapping):
        return f"Mapping[str, {inner(arguments[1])}]"
    if origin is Literal:
        return shown_inline(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind.__name__ if named is None or kind in named else shown_inline(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return "Mapping[str, Any]" if asked else _model(kind)
    return _plain(kind, asked)


def shown_inline(kind: Any) -> str:
    """An enum or a Literal as a Literal."""
    values = [one.value for one in _members(kind)] if isinstance(kind, type) else get_args(kind)
    return f"Literal[{', '.join(_quoted(one) for one in values)}]"


def textual(text: str | None, indent: str) -> str:
    """A docstring, wrapped."""
    words = " ".join((text or "").split()).replace("\\", "\\\\").replace('"""', "'''")
    one = f'{indent}"""{words}"""'
    if len(one) <= WIDTH:
        return one
    return textwrap.fill(f'"""{words}', WIDTH, initial_indent=indent, subsequent_indent=indent) + f'\n{indent}"""'


def _members(enum: type[Enum]) -> list[Enum]:
    return list(enum)


def wrapped(code: str, indent: str) -> str:
    """Code in brackets, broken at its commas."""
    whole, deeper = re.sub(r"(?<!,) ", "\0", code), f"{indent}        "
    lines = textwrap.wrap(whole, WIDTH, initial_indent=indent, subsequent_indent=deeper, break_on_hyphens=False)
    return "\n".join(lines).replace("\0", " ")


def _parts(kind: Any) -> Iterator[type]:
    arguments = get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        yield kind
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        generic = kind.__pydantic_generic_metadata__
        own: type[BaseModel] = generic["origin"] or kind
        for parent in own.__bases__:
            if parent is not BaseModel and issubclass(parent, BaseModel) and _is_ours(parent):
                yield from _parts(parent)
        for field in own.model_fields.values():
            yield from _parts(field.annotation)
        for one in generic["args"]:
            yield from _parts(one)
        yield own
    else:
        for one in arguments:
            yield from _parts(one)


def _is_ours(parent: type[BaseModel]) -> bool:
    """A parent that has fields; a mere base of settings needs no dataclass."""
    return bool(parent.model_fields)


def _is_generic(model: type[BaseModel]) -> bool:
    return bool(model.__pydantic_generic_metadata__["parameters"])


def _model(kind: type[BaseModel]) -> str:
    generic = kind.__pydantic_generic_metadata__
    name = (generic["origin"] or kind).__name__
    arguments = generic["args"] or generic["parameters"]
    return f"{name}[{', '.join(shown(one) for one in arguments)}]" if arguments else name


def _plain(kind: Any, asked: bool) -> str:
    if kind in (AwareDatetime, datetime):
        return "datetime | str" if asked else "datetime"
    if isinstance(kind, TypeVar):
        return "A"
    if kind in (None, types.NoneType):
        return "None"
    if kind is Any:
        return "Any"
    if kind in (str, int, float, bool):
        return str(kind.__name__)
    raise TypeError(f"the client has no type for {kind}: teach tests/client_names.py")


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _default(field: FieldInfo) -> str:
    """What a reply may leave out."""
    if field.is_required():
        return " = None" if types.NoneType in get_args(field.annotation) else ""
    default = field.get_default(call_default_factory=True)
    if isinstance(default, (str, int, float, bool, tuple)) or default is None:
        return f" = {_quoted(default)}"
    return " = field(default_factory=dict)"
