"""The track record on disk: sums by week, written with the outcomes that they count, so that a start need not count."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.dialects.sqlite import insert

from ml.bars import Floats
from registry.cells import WIDTH, Key
from registry.judging import Series
from registry.tables import record_forms, record_weeks, usual_weeks
from registry.usual import Week

#: What the sums mean; another meaning, another number. With the width of a cell and the code's own version it names the
#: form: sums of another form are counted anew.
MEANING = 1


@dataclass(frozen=True, slots=True, eq=False)
class WeekCounted:
    """The cell of one predictor at `key`, shape (WIDTH,). `newest_at` (ms) is the answer that was counted last."""

    capability: str
    version: int
    key: Key
    newest_at: int
    sums: Floats


@dataclass(frozen=True, slots=True)
class UsualCounted:
    """What came true in one week of a series, whoever answered."""

    capability: str
    series: Series
    horizon_ms: int
    week: int
    came: Week


@dataclass(frozen=True, slots=True)
class Counted:
    """Sums to write, or all that are kept. Absolute: writing them twice changes nothing."""

    weeks: Sequence[WeekCounted] = ()
    usual: Sequence[UsualCounted] = ()


def form(code: str) -> str:
    """The form of sums made by this version of the code."""
    return f"{MEANING}/{WIDTH}/{code}"


def read(connection: Connection, tenant: str, code: str) -> Counted | None:
    """All sums, by week; None where they are not complete, or of another form."""
    wanted = select(record_forms.c.form).where(record_forms.c.tenant == tenant)
    if connection.execute(wanted).scalar_one_or_none() != form(code):
        return None
    weeks = select(record_weeks).where(record_weeks.c.tenant == tenant).order_by(record_weeks.c.week)
    usual = select(usual_weeks).where(usual_weeks.c.tenant == tenant).order_by(usual_weeks.c.week)
    return Counted(
        [
            WeekCounted(
                row.capability,
                row.version,
                Key(bool(row.live), Series(row.symbol, row.timeframe, row.horizon), row.week),
                row.newest_at,
                np.frombuffer(row.sums, dtype="<f8").astype(np.float64),
            )
            for row in connection.execute(weeks)
        ],
        [
            UsualCounted(
                row.capability,
                Series(row.symbol, row.timeframe, row.horizon),
                row.horizon_ms,
                row.week,
                Week(row.n, row.total, Counter(json.loads(row.labels))),
            )
            for row in connection.execute(usual)
        ],
    )


def write(connection: Connection, tenant: str, counted: Counted) -> None:
    """Puts these sums in the place of those that stand there."""
    weeks = [
        {
            "tenant": tenant,
            "capability": one.capability,
            "version": one.version,
            "live": int(one.key.live),
            **_series(one.key.series),
            "week": one.key.week,
            "newest_at": one.newest_at,
            "sums": one.sums.astype("<f8").tobytes(),
        }
        for one in counted.weeks
    ]
    usual = [
        {
            "tenant": tenant,
            "capability": one.capability,
            **_series(one.series),
            "week": one.week,
            "horizon_ms": one.horizon_ms,
            "n": one.came.n,
            "total": one.came.total,
            "labels": json.dumps(one.came.labels),
        }
        for one in counted.usual
    ]
    _put(connection, record_weeks, weeks)
    _put(connection, usual_weeks, usual)


def replace(connection: Connection, tenant: str, code: str, counted: Counted) -> None:
    """These are all sums from now on, and complete."""
    for table in (record_weeks, usual_weeks, record_forms):
        connection.execute(delete(table).where(table.c.tenant == tenant))
    write(connection, tenant, counted)
    connection.execute(insert(record_forms).values(tenant=tenant, form=form(code)))


def _series(series: Series) -> dict[str, str]:
    return {"symbol": series.symbol, "timeframe": series.timeframe, "horizon": series.horizon}


def _put(connection: Connection, table: Table, rows: Sequence[dict[str, object]]) -> None:
    if rows:
        key = [column.name for column in table.primary_key]
        fresh = insert(table)
        rest = {column.name: fresh.excluded[column.name] for column in table.c if column.name not in key}
        connection.execute(fresh.on_conflict_do_update(index_elements=key, set_=rest), rows)
