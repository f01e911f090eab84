"""How good the answers are, on years that nothing was fitted on: the table of every capability (`make skill`).

    python -m benchmarks.skill [--data DIR]

Without --data the folder is that of the environment variable BAROGRAPH_MARKET_DATA.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from benchmarks import skill_regime, skill_volatility

TABLES = (("regime", skill_regime.table), ("volatility", skill_volatility.table))


def main() -> None:
    parser = argparse.ArgumentParser(prog="skill", description="Prints the skill table of every capability.")
    parser.add_argument("--data", type=Path, help="folder of the market data (else BAROGRAPH_MARKET_DATA)")
    data: Path | None = parser.parse_args().data
    if data is None and (named := os.environ.get("BAROGRAPH_MARKET_DATA")):
        data = Path(named)
    if data is None or not data.is_dir():
        asked = "no market data is named" if data is None else f"{data} is not a folder"
        parser.error(f"{asked}: give --data DIR, or set BAROGRAPH_MARKET_DATA, to a folder that holds ohlcv/")
    for name, table in TABLES:
        print(f"## {name}\n\n{table(data)}\n", flush=True)


if __name__ == "__main__":
    main()
