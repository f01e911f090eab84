"""`barograph models ...`: which versions there are, why each stands where it does, and the operator's own word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from commands.faults import Told, Unusable
from commands.options import AsJson, ConfigFile, DataFolder
from commands.place import Place, place, process_id, system_clock
from commands.terminal import as_json, out

if TYPE_CHECKING:
    from registry.aliases import InForce
    from registry.models import Decision, Version
    from registry.store import Store
    from registry.versions import Versions

OPERATOR = "operator"

Name = Annotated[str, typer.Argument(help="A version, e.g. volatility@3.")]
Because = Annotated[str, typer.Option(help="Why. It is kept with the decision.")]

app = typer.Typer(help="Versions of models: list, show, promote, roll back, retire.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class _Shelf:
    """State of a data folder, as far as versions go."""

    where: Place
    store: Store
    versions: Versions


@app.command("list")
def list_(config: ConfigFile = None, data: DataFolder = None, json_wanted: AsJson = False) -> None:
    """All versions, and which is in force."""
    where = place(config, data, {}, json_wanted=json_wanted)
    with Told(json_wanted), _read(where) as shelf:
        now = system_clock()
        found = [(one, shelf.versions.in_force(one.capability, now)) for one in _all(shelf)]
    if json_wanted:
        as_json({"versions": [{**_said(one), **_in_force_told(one, champion)} for one, champion in found]})
        return
    table = Table("version", "label", "state", "lessons", "learned through", "in force for", box=None)
    for one, champion in found:
        lessons = f"{one.card.n_lessons:,}" if one.card else ""
        through = _day(one.card.learned_through) if one.card else ""
        here = one.version == champion.version
        earned = "" if not here else "everything" if champion.strata is None else "; ".join(sorted(champion.strata))
        table.add_row(f"{one.name} *" if here else one.name, one.label, str(one.state), lessons, through, earned)
    out.print(table)
    out.print("* in force; where it is not, the rules answer", markup=False)


@app.command()
def show(name: Name, config: ConfigFile = None, data: DataFolder = None, json_wanted: AsJson = False) -> None:
    """What a version learnt from, and every decision on it."""
    where = place(config, data, {}, json_wanted=json_wanted)
    with Told(json_wanted), _read(where) as shelf:
        capability, number = _parsed(name)
        version = shelf.versions.show(capability, number)
        decisions = [one for one in shelf.versions.decisions(capability) if one.version == number]
    if json_wanted:
        as_json({**_said(version), "decisions": [_decided(one) for one in decisions]})
        return
    out.print(f"{version.name} ({version.label}): {version.state}", markup=False)
    if version.card:
        card = version.card
        learnt = f"{card.n_lessons:,} lessons, {_day(card.learned_from)} to {_day(card.learned_through)}"
        out.print(f"  {card.learner}, {learnt}, seed {card.seed}, sha256 {card.sha256}", markup=False)
    for one in decisions:
        _tell(one)


@app.command()
def promote(
    name: Name, because: Because, config: ConfigFile = None, data: DataFolder = None, json_wanted: AsJson = False
) -> None:
    """Make a version the champion by hand. What was rejected, and what cannot be loaded, stays out."""

    def decide(shelf: _Shelf, now: int) -> Decision:
        from workers.retrain import promoted

        capability, number = _parsed(name)
        version = shelf.versions.show(capability, number)
        unserved = _unserved(shelf, capability, number)
        if unserved:
            raise Unusable(f"{name} cannot be promoted: {unserved}")
        return promoted(shelf.versions, version, [because], OPERATOR, now)

    _done(place(config, data, {}, json_wanted=json_wanted), because, decide, json_wanted)


@app.command()
def rollback(
    capability: Annotated[str, typer.Argument(help="Whose champion is taken back, e.g. volatility.")],
    because: Because,
    config: ConfigFile = None,
    data: DataFolder = None,
    json_wanted: AsJson = False,
) -> None:
    """Take the champion back, to the one before it; at last to the rules."""
    _done(
        place(config, data, {}, json_wanted=json_wanted),
        because,
        lambda shelf, now: shelf.versions.rollback(capability, [because], OPERATOR, _in_force(now)),
        json_wanted,
    )


@app.command()
def retire(
    name: Name, because: Because, config: ConfigFile = None, data: DataFolder = None, json_wanted: AsJson = False
) -> None:
    """Take a version out of the running; where it was the champion, the rules answer."""
    _done(
        place(config, data, {}, json_wanted=json_wanted),
        because,
        lambda shelf, now: shelf.versions.retire(*_parsed(name), [because], OPERATOR, _in_force(now)),
        json_wanted,
    )


def _done(where: Place, because: str, decide: Callable[[_Shelf, int], Decision], json_wanted: bool) -> None:
    """A decision, made while nobody else has the folder."""
    with Told(json_wanted):
        if not because.strip():
            raise Unusable("--because needs a reason: it is kept with the decision")
        with _owned(where) as shelf:
            decision = decide(shelf, system_clock())
    if json_wanted:
        as_json(_decided(decision))
    else:
        _tell(decision)


@contextmanager
def _owned(where: Place) -> Iterator[_Shelf]:
    from registry.owner import Ownership

    ownership = Ownership.claim(where.folder, process_id(), system_clock())
    try:
        with _opened(where) as shelf:
            yield shelf
    finally:
        ownership.release()


@contextmanager
def _read(where: Place) -> Iterator[_Shelf]:
    """To look is allowed beside a running server."""
    from registry.owner import FolderOwned, Ownership

    if not (where.folder / "state.sqlite").is_file():
        raise Unusable(f"{where.folder} holds no state yet: serve it, or import bars, first")
    try:
        ownership: Ownership | None = Ownership.claim(where.folder, process_id(), system_clock())
    except FolderOwned:
        ownership = None
    try:
        with _opened(where) as shelf:
            yield shelf
    finally:
        if ownership is not None:
            ownership.release()


@contextmanager
def _opened(where: Place) -> Iterator[_Shelf]:
    from registry.store import migrate, open_store
    from registry.versions import Versions

    store = open_store(where.folder / "state.sqlite")
    try:
        migrate(store)
        yield _Shelf(where, store, Versions(store, where.config.tenant))
    finally:
        store.close()


def _all(shelf: _Shelf) -> list[Version]:
    from ml.catalogue import CATALOGUE

    return [version for one in CATALOGUE for version in shelf.versions.of(one.name)]


def _unserved(shelf: _Shelf, capability: str, version: int) -> str | None:
    from ml.catalogue import CATALOGUE
    from registry.blobs import Blobs
    from tools.models import Models
    from workers.train import SUFFIX

    blobs = Blobs(shelf.where.folder / "blobs" / shelf.where.config.tenant)
    models = Models(CATALOGUE, shelf.versions, lambda sha256: blobs.read(sha256, SUFFIX), system_clock)
    return models.unserved(capability, version)


def _in_force(now: int) -> int:
    from workers.retrain import IN_FORCE_AFTER_MS

    return now + IN_FORCE_AFTER_MS


def _parsed(name: str) -> tuple[str, int]:
    """`volatility@3` as capability and number. Raises Unusable."""
    from ml.catalogue import CATALOGUE

    capability, at, number = name.partition("@")
    if not at or not number.isdecimal() or capability not in {one.name for one in CATALOGUE}:
        raise Unusable(f"'{name}' names no version; say e.g. {CATALOGUE[0].name}@1 (barograph models list)")
    return capability, int(number)


def _said(one: Version) -> dict[str, Any]:
    card = asdict(one.card) if one.card else None
    return {"version": one.name, "label": one.label, "state": str(one.state), "card": card}


def _in_force_told(one: Version, champion: InForce) -> dict[str, Any]:
    if one.version != champion.version:
        return {"in_force": False, "strata": None}
    return {"in_force": True, "strata": None if champion.strata is None else sorted(champion.strata)}


def _decided(one: Decision) -> dict[str, Any]:
    about = {"version": f"{one.capability}@{one.version}", "verdict": str(one.verdict)}
    return {**about, "reasons": list(one.reasons), "by": one.decided_by, "at": one.at}


def _tell(one: Decision) -> None:
    name = f"{one.capability}@{one.version}"
    out.print(f"{_day(one.at)} {name} {one.verdict} by {one.decided_by}: {'; '.join(one.reasons)}", markup=False)


def _day(instant: int) -> str:
    from tools.reply import brief_time

    return brief_time(instant)
