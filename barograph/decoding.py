"""From JSON to the frozen dataclasses of `barograph.replies`.

A newer server may say more than this version knows: fields without a name here are left out, and words beyond those of
a Literal are kept as they came. What is missing, or of another kind, is a Mismatch.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache
from math import isfinite
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


class Mismatch(Exception):  # noqa: N818 - turned into Unexpected before a caller sees it
    """The JSON is not what the contract says: where, and what was awaited. Never what came instead."""


def decoded(kind: type[T], said: object) -> T:
    """`said` (what json.loads gives) as a `kind`. Raises Mismatch."""
    return cast(T, _any_of(kind, said, "reply", {}))


def _any_of(kind: Any, said: object, where: str, bound: Mapping[Any, Any]) -> object:  # noqa: ANN401 - any annotation
    kind = bound.get(kind, kind) if isinstance(kind, TypeVar) else kind
    origin = get_origin(kind)
    if kind is Any:
        return said
    if is_dataclass(origin or kind):
        return _dataclass(kind, said, where, bound)
    if origin in (Union, types.UnionType):
        return _union(get_args(kind), said, where, bound)
    if origin is tuple:
        (each, *_) = get_args(kind)
        return tuple(_any_of(each, one, f"{where}[]", bound) for one in _a(list, said, where))
    if origin is Mapping:
        each = get_args(kind)[1]
        return {name: _any_of(each, one, f"{where}.*", bound) for name, one in _a(dict, said, where).items()}
    return _plain(str if origin is Literal else kind, said, where)


def _dataclass(kind: Any, said: object, where: str, bound: Mapping[Any, Any]) -> object:  # noqa: ANN401 - any annotation
    origin = get_origin(kind) or kind
    given = _a(dict, said, where)
    arguments = [bound.get(one, one) if isinstance(one, TypeVar) else one for one in get_args(kind)]
    inner = dict(zip(getattr(origin, "__parameters__", ()), arguments, strict=False))
    found = {}
    for name, hint, required in _fields(origin):
        if name in given:
            found[name] = _any_of(hint, given[name], f"{where}.{name}", inner)
        elif required:
            raise Mismatch(f"{where}.{name} is missing")
    return origin(**found)


@cache
def _fields(kind: Any) -> tuple[tuple[str, Any, bool], ...]:  # noqa: ANN401 - a dataclass
    hints = get_type_hints(kind)
    return tuple((f.name, hints[f.name], f.default is MISSING and f.default_factory is MISSING) for f in fields(kind))


def _union(kinds: tuple[Any, ...], said: object, where: str, bound: Mapping[Any, Any]) -> object:
    if said is None and types.NoneType in kinds:
        return None
    wrong: Mismatch | None = None
    for kind in kinds:
        try:
            if kind is not types.NoneType:
                return _any_of(kind, said, where, bound)
        except Mismatch as error:
            wrong = error
    raise wrong or Mismatch(f"{where} is not null")


def _plain(kind: Any, said: object, where: str) -> object:  # noqa: ANN401 - one of a few types
    if kind in _FROM_WORDS:
        try:
            return _FROM_WORDS[kind](_a(str, said, where))
        except ValueError:
            raise Mismatch(f"{where} is no {kind.__name__}") from None
    if kind is float:
        number = _a(float, float(said) if type(said) is int and abs(said) < _MOST else said, where)
        if not isfinite(number):  # 1e400 is JSON, and no number
            raise Mismatch(f"{where} is not finite")
        return number
    return _a(kind, said, where)


#: An integer beyond this is no double.
_MOST = 2**1023
_FROM_WORDS: Mapping[type, Callable[[str], object]] = {datetime: datetime.fromisoformat}


def _a(kind: type[T], said: object, where: str) -> T:
    if type(said) is not kind:  # a bool is no int here, as in JSON
        raise Mismatch(f"{where} is no {kind.__name__}")
    return said
