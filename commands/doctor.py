"""`barograph doctor`: looks for what would go wrong, and says what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape

from commands.faults import Unusable, said_of
from commands.options import AsJson, ConfigFile, DataFolder
from commands.place import Place, place, process_id, system_clock
from commands.terminal import as_json, out

if TYPE_CHECKING:
    from server import House

#: A clock may be behind by this much and nobody asks why.
CLOCK_SLACK_MS = 10_000
#: What serving needs, as the wheel's metadata names it.
NEEDED = ("mcp", "fastapi", "uvicorn", "pydantic", "numpy", "ta-lib", "duckdb", "pyarrow", "sqlalchemy", "alembic")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    well: bool
    says: str


def doctor(config: ConfigFile = None, data: DataFolder = None, json_wanted: AsJson = False) -> None:
    """Check the installation and the data folder: packages, lock, database, every part of the history, the disk."""
    where = place(config, data, {}, json_wanted=json_wanted)
    checks: tuple[tuple[str, Callable[[Place], str]], ...] = (
        ("python", _python),
        ("packages", _packages),
        ("data folder", _folder),
        ("owner", _owner),
        ("releases", _releases),
        ("state and history", _state),
    )
    findings = [_found(what, check, where) for what, check in checks]
    if json_wanted:
        as_json({"well": all(one.well for one in findings), "findings": [_said(one) for one in findings]})
    else:
        for one in findings:
            out.print(f"{'[green]well[/]' if one.well else '[red]ill[/] '}  {one.what}: {escape(one.says)}")
    raise typer.Exit(0 if all(one.well for one in findings) else 1)


class Ill(Unusable):
    """Something is not as it must be."""


def _found(what: str, check: Callable[[Place], str], where: Place) -> Finding:
    try:
        return Finding(what, True, check(where))
    except Exception as error:  # what the operator can be told is a finding; all else is raised
        said = said_of(error)
        if said is None:
            raise
        return Finding(what, False, said)


def _said(finding: Finding) -> dict[str, Any]:
    return {"what": finding.what, "well": finding.well, "says": finding.says}


def _python(_: Place) -> str:
    now = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise Ill(f"{now}; 3.11 to 3.13 are tested")
    return now


def _packages(_: Place) -> str:
    told, absent = [], []
    for name in NEEDED:
        try:
            told.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            absent.append(name)
    if absent:
        raise Ill(f"missing: {', '.join(absent)}; install barograph again")
    return ", ".join(told)


def _folder(where: Place) -> str:
    import shutil

    from registry.disk import make_folder

    make_folder(where.folder)
    probe = where.folder / f".doctor-{process_id()}"
    probe.write_bytes(b"x")
    probe.unlink()
    free_gb = shutil.disk_usage(where.folder).free / 1e9
    if free_gb < 0.5:
        raise Ill(f"{where.folder}: only {free_gb:.1f} GB are free; predictions stop being written when it is full")
    return f"{where.folder}, {free_gb:.0f} GB free"


def _owner(where: Place) -> str:
    from commands.owner_client import serving
    from registry.owner import owner_of

    owner = owner_of(where.folder)
    if owner is not None and owner.url and serving(where.folder) is None:
        raise Ill(f"{owner} owns it and does not answer; stop it (kill -9 {owner.pid}) and start it again")
    return f"it is owned by {owner}" if owner else "nobody owns it now"


def _state(where: Place) -> str:
    from registry.owner import Ownership, owner_of
    from server import build

    if owner_of(where.folder):
        return "the owner has it open; ask `barograph status`, or stop it to have every byte checked"
    ownership = Ownership.claim(where.folder, process_id(), system_clock())
    try:
        house = build(where.config, where.folder, system_clock)  # reads every part, and checks its sha256
        try:
            house.store.check()
            _clock_must_not_lag(house)
            return f"{len(house.history.series())} series, {house.ledger.count():,} predictions, all whole"
        finally:
            house.close()
    finally:
        ownership.release()


def _releases(where: Place) -> str:
    """Told, and never an ill: without later ones answers say that they do not know."""
    from server import scheduled

    until = datetime.fromtimestamp(scheduled(where.config).known_until() / 1_000, UTC)
    return f"US releases are known until {until:%Y-%m-%d}; later ones go into market.calendar of the config"


def _clock_must_not_lag(house: House) -> None:
    newest = max((one.last_received_at for one in house.history.series()), default=0)
    behind_ms = newest - house.clock()
    if behind_ms > CLOCK_SLACK_MS:
        raise Ill(
            f"the clock of this machine is {behind_ms / 1_000:,.0f} s behind the newest bar that was received here; "
            "set it right, or bars that come now will count as not closed yet"
        )
