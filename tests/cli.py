"""The command line in this process: what it says, where, and its exit code. Bar files to feed it."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from commands.main import run
from ml.bars import Bars


@dataclass(frozen=True)
class Said:
    """What a command said. Anything that it raised but an exit has failed the test already: no traceback is an
    answer."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The JSON error: one object on the last line of standard error, and nothing on standard output."""
        assert self.out == ""
        return json.loads(self.err.splitlines()[-1])["error"]


def barograph(*words: object) -> Said:
    """Runs `barograph WORDS`."""
    out, err = io.StringIO(), io.StringIO()
    code: object = None
    with redirect_stdout(out), redirect_stderr(err):
        try:
            run([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code
    assert isinstance(code, int)
    return Said(code, out.getvalue(), err.getvalue())


def write_bars(folder: Path, bars: Bars, **columns: Any) -> Path:
    """A bar file as others write them; `columns` replace or add some."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{bars.symbol}_{bars.timeframe}.parquet"
    table = {
        "timestamp": pa.array(bars.open_at, pa.timestamp("ms", tz="UTC")),
        **{name: getattr(bars, name) for name in ("open", "high", "low", "close", "volume")},
        **columns,
    }
    pq.write_table(pa.table({name: column for name, column in table.items() if column is not None}), path)
    return path
