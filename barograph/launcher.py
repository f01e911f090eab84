"""The `barograph` command: puts the application's folder first on the import path, then hands over.

The application's packages have plain names (`tools`, `registry`, ...) that other people's repositories use as well. In
the wheel they lie in `barograph/app/`; in a checkout beside this package. Whatever folder the command is started in,
ours come first.
"""

from __future__ import annotations

import sys
from pathlib import Path


def application_folder() -> Path:
    """Where the application's packages are: inside the wheel, or the checkout."""
    inside = Path(__file__).resolve().parent / "app"
    return inside if inside.is_dir() else Path(__file__).resolve().parent.parent


def main() -> None:
    """Runs the command line."""
    folder = str(application_folder())
    sys.path[:] = [folder, *(entry for entry in sys.path if entry not in ("", folder))]
    from commands.main import run  # only now does the name mean ours

    run(sys.argv[1:])
