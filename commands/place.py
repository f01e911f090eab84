"""Where a command works: its config and data folder, from options and environment. The only reader of either."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands.config import BadConfig, Config, load
from commands.terminal import stop


@dataclass(frozen=True, slots=True)
class Place:
    """Config and data folder of one run of the command line."""

    config: Config
    config_file: Path | None
    folder: Path


def place(config_file: Path | None, data: Path | None, overrides: dict[str, Any], *, json_wanted: bool) -> Place:
    """Options win over the environment (BAROGRAPH_CONFIG, BAROGRAPH_DATA), and that over the config file."""
    chosen = config_file or _from_environment("BAROGRAPH_CONFIG")
    try:
        config = load(chosen, overrides)
    except BadConfig as error:
        stop(str(error), json_wanted=json_wanted)
    folder = data or _from_environment("BAROGRAPH_DATA") or (Path(config.data) if config.data else None)
    return Place(config, chosen, (folder or Path.home() / ".barograph").expanduser().resolve())


def system_clock() -> int:
    """Milliseconds since 1970. The one place where the wall clock is read."""
    return time.time_ns() // 1_000_000


def process_id() -> int:
    return os.getpid()


def _from_environment(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None
