"""The wheel: one importable name, and it runs in a folder whose owner uses the same plain names."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: The application's plain names, which an agent's repository may use as well.
PLAIN = ("commands", "market", "ml", "registry", "tools", "workers")
#: Runs the command as its script does, then tells where the application came from.
SCRIPT = f"""
import atexit, sys
def tell():
    for name in {(*PLAIN, "server")!r}:
        if name in sys.modules:
            print(sys.modules[name].__file__, file=sys.stderr)
atexit.register(tell)
from barograph.launcher import main
main()
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="hatchling builds the wheel; `make install` brings it")
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path) -> Path:
    """Where the wheel was unpacked: what `pip install --no-deps --target` leaves."""
    folder = wheel.parent / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder with a server, tools and a config of its own, none of which may be run or read."""
    for name in PLAIN:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong package was imported')\n")
    (tmp_path / "server.py").write_text("raise SystemExit('the wrong server was imported')\n")
    (tmp_path / "config.yaml").write_text("this: is somebody else's\n")
    return tmp_path


def run(site: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BAROGRAPH_")}
    environment |= {"PYTHONPATH": str(site)}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_wheel_puts_one_name_on_the_import_path(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"barograph"}
    assert "barograph/py.typed" in names
    assert "barograph/app/config.yaml" in names
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]
    entry = next(name for name in names if name.endswith("entry_points.txt"))
    assert "barograph = barograph.launcher:main" in zipfile.ZipFile(wheel).read(entry).decode()


def test_every_part_of_the_application_is_in_the_wheel(site: Path) -> None:
    app = site / "barograph" / "app"
    for name in (*PLAIN, "prompts"):
        kept = {one.relative_to(ROOT) for one in (ROOT / name).rglob("*") if one.is_file() and one.suffix != ".pyc"}
        there = {one.relative_to(app) for one in (app / name).rglob("*") if one.is_file()}
        assert there == kept
    assert (app / "server.py").read_bytes() == (ROOT / "server.py").read_bytes()


def test_a_question_is_answered_from_the_wheel_in_a_hostile_folder(site: Path, hostile: Path) -> None:
    call = ["call", "get_server_status", "--data", str(hostile / "data"), "--json"]
    done = run(site, hostile, "-c", SCRIPT, *call)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('{"summary":"Barograph ')
    came_from = done.stderr.split()
    assert len(came_from) >= len(PLAIN)
    assert all(path.startswith(str(site / "barograph" / "app")) for path in came_from)


@pytest.mark.parametrize("words", [("--help",), ("doctor", "--data", "data")])
def test_the_module_runs_from_the_wheel_in_a_hostile_folder(site: Path, hostile: Path, words: tuple[str, ...]) -> None:
    done = run(site, hostile, "-m", "barograph", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("Usage: barograph" if words == ("--help",) else "well  state and history") in done.stdout
