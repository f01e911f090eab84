"""`barograph replay`: history asked as the server would have been asked, or the questions of a file, point in time."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.faults import Told, Unusable
from commands.options import AsJson, ConfigFile
from commands.place import Place, place, process_id, system_clock
from commands.terminal import as_json, note, out, quiet
from ml.timeframe import Timeframe

if TYPE_CHECKING:
    from commands.answers import Replayed
    from commands.replaying import Grid

STEP_UNITS_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}


def replay(
    data: Annotated[
        list[Path],
        typer.Option(help="Folder or file of bars, and of what else is fed; may be given again, files are joined."),
    ],
    result: Annotated[Path, typer.Option("--out", help="Folder for the answers; with --questions a Parquet file.")],
    timeframe: Annotated[Timeframe, typer.Option(help="Bars to read.")] = Timeframe.H1,
    capabilities: Annotated[str, typer.Option(help="Which to ask, A,B. Default: all.")] = "",
    capability: Annotated[str, typer.Option(help="The one to ask, with --questions.")] = "",
    symbols: Annotated[str, typer.Option(help="Which symbols, A,B. Default: all that the folders hold.")] = "",
    start: Annotated[str, typer.Option(help="First as_of, ISO 8601. Default: the close of the first bar.")] = "",
    end: Annotated[str, typer.Option(help="Last as_of, ISO 8601. Default: the close of the last bar.")] = "",
    every: Annotated[str, typer.Option(help="Step between questions: 1h, 4h, 1d, ...")] = "1h",
    questions: Annotated[Path | None, typer.Option(help="Parquet: symbol, as_of, any field of the request.")] = None,
    retrain_every: Annotated[str, typer.Option(help="Refit models so often, e.g. 30d. Default: rules alone.")] = "",
    rules_only: Annotated[bool, typer.Option("--rules-only", help="Answer by version 0 alone.")] = False,
    config: ConfigFile = None,
    json_wanted: AsJson = False,
) -> None:
    """Walk history with a clock of its own: no answer sees a bar later than its as_of."""
    named = tuple(dict.fromkeys(_list(f"{capabilities},{capability}")))
    with Told(json_wanted):
        retrain_ms = _step_ms("--retrain-every", retrain_every) if retrain_every and not rules_only else None
        if questions:
            if symbols or start or end:
                raise Unusable("--symbols, --start and --end belong to a walk; with --questions the file says them")
            told = _questions(config, data, named, timeframe, questions, result, retrain_ms, json_wanted)
        else:
            from commands.replaying import Grid

            asked = Grid(
                named,
                tuple(dict.fromkeys(_list(symbols))),
                timeframe,
                _instant("--start", start),
                _instant("--end", end),
                _step_ms("--every", every),
            )
            where = place(config, result / "data", {}, json_wanted=json_wanted)
            told = _walk(where, data, asked, result, retrain_ms, json_wanted)
    _tell(told, json_wanted)


def _questions(
    config: Path | None,
    data: Sequence[Path],
    named: Sequence[str],
    timeframe: Timeframe,
    questions: Path,
    result: Path,
    retrain_ms: int | None,
    json_wanted: bool,
) -> list[Replayed]:
    from commands.replaying import replay_questions

    if len(named) != 1:
        raise Unusable("--questions are those of one capability: name it with --capability")
    if result.is_dir():
        raise Unusable(f"{result} is a folder; with --questions, --out names the file of answers")
    if result.exists() and result.samefile(questions):
        raise Unusable(f"{result} would replace the questions; name another file with --out")
    with tempfile.TemporaryDirectory(prefix="barograph-replay-") as temporary:
        where = place(config, Path(temporary), {}, json_wanted=json_wanted)
        silent = quiet(json_wanted)
        return [replay_questions(where, data, named[0], timeframe, questions, result, retrain_ms, silent=silent)]


def _walk(
    where: Place, data: Sequence[Path], asked: Grid, result: Path, retrain_ms: int | None, json_wanted: bool
) -> list[Replayed]:
    from commands.replaying import replay_walk
    from registry.owner import Ownership

    ownership = Ownership.claim(where.folder, process_id(), system_clock())
    try:
        return replay_walk(where, data, asked, result, retrain_ms, silent=quiet(json_wanted))
    finally:
        ownership.release()


def _tell(told: Sequence[Replayed], json_wanted: bool) -> None:
    for one in told:
        for said in one.notes:
            note(said, json_wanted=json_wanted)
    if json_wanted:
        as_json({"replayed": [one.said() for one in told]})
        return
    for one in told:
        abstained = one.rows - one.answered
        out.print(f"{one.file}: {one.rows:,} rows, {one.answered:,} answered, {abstained:,} abstentions", markup=False)
        for why, n in one.abstentions:
            out.print(f"  {n:,} x {why}", markup=False)


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _instant(option: str, text: str) -> int | None:
    """Milliseconds of an ISO time; without a zone it is UTC. Raises Unusable."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Unusable(f"{option} takes an ISO 8601 time, e.g. 2022-01-01 or 2022-01-01T12:00Z, not '{text}'") from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1_000)


def _step_ms(option: str, text: str) -> int:
    """Milliseconds of a step like 4h. Raises Unusable."""
    if text[-1:] not in STEP_UNITS_MS or not text[:-1].isdecimal() or int(text[:-1]) == 0:
        raise Unusable(f"{option} takes a number of m, h or d, e.g. 30m, 1h or 1d, not '{text}'")
    return int(text[:-1]) * STEP_UNITS_MS[text[-1]]
