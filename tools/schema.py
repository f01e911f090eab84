"""Schemas as a tool list carries them: every agent pays for them in every conversation, so they say things once.

What validates is the model; these are its schemas with the meaning kept and the repetition gone. OpenAPI, which nobody
pays for by the token, has them whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: Made up by pydantic from names that are there already.
MADE_UP = ("title", "$defs")
#: The server holds its replies to these; nobody needs them to read one.
OF_NO_USE_TO_READERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength",
                        "pattern", "default", "additionalProperties")  # fmt: skip
#: Objects that all instruments have alike: `barograph://guide` and OpenAPI say what is in them.
THE_SAME_EVERYWHERE = ("track_record", "abstained")
#: A definition of at most so many characters is repeated rather than referred to.
SHORT = 100

Schema = dict[str, Any]


def asked(schema: Mapping[str, Any], answered: Mapping[str, Sequence[str]] | None = None) -> Schema:
    """An input schema. What may be null may as well be left out: the list names its type alone. Of the choices of a
    field in `answered` only those are listed: the others are understood, and abstained on."""
    listed = _listed(schema)
    for name, choices in (answered or {}).items():
        field = listed["properties"][name]
        kept = [one for one in field["enum"] if one in choices]
        listed["properties"][name] = {**{k: v for k, v in field.items() if k != "description"}, "enum": kept}
    listed.pop("description", None)  # the tool has one
    for one in listed.get("properties", {}).values():
        if "items" in one:  # a list of what another field takes alone
            one["items"].pop("pattern", None)
    return listed


def told(schema: Mapping[str, Any], described: tuple[str, ...] = ()) -> Schema:
    """An output schema, without bounds and prose: `described` names the properties whose descriptions stay, at all
    depths. What the others mean is the same for all tools, and told once, in `barograph://guide`."""
    listed: Schema = _pruned(_listed(schema), described)
    return listed


def _listed(schema: Mapping[str, Any]) -> Schema:
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    kept = {name: "#" for name, one in definitions.items() if _holds_to_the_root(one, schema)}
    rest = {name: one for name, one in definitions.items() if name not in kept}
    referred = [one.rpartition("/")[2] for one in _references({**schema, "$defs": rest})]
    for name, one in rest.items():
        if referred.count(name) > 1 and len(json.dumps(one)) > SHORT:
            kept[name] = f"#/$defs/{name}"
    plain = _Plain(definitions, kept)
    listed: Schema = plain(schema)
    shared = {name: plain(definitions[name]) for name, place in kept.items() if place != "#"}
    return {**listed, "$defs": shared} if shared else listed


def _references(node: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    if isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _holds_to_the_root(definition: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    """Whether whatever obeys the definition obeys the whole schema: it can be said as `#`."""
    own, whole = definition.get("properties"), root["properties"]
    return (
        own is not None
        and definition.get("required") == root.get("required")
        and all(whole.get(name) == one for name, one in own.items())
    )


class _Plain:
    """Follows references, and leaves out titles, null defaults and second types."""

    def __init__(self, definitions: Mapping[str, Any], kept: Mapping[str, str]) -> None:
        self._definitions = definitions
        self._kept = kept

    def __call__(self, node: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(node, list):
            return [self(one) for one in node]
        if not isinstance(node, Mapping):
            return node
        if "$ref" in node:
            return self._followed(node)
        plain = {
            key: {name: self(one) for name, one in value.items()} if key == "properties" else self(value)
            for key, value in node.items()
            if key not in MADE_UP
            and not (key == "default" and value in (None, []))
            and not (key == "maxLength" and "pattern" in node)
        }
        return self._one_type(plain) if "anyOf" in plain else plain

    def _followed(self, node: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        name = node["$ref"].rpartition("/")[2]
        own = {key: value for key, value in node.items() if key != "$ref"}
        if name in self._kept:
            return {"$ref": self._kept[name], **self(own)}
        # A definition is described by the docstring of its class; where it is used, the field says more.
        bare = {key: value for key, value in self._definitions[name].items() if key != "description"}
        return self({**bare, **own})

    @staticmethod
    def _one_type(node: Schema) -> Schema:
        """`X or null` is X: null is never said, and may be left out when asking."""
        options = [one for one in node["anyOf"] if one != {"type": "null"}]
        if len(options) != 1:
            return {**node, "anyOf": options}
        return {**options[0], **{key: value for key, value in node.items() if key != "anyOf"}}


def _pruned(node: Any, described: tuple[str, ...], *, keep: bool = False, deep: bool = False) -> Any:  # noqa: ANN401 - JSON
    """`keep`: within a described property. `deep`: below the root, where what is left out is null."""
    if isinstance(node, list):
        return [_pruned(one, described, keep=keep, deep=deep) for one in node]
    if not isinstance(node, Mapping):
        return node
    dropped = {*OF_NO_USE_TO_READERS, *(() if keep else ("description",)), *(("required",) if deep else ())}
    pruned: Schema = {}
    for key, value in node.items():
        if key in ("properties", "$defs"):
            pruned[key] = {name: _property(one, name, described, keep=keep) for name, one in value.items()}
        elif key not in dropped:
            pruned[key] = _pruned(value, described, keep=keep, deep=True)
    return pruned


def _property(node: Any, name: str, described: tuple[str, ...], *, keep: bool) -> Any:  # noqa: ANN401 - JSON
    if name in THE_SAME_EVERYWHERE:
        return {"type": node["type"]}
    pruned = _pruned(node, described, keep=keep or name in described, deep=True)
    if not keep and isinstance(pruned, dict):
        pruned.pop("description", None)  # what it is for is the same everywhere; what is in it is not
    return pruned
