"""Daily bars of the S&P 500 and the NASDAQ Composite, 1999-2018, as they ship in the `arch` package (PyPI).

They are read from its folder: importing `arch` takes a second and pulls pandas in.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from market.bar_table import NO_TIME, BarTable, checked
from market.columns import floats, integers
from market.refusal import BadBarFile
from ml.bars import Bars, Timeframe

ORIGIN = "real (arch package)"
#: Folder and file below `arch/data`, by our symbol.
FILES = {"SPX": "sp500/sp500.csv.gz", "NASDAQ": "nasdaq/nasdaq.csv.gz"}
_COLUMNS = ("Open", "High", "Low", "Close", "Volume")


def arch_folder() -> Path | None:
    """Where the installed `arch` keeps its data, or None where it is not installed or keeps none."""
    found = importlib.util.find_spec("arch")
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(next(iter(found.submodule_search_locations))) / "data"
    return folder if all((folder / file).is_file() for file in FILES.values()) else None


def read_arch(folder: Path) -> tuple[BarTable, ...]:
    """Both indices from that folder, daily, stamped 00:00 UTC of the trading date. Raises BadBarFile."""
    return tuple(_read(folder / file, symbol) for symbol, file in FILES.items())


def _read(path: Path, symbol: str) -> BarTable:
    options = pa.csv.ConvertOptions(
        include_columns=["Date", *_COLUMNS],
        column_types={"Date": pa.timestamp("s"), **dict.fromkeys(_COLUMNS, pa.float64())},
        timestamp_parsers=["%m/%d/%Y"],
    )
    try:
        table = pa.csv.read_csv(path, convert_options=options)
    except (pa.ArrowException, OSError) as error:
        raise BadBarFile(
            path.name, f"it cannot be read ({type(error).__name__})", "the file as arch 8 ships it: Date, Open, ..."
        ) from error
    open_at = integers(table.column("Date"), NO_TIME // 1_000) * 1_000
    open_, high, low, close, volume = (floats(table.column(name)) for name in _COLUMNS)
    return checked(Bars(symbol, Timeframe.D1, open_at, open_, high, low, close, volume), ORIGIN, source=path.name)
