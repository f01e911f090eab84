"""How good the answers are, on years that nothing was fitted on: the table of every capability (`make skill`).

    python -m benchmarks.skill [--data DIR] [--only regime,volatility] [--print]

Without --data the folder is that of the environment variable BAROGRAPH_MARKET_DATA. The tables are printed and written
into `docs/{name}.md`, between the markers of `benchmarks.skill_page`; with --print they are printed only.

A capability plugs in by a module `benchmarks/skill_{name}.py` and one line in `MODULES`. The module has one function,

    def tables(data: Path) -> Iterator[Table]: ...

which reads the folder of market data, fits what it must walk-forward, and yields a `benchmarks.skill_table.Table` per
market as soon as it is measured. Each holds the specification's lines (`quoted(...)`), the rules, and the model
(`judged=True`) on the same late development years, with intervals by whole weeks, calibration and coverage among the
columns, goals on the columns, and CPU seconds of a fit and microseconds of an answer in the notes. Tables alone: no
clock but `time.process_time`, no chance but a seed in the module, nothing printed but progress on standard error.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

from benchmarks import skill_page
from benchmarks.skill_table import Table

Tables: TypeAlias = Callable[[Path], Iterator[Table]]

#: Capabilities by name; each is imported when it is asked for.
MODULES: Mapping[str, str] = {
    "regime": "benchmarks.skill_regime",
    "volatility": "benchmarks.skill_volatility",
    "anomaly": "benchmarks.skill_anomaly",
    "liquidity": "benchmarks.skill_liquidity",
}
DOCS = Path(__file__).parent.parent / "docs"


def tables_of(name: str) -> Tables:
    """The measuring function of a capability."""
    found: Tables = import_module(MODULES[name]).tables
    return found


def measured(name: str, data: Path, page: Path | None) -> list[Table]:
    """Prints the tables of a capability as they come, and writes them into the page, where one is given."""
    print(f"## {name}\n", flush=True)
    found = []
    for table in tables_of(name)(data):
        print(f"{table.markdown()}\n", flush=True)
        found.append(table)
    if page is not None:
        skill_page.write(page, "\n\n".join(table.markdown() for table in found))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="skill", description="Prints the skill table of every capability.")
    parser.add_argument("--data", type=Path, help="folder of the market data (else BAROGRAPH_MARKET_DATA)")
    parser.add_argument("--only", help=f"capabilities, A,B; there are {', '.join(MODULES)}")
    parser.add_argument("--print", action="store_true", dest="print_only", help="leave the docs pages as they are")
    asked = parser.parse_args()
    data = _folder(parser, asked.data)
    names = asked.only.split(",") if asked.only else list(MODULES)
    if unknown := [name for name in names if name not in MODULES]:
        parser.error(f"there is no table of {', '.join(unknown)}; there are {', '.join(MODULES)}")
    missed = {
        name: [f"{table.title}: {goal}" for table in found for goal in table.missed]
        for name in names
        if (found := measured(name, data, None if asked.print_only else DOCS / f"{name}.md"))
    }
    for name, goals in missed.items():
        print(f"{name}: {'all goals are met' if not goals else 'missed are ' + '; '.join(goals)}")


def _folder(parser: argparse.ArgumentParser, data: Path | None) -> Path:
    if data is None and (named := os.environ.get("BAROGRAPH_MARKET_DATA")):
        data = Path(named)
    if data is None or not data.is_dir():
        asked = "no market data is named" if data is None else f"{data} is not a folder"
        parser.error(f"{asked}: give --data DIR, or set BAROGRAPH_MARKET_DATA, to a folder that holds ohlcv/")
    return data


if __name__ == "__main__":
    main()
