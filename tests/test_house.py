"""The house stands as docs/architecture.md draws it: small files, few importers, nothing heavy in the server."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("ml", "market", "registry", "tools", "workers", "commands", "barograph")
SOURCES = sorted([path for name in PACKAGES for path in (ROOT / name).rglob("*.py")] + [ROOT / "server.py"])
ALL = sorted([*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])

#: Who may import what is heavy, or what only one place should know.
ONLY_IMPORTERS = {
    "duckdb": ("market/parquet.py",),
    "alembic": ("registry/",),
    "sqlalchemy": ("registry/",),
    "apscheduler": ("workers/schedule.py",),
    "talib": ("ml/indicators/",),
    "mcp": ("tools/over_mcp.py", "tools/subscriptions.py", "tools/behind_gate.py", "commands/stdio.py"),
    "fastapi": ("tools/over_http.py", "server.py"),
    "uvicorn": ("commands/running.py",),
    "limits": ("tools/rate_limits.py",),
    "sse_starlette": ("tools/event_stream.py",),
    "jwt": ("tools/jwt_verifier.py",),
    "yaml": ("commands/config.py",),
    "holidays": ("ml/liquidity/calendar.py",),
    "ccxt": ("market/exchange/venue.py",),
    "stamina": ("market/exchange/venue.py", "market/web.py"),
    "feedparser": ("market/rss.py",),
    "httpx": ("commands/", "barograph/", "market/web.py"),
    "torch": ("ml/fitting/nets.py",),
    "xgboost": ("ml/fitting/trees.py",),
    "onnxruntime": ("ml/artefacts.py",),
    "sklearn": (),
    "pandas": (),
    "arch": (),
    "pickle": (),
    "joblib": (),
}
TRAINING = ("torch", "transformers", "xgboost", "sklearn", "arch", "hdbscan", "pandas", "scipy")


def imported(path: Path) -> set[str]:
    """The top-level names that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("path", ALL, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_over_400_lines(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 400


def test_the_median_file_is_near_150_lines() -> None:
    lengths = sorted(len(path.read_text("utf-8").splitlines()) for path in SOURCES)
    assert lengths[len(lengths) // 2] <= 150


@pytest.mark.parametrize("library", ONLY_IMPORTERS)
def test_each_heavy_library_has_one_importer(library: str) -> None:
    allowed = ONLY_IMPORTERS[library]
    importers = {str(path.relative_to(ROOT)) for path in SOURCES if library in imported(path)}
    assert {one for one in importers if not one.startswith(allowed)} == set()


def test_nobody_but_the_command_line_imports_the_composition_root() -> None:
    importers = {str(path.relative_to(ROOT)) for path in SOURCES if "server" in imported(path)}
    assert {one for one in importers if not one.startswith("commands/")} == set()


@pytest.mark.parametrize("path", [*(ROOT / "ml").rglob("*.py")], ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_in_ml_reads_a_clock_chance_or_the_environment(path: Path) -> None:
    text = path.read_text("utf-8")
    for word in ("time.time", "datetime.now", "utcnow", "np.random.seed", "os.environ"):
        assert word not in text


def test_a_server_that_has_answered_every_tool_has_not_imported_a_training_library(tmp_path: Path) -> None:
    program = """
import asyncio, json, sys
from pathlib import Path
from commands.config import Config, Market
from commands.running import sample_work
from server import app, build
house = build(Config(market=Market(sample=True)), Path(sys.argv[1]), lambda: 1_767_225_600_000)
app(house, sample_work(house))
async def main():
    said = json.loads((await house.call("forecast_volatility", '{"symbol": "SIMBTC"}', "t")).body)
    assert said["source"] == "rules", said
    for tool, asked in (
        ("get_market_regime", {"symbol": "SIMETH"}),
        ("get_server_status", {}),
        ("explain_prediction", {"prediction_id": said["prediction_id"]}),
    ):
        served = await house.call(tool, json.dumps(asked), "t")
        assert served.code is None, served
asyncio.run(main())
house.close()
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
    told = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "data")], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules = set(json.loads(told.stdout.splitlines()[-1]))
    assert "mcp" in modules
    assert modules.isdisjoint(TRAINING)
