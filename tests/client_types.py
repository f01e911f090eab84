"""Writes the client's types from the contract: `python -m tests.client_types` (`make client`).

From the models of the tools come `barograph/replies/` (a frozen dataclass for each model of a reply) and the named
methods of both clients. Nothing of the server is imported by what is written.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from commands.config import Config
from ml.catalogue import CATALOGUE
from server import build
from tests.client_names import FIELDS, Models, parameters, shown, shown_inline, textual, tops, wrapped
from tools.tool import Faces, Tool

PACKAGE = Path(__file__).parent.parent / "barograph"
SHARED = "shared"
HEAD = '"""{} Written by `make client` from the contract."""\n\nfrom __future__ import annotations\n\n'


def catalogue() -> tuple[Tool, ...]:
    """The tools of a house; of its data nothing is asked."""
    with tempfile.TemporaryDirectory() as folder:
        house = build(Config(), Path(folder) / "data", lambda: 1_767_225_600_000)
        try:
            return house.tools
        finally:
            house.close()


def method_of(tool: Tool) -> str:
    """The name of its method: the capability's, or the tool's without `get_`."""
    capability = {one.tool: one.name for one in CATALOGUE}
    return capability.get(tool.name, tool.name.removeprefix("get_"))


def written(tools: Sequence[Tool]) -> dict[str, str]:
    """All files, by their path inside the package, formatted."""
    named = {method_of(tool): tool for tool in tools}
    models = {name: Models.of(tool.reply) for name, tool in named.items()} | {"tools": Models.of(Faces)}
    times = [one for found in models.values() for one in found.all]
    shared = [one for one in dict.fromkeys(times) if times.count(one) > 1]
    asked = [enum for tool in tools for enum in Models.of(tool.request).enums]
    shared += [one for one in dict.fromkeys(asked) if asked.count(one) > 1 and one not in shared]
    files = {f"replies/{SHARED}.py": _module("What several tools say.", Models(tuple(shared)), ())}
    for name, found in models.items():
        about = f"What `{named[name].name}` says." if name in named else "What `GET /v1/tools` says."
        own = Models(tuple(one for one in found.all if one not in shared))
        files[f"replies/{name}.py"] = _module(about, own, [one for one in found.all if one in shared])
    files["replies/__init__.py"] = _index(named)
    files["instruments.py"] = _methods(named, shared, "")
    files["async_instruments.py"] = _methods(named, shared, "async ")
    return {path: formatted(text) for path, text in files.items()}


def formatted(text: str) -> str:
    ruff = [sys.executable, "-m", "ruff"]
    for words in (["check", "--select", "I,F401", "--fix-only", "--quiet"], ["format", "--quiet"]):
        done = subprocess.run(
            [*ruff, *words, "--stdin-filename", str(PACKAGE / "written.py"), "-"],
            input=text, capture_output=True, text=True, check=True,
        )  # fmt: skip
        text = done.stdout
    return text


def _module(about: str, own: Models, others: Iterable[type]) -> str:
    lines = [
        "from collections.abc import Mapping",
        "from dataclasses import dataclass, field",
        "from datetime import datetime",
        "from typing import Any, Generic, Literal, TypeAlias, TypeVar",
        *(f"from barograph.replies.{SHARED} import {one.__name__}" for one in others),
        "",
    ]
    if own.generic:
        lines += ['A = TypeVar("A")', '"""The answer of an instrument."""', ""]
    for enum in own.enums:
        lines += [f"{enum.__name__}: TypeAlias = {shown_inline(enum)}", textual(enum.__doc__, ""), ""]
    for model in own.classes:
        lines += own.dataclass_of(model)
    return HEAD.format(about) + "\n".join(lines) + "\n"


def _index(named: dict[str, Tool]) -> str:
    lines = ["from collections.abc import Mapping", "from typing import Any", ""]
    for name, tool in named.items():
        lines += [f"from barograph.replies.{name} import {one.__name__}" for one in tops(tool.reply)]
    lines += [f"from barograph.replies.{SHARED} import Reply", ""]
    lines += ["#: The type of each tool's reply.", "REPLIES: Mapping[str, Any] = {"]
    lines += [f'    "{tool.name}": {shown(tool.reply)},' for tool in named.values()]
    repeatable = ", ".join(f'"{tool.name}"' for tool in named.values() if tool.read_only)
    lines += [
        "}",
        "",
        "#: Asking these twice is as good as asking once.",
        f"REPEATABLE = frozenset({{{repeatable}}})",
        "",
    ]
    return HEAD.format("The replies of the tools, as frozen dataclasses.") + "\n".join(lines)


def _methods(named: dict[str, Tool], shared: Sequence[type], kind: str) -> str:
    class_name = "AsyncInstruments" if kind else "Instruments"
    lines = ["from collections.abc import Mapping, Sequence", "from datetime import datetime"]
    lines += ["from typing import Any, Literal, Protocol, TypeVar", ""]
    for name, tool in named.items():
        lines += [f"from barograph.replies.{name} import {one.__name__}" for one in tops(tool.reply)]
    lines += [f"from barograph.replies.{SHARED} import {one.__name__}" for one in shared]
    lines += [
        "", 'T = TypeVar("T")', "", "# fmt: off", "", f"class {class_name}(Protocol):", f'    """{FIELDS}"""', "",
        f"    {kind}def _asked(self, kind: type[T] | None, tool: str, fields: Mapping[str, object]) -> T: ...",
    ]  # fmt: skip
    for name, tool in named.items():
        lines += _method(name, tool, shared, kind)
    return HEAD.format("The tools as methods.") + "\n".join(lines) + "\n"


def _method(name: str, tool: Tool, shared: Sequence[type], kind: str) -> list[str]:
    fields, reply = parameters(tool.request, shared), shown(tool.reply)
    first, rest = (fields[:1], fields[1:]) if fields and fields[0].required else ([], fields)
    signature = ", ".join(["self", *(one.text for one in first), *(["*"] if rest else []), *(one.text for one in rest)])
    told = ", ".join(f'"{one.name}": {one.name}' for one in fields)
    about = re.split(r"[.:;] ", " ".join(tool.description.split()))[0]
    return [
        "",
        wrapped(f"{kind}def {name}({signature}) -> {reply}:", "    "),
        textual(f"{tool.title} (`{tool.name}`). {about}.", "        "),
        f"        fields: dict[str, object] = {{\n{wrapped(told, ' ' * 12)}\n        }}",
        f'        return {"await " if kind else ""}self._asked({reply}, "{tool.name}", fields)',
    ]


def main() -> None:
    files = written(catalogue())
    for path in (PACKAGE / "replies").glob("*.py"):
        path.unlink()
    for name, text in files.items():
        (PACKAGE / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
