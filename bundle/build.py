"""`make mcpb`: the bundle in dist/, a zip that holds the wheel, how to run it, and a manifest.

The server type is `uv`: the host's uv makes an environment from the wheel in the bundle and from the package index, so
the first start needs the network (and takes a minute), later ones do not. A bundle with all of its libraries inside
would be another one for each system and Python, of several hundred megabytes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from barograph import __version__

ROOT = Path(__file__).parent.parent
MANIFEST = Path(__file__).parent / "manifest.json"
ENTRY = "run.py"
RUN = '''"""Started by the host: hands over to the command line."""

from barograph.launcher import main

main()
'''
#: A date for all entries: the same bundle from the same source.
LONG_AGO = (1980, 1, 1, 0, 0, 0)


def main() -> None:
    """Builds the wheel and the bundle around it, and says where it is."""
    with tempfile.TemporaryDirectory() as scratch:
        bundle = build(wheel(Path(scratch)), ROOT / "dist")
    print(f"{bundle} ({bundle.stat().st_size / 1e6:.1f} MB)")


def manifest() -> dict[str, Any]:
    """The manifest, with the version that the code has."""
    said: dict[str, Any] = json.loads(MANIFEST.read_text("utf-8"))
    return {**said, "version": __version__}


def wheel(folder: Path) -> Path:
    """The wheel, built into a folder."""
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True, timeout=120)  # noqa: S603 - our own command
    (built,) = folder.glob("*.whl")
    return built


def build(built: Path, folder: Path) -> Path:
    """The bundle around a wheel, in a folder."""
    parts = {
        "manifest.json": json.dumps(manifest(), indent=2).encode(),
        "pyproject.toml": _project(built.name).encode(),
        ENTRY: RUN.encode(),
        built.name: built.read_bytes(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    bundle = folder / f"barograph-{__version__}.mcpb"
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name, LONG_AGO), content, zipfile.ZIP_DEFLATED)
    return bundle


def _project(wheel_name: str) -> str:
    return f"""[project]
name = "barograph-desktop"
version = "{__version__}"
requires-python = ">=3.11,<3.14"
dependencies = ["barograph"]

[tool.uv]
package = false

[tool.uv.sources]
barograph = {{ path = "{wheel_name}" }}
"""


if __name__ == "__main__":
    main()
