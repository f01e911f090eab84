"""Options that most commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[Path | None, typer.Option("--config", help="Config file; see config.yaml. Default: none.")]
DataFolder = Annotated[Path | None, typer.Option("--data", help="Data folder. Default: the config's, or ~/.barograph.")]
AsJson = Annotated[bool, typer.Option("--json", help="Say it as JSON, for programs.")]
