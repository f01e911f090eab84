"""`barograph call TOOL --bars FILE`: one question at the close of every bar of a file, answered in this process.

No server is needed and nothing is written down: rows and chain are those of the road, the bars are those of the file. A
champion in the data folder answers for the times after it had learnt; before, and without one, the rules do.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from commands.faults import Unusable
from commands.place import Place, system_clock
from ml.bars import Bars, Floats, Instants, Timeframe

if TYPE_CHECKING:
    from ml.capability import AnyCapability, Question, Rows
    from ml.timeline import Market
    from tools.chain import Link, Walked

ACCEPTED = "columns are symbol (may be left out), timestamp (the open of a bar), open, high, low, close, volume"
#: What a file without the column is called.
UNNAMED = "BARS"
_NUMBERS = ("open", "high", "low", "close", "volume")
#: A chain is looked up once for questions of one hour.
_HOUR_MS = 3_600_000

#: Who is asked about a capability as of an instant (ms).
ChainOf = Callable[[int], Sequence["Link"]]


@dataclass(frozen=True, slots=True, eq=False)
class FileOfBars:
    """The rows of a file, in its order: `symbols` and opens (`open_at`, int64 ms), and their columns, shape (5, n)."""

    symbols: tuple[str, ...]
    open_at: Instants
    numbers: Floats
    named: bool
    """Whether the file says its symbols."""

    @staticmethod
    def read(path: Path) -> FileOfBars:
        """A Parquet or CSV file. Raises BadBarFile."""
        from market.table_file import TableFile

        table = TableFile.read(path, ACCEPTED)
        open_at, _ = table.times()
        named = table.has("symbol")
        symbols = table.texts("symbol") if named else [UNNAMED] * len(table)
        return FileOfBars(
            tuple(symbols), open_at, np.stack([table.numbers(name) for name in _NUMBERS]).astype(np.float64), named
        )

    def series(self, timeframe: Timeframe) -> tuple[dict[str, Bars], dict[str, Instants]]:
        """Bars by symbol, in order of time, the last row of each time; and the positions of each symbol's rows."""
        from market.bar_table import NO_TIME

        members: dict[str, list[int]] = defaultdict(list)
        for at, symbol in enumerate(self.symbols):
            if self.open_at[at] != NO_TIME:
                members[symbol].append(at)
        bars, places = {}, {}
        for symbol, rows in members.items():
            places[symbol] = np.array(rows, dtype=np.int64)
            order = places[symbol][np.argsort(self.open_at[rows], kind="stable")]
            opens = self.open_at[order]
            order = order[np.append(opens[1:] != opens[:-1], True)]
            bars[symbol] = Bars(symbol, timeframe, self.open_at[order], *self.numbers[:, order])
        return bars, places


def batch(
    where: Place, tool: str, file: Path, fields: Mapping[str, object], timeframe: Timeframe | None = None
) -> pa.Table:
    """One row per row of the file: `symbol` where the file has it, `timestamp`, the fields of the answer, `answered_by`
    and `why` (null where there is an answer). `fields` are further fields of every question.

    The timeframe is told from the commonest distance of two bars where it is not given. Raises Unusable and BadBarFile.
    """
    capability = _capability(tool)
    read = FileOfBars.read(file)
    of = timeframe or _timeframe(read, capability)
    bars, places = read.series(of)
    from ml.timeline import StillMarket

    market, form = StillMarket.of(*bars.values()), _schema(capability, read.named)
    told: list[dict[str, Any]] = [{"why": "bad_row: its time cannot be read"} for _ in read.symbols]
    with _chains(where, capability) as chain:
        for symbol, one in bars.items():
            said = _asked(capability, _question(capability, symbol, of, fields), one.close_at, market, chain)
            for place, at in zip(places[symbol].tolist(), _rows_of(one, read.open_at[places[symbol]]), strict=True):
                told[place] = said[at]
    columns = {"symbol": pa.array(read.symbols, pa.string())} if read.named else {}
    columns["timestamp"] = pa.array(read.open_at, pa.int64()).cast(form.field("timestamp").type)
    answers = pa.Table.from_pylist(told, schema=pa.schema([one for one in form if one.name not in columns]))
    return pa.table({**columns, **{name: answers[name] for name in answers.column_names}})


