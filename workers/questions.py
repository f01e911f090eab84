"""Questions of a replay: a grid over history, or the rows of a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from market.bar_table import EARLIEST, LATEST
from ml.bars import Instant, Instants, Timeframe
from ml.capability import AnyCapability, Question

#: Columns that pandas adds by itself.
OF_PANDAS = "__index_level_"


class BadQuestions(Exception):  # noqa: N818 - told to the operator as it is
    """The file of questions cannot be used at all."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of a replay. `question` is None where the row asks what the capability cannot be asked; `wrong` says
    why. The row keeps its place and is answered with nulls. `as_of` is ms UTC."""

    symbol: str | None
    as_of: Instant | None
    horizon: str | None
    question: Question | None
    wrong: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class QuestionFile:
    """The questions of a file. `columns` are as they were, to be echoed; `as_of` holds ms UTC or None, one per row."""

    columns: pa.Table
    as_of: tuple[Instant | None, ...]
    timeframe: Timeframe

    def __len__(self) -> int:
        return len(self.as_of)

    def symbols(self) -> frozenset[str]:
        """All symbols that are asked about."""
        return frozenset(str(one) for one in self.columns["symbol"].unique().to_pylist())

    def timeframes(self) -> frozenset[str]:
        """All timeframes that are asked for."""
        named = self.columns["timeframe"].unique().to_pylist() if "timeframe" in self.columns.column_names else [None]
        return frozenset(self.timeframe if one is None else str(one) for one in named)

    def span(self) -> tuple[Instant, Instant]:
        """The first and the last `as_of` (ms); (0, 0) where no row has one."""
        known = [one for one in self.as_of if one is not None]
        return min(known, default=0), max(known, default=0)

    def between(self, begins: Instant, until: Instant) -> Instants:
        """Positions of the rows with `begins` <= as_of < `until` (ms), those of one symbol together: features are
        computed once for each. Rows without an as_of count as the earliest."""
        symbols = self.columns["symbol"].cast(pa.string()).fill_null("").combine_chunks()
        order: Instants = np.argsort(symbols.dictionary_encode().indices.to_numpy(), kind="stable")
        earliest, _ = self.span()
        as_of = np.array([earliest if one is None else one for one in self.as_of], dtype=np.int64)[order]
        return order[(begins <= as_of) & (as_of < until)]

    def asked(self, capability: AnyCapability, positions: Instants) -> Iterator[Asked]:
        """The rows at `positions`, read when they are needed."""
        for start in range(0, len(positions), 1_000):
            here = positions[start : start + 1_000]
            rows = self.columns.take(pa.array(here)).to_pylist()
            for at, row in zip(here.tolist(), rows, strict=True):
                yield _asked(capability, self.timeframe, row, self.as_of[at])


def grid(
    capability: AnyCapability, symbols: Sequence[str], timeframe: Timeframe, instants: Sequence[Instant]
) -> Iterator[Asked]:
    """What a walk asks: for each symbol and each horizon, one question at each instant (ms)."""
    at = [_iso(one) for one in instants]
    for symbol in symbols:
        for pattern in capability.replayed(symbol, timeframe):
            fields = pattern.model_dump(mode="json", exclude={"as_of"})
            for instant, text in zip(instants, at, strict=True):
                question = capability.question.model_validate({**fields, "as_of": text})
                yield Asked(symbol, instant, fields.get("horizon"), question)


def read_questions(path: Path, capability: AnyCapability, timeframe: Timeframe) -> QuestionFile:
    """The questions of a Parquet file with columns `symbol`, `as_of` and any field of the request.

    `as_of` may be a timestamp (naive is UTC), a date, integer milliseconds or ISO text. A `timeframe` column wins over
    the argument. Raises BadQuestions where the file or its columns cannot be used; a bad row is no reason.
    """
    try:
        table = pq.ParquetFile(path).read()
    except FileNotFoundError as error:
        raise BadQuestions(f"{path.name}: there is no such file") from error
    except (OSError, pa.ArrowException) as error:
        raise BadQuestions(f"{path.name}: is not a readable Parquet file ({type(error).__name__})") from error
    table = table.drop_columns([name for name in table.column_names if name.startswith(OF_PANDAS)])
    _must_be_fields(path, table.column_names, sorted(capability.question.model_fields))
    if not _is_text(table["symbol"].type):
        raise BadQuestions(f"{path.name}: column symbol holds {table['symbol'].type}, not text")
    return QuestionFile(table, _instants(path, table["as_of"]), timeframe)


def _must_be_fields(path: Path, columns: Sequence[str], fields: Sequence[str]) -> None:
    unknown = [name for name in columns if name not in fields]
    missing = [name for name in ("symbol", "as_of") if name not in columns]
    wrong = [f"{what} {', '.join(names)}" for what, names in (("missing:", missing), ("no fields:", unknown)) if names]
    if len(set(columns)) < len(columns):
        wrong.append("two columns have one name")
    if wrong:
        raise BadQuestions(
            f"{path.name}: the columns cannot be used ({'; '.join(wrong)}); accepted are {', '.join(fields)}"
        )


def _asked(capability: AnyCapability, timeframe: Timeframe, row: Mapping[str, Any], as_of: Instant | None) -> Asked:
    symbol, horizon = row["symbol"], row.get("horizon")
    horizon = None if horizon is None else str(horizon)
    if as_of is None:
        return Asked(symbol, None, horizon, None, "bad_question: as_of is missing or no time")
    if not EARLIEST <= as_of < LATEST:
        return Asked(
            symbol, None, horizon, None, "bad_question: as_of lies outside 1970..2100 (numbers are read as ms)"
        )
    fields = {name: value for name, value in row.items() if value is not None}
    try:
        question = capability.question.model_validate({"timeframe": timeframe, **fields, "as_of": _iso(as_of)})
    except ValidationError as error:
        return Asked(symbol, as_of, horizon, None, f"bad_question: {'; '.join(map(_problem, error.errors()))}")
    return Asked(symbol, as_of, horizon or _text(getattr(question, "horizon", None)), question)


def _problem(error: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    message = error["msg"].removeprefix("Value error, ")
    return f"{'.'.join(map(str, error['loc']))}: {message}" if error["loc"] else message


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _iso(instant: Instant) -> str:
    return f"{np.datetime64(instant, 'ms')}Z"


def _instants(path: Path, column: pa.ChunkedArray) -> tuple[Instant | None, ...]:
    kind = column.type
    if _is_text(kind):
        return tuple(_of_text(text) for text in column.to_pylist())
    try:
        if pa.types.is_date(kind):
            column = column.cast(pa.timestamp("ms"))
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ms", tz=column.type.tz), safe=False)
        elif not pa.types.is_integer(kind) and not pa.types.is_floating(kind):
            raise pa.ArrowInvalid(str(kind))
        return tuple(column.cast(pa.int64(), safe=False).to_pylist())
    except pa.ArrowException as error:
        raise BadQuestions(
            f"{path.name}: as_of holds {kind}; accepted are timestamps, whole milliseconds and ISO 8601 text"
        ) from error


def _is_text(kind: pa.DataType) -> bool:
    of = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_null(of))


def _of_text(text: str | None) -> Instant | None:
    """Rounded down: nobody may see further than was asked."""
    try:
        at = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    since = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.fromtimestamp(0, UTC)
    return since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000
