"""What a start waits for: `barograph stdio` is started by desktop agents, which do not wait long."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: Libraries that a proxy has no use for.
HEAVY = ("numpy", "sqlalchemy", "pyarrow", "duckdb", "onnxruntime", "talib", "apscheduler", "fastapi")


def test_a_proxy_imports_no_numbers_no_store_and_no_http_door() -> None:
    program = (
        "import sys, commands.main, commands.stdio, commands.owner_client, mcp.server.stdio, tools.over_mcp; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