def write(answers: pa.Table, path: Path) -> None:
    """Parquet, or CSV where the name ends so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(answers, path)
    else:
        pyarrow.parquet.write_table(answers, path, compression="zstd")


def as_csv(answers: pa.Table) -> str:
    """The same as text."""
    told = pa.BufferOutputStream()
    pyarrow.csv.write_csv(answers, told)
    text: str = told.getvalue().to_pybytes().decode()
    return text


def _capability(tool: str) -> AnyCapability:
    from ml.catalogue import CATALOGUE

    for one in CATALOGUE:
        if one.tool == tool:
            return one
    raise Unusable(f"no tool {tool} reads bars; there are {', '.join(one.tool for one in CATALOGUE)}")


def _timeframe(read: FileOfBars, capability: AnyCapability) -> Timeframe:
    """The longest on which the capability was measured of which the commonest distance of two bars is a multiple."""
    symbols = np.array(read.symbols)
    distances = [np.diff(np.unique(read.open_at[symbols == one])) for one in np.unique(symbols)]
    apart = np.concatenate([np.zeros(0, dtype=np.int64), *distances])
    if not len(apart):
        raise Unusable("the file has no two bars, so nothing tells how long one is; say --timeframe")
    values, counts = np.unique(apart, return_counts=True)
    usual = int(values[counts.argmax()])
    fitting = [one for one in capability.timeframes if usual % one.milliseconds == 0]
    if not fitting:
        raise Unusable(f"bars are {usual / 60_000:g} minutes apart, on which nothing was measured; say --timeframe")
    return max(fitting, key=lambda one: one.milliseconds)


def _question(capability: AnyCapability, symbol: str, of: Timeframe, fields: Mapping[str, object]) -> Question:
    from pydantic import ValidationError

    try:
        question: Question = capability.question.model_validate({"symbol": symbol, "timeframe": of, **fields})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise Unusable(f"this cannot be asked of {symbol[:32]!r}: {wrong}") from error
    return question


@contextmanager
def _chains(where: Place, capability: AnyCapability) -> Iterator[ChainOf]:
    """Who is in force in the data folder, looked at beside whoever owns it; the rules where there is no folder."""
    from tools.chain import RulesAlone

    if not (where.folder / "state.sqlite").is_file():
        yield lambda as_of: RulesAlone([capability]).chain(capability.name, as_of)
        return
    from registry.blobs import Blobs
    from registry.store import open_store
    from registry.versions import Versions
    from tools.models import Champions, Models
    from workers.train import SUFFIX

    store = open_store(where.folder / "state.sqlite")
    try:
        tenant = where.config.tenant
        versions, blobs = Versions(store, tenant), Blobs(where.folder / "blobs" / tenant)
        models = Models([capability], versions, lambda sha256: blobs.read(sha256, SUFFIX), system_clock)
        champions = Champions([capability], versions, models, where.config.models.too_old)
        known: dict[int, Sequence[Link]] = {}

        def chain(as_of: int) -> Sequence[Link]:
            hour = as_of // _HOUR_MS
            if hour not in known:
                known[hour] = champions.chain(capability.name, as_of)
            return known[hour]

        yield chain
    finally:
        store.close()


def _asked(
    capability: AnyCapability, question: Question, closes: Instants, market: Market, chain: ChainOf
) -> list[dict[str, Any]]:
    """What is said at each close, as columns of the output."""
    from tools.chain import at_once, walk

    rows: Rows = capability.features.rows([question] * len(closes), closes, market)
    groups: dict[Hashable, list[int]] = defaultdict(list)
    chains: dict[Hashable, Sequence[Link]] = {}
    for i, as_of in enumerate(closes.tolist()):
        links = chain(as_of)
        key: Hashable = tuple(link.key for link in links)
        chains[key] = links
        groups[key].append(i)
    told: list[dict[str, Any]] = [{} for _ in closes]
    for who, members in groups.items():
        for i, one in zip(members, asyncio.run(walk(chains[who], rows.pick(members), at_once())), strict=True):
            told[i] = _told(one)
    return told


def _told(one: Walked) -> dict[str, Any]:
    from ml.capability import Given

    if not isinstance(one.outcome, Given):
        return {"answered_by": one.link.name, "why": f"{one.outcome.why}: {one.outcome.text}"}
    return {**one.outcome.answer.model_dump(mode="json"), "answered_by": one.link.name}


def _rows_of(bars: Bars, opens: Instants) -> list[int]:
    """Where the bar of each open stands."""
    at: list[int] = np.searchsorted(bars.open_at, opens).tolist()
    return at


def _schema(capability: AnyCapability, named: bool) -> pa.Schema:
    """The columns of the output: those of a replay's file, but for what only a replay knows."""
    from workers.replay import schema

    answer = [schema(capability).field(name) for name in capability.answer.model_fields]
    first = [pa.field("symbol", pa.string())] if named else []
    last = [pa.field("answered_by", pa.string()), pa.field("why", pa.string())]
    return pa.schema([*first, pa.field("timestamp", pa.timestamp("ms", tz="UTC")), *answer, *last])
