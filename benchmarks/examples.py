"""Every example, in an environment of its own, against a server of ours: does the model see all that it must?

`python -m benchmarks.examples [NAME ...]`, or `make examples NAME=langchain`. What an example prints is what a model
would see. It must hold the label, its number, who answered, the time it is as of, and whether the data are stale, as
the server itself tells them. Also: a wheel, run by `uvx` as a user would.

Environments are kept in var/examples/, one for each state of a requirements.txt, and installed by uv.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from barograph import Client
from benchmarks.seen import missing
from benchmarks.serving import ROOT, serving

KEPT = ROOT / "var" / "examples"
BIN = Path(sys.executable).parent
UVX = "uvx"


@dataclass(frozen=True)
class Example:
    """A folder of examples/, the script in it, and the packages whose versions matter. `client`: it needs our wheel."""

    name: str
    script: str
    packages: tuple[str, ...]
    client: bool = False


EXAMPLES = (
    Example("langchain", "agent.py", ("langchain-mcp-adapters", "langgraph", "langchain-core", "mcp")),
    Example("openai_agents", "agent.py", ("openai-agents", "mcp")),
    Example("pydantic_ai", "agent.py", ("pydantic-ai-slim", "mcp")),
    Example("autogen", "agent.py", ("autogen-agentchat", "autogen-ext", "mcp")),
    Example("tradingagents", "tools.py", ("langchain-core", "httpx"), client=True),
    Example("curl", "ask.sh", ()),
)


def main(names: Sequence[str]) -> int:
    unknown = set(names) - {one.name for one in EXAMPLES} - {UVX}
    if unknown:
        print(f"there is no example {', '.join(sorted(unknown))}: {', '.join(one.name for one in EXAMPLES)}, {UVX}")
        return 2
    wanted = [one for one in EXAMPLES if not names or one.name in names]
    failed = 0
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as server:
        for example in wanted:
            began = time.monotonic()
            python = environment(example)
            installed = time.monotonic()
            lacks = told(example, python, server.url)
            failed += bool(lacks)
            took = f"{installed - began:.1f} s to install, {time.monotonic() - installed:.1f} s to run"
            lacking = "; ".join(lacks) or "the model sees everything"
            print(f"{example.name}: {lacking} ({versions(example, python)}; {took})", flush=True)
    if not names or UVX in names:
        failed += not runs_with_uvx()
    return 1 if failed else 0


def told(example: Example, python: Path, url: str) -> list[str]:
    """What the model would lack, or what else is wrong."""
    script = ROOT / "examples" / example.name / example.script
    command = [str(python) if script.suffix == ".py" else "bash", str(script), url]
    began = time.time()
    done = subprocess.run(command, cwd=script.parent, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        return [f"it ended with {done.returncode}: {(done.stderr or done.stdout)[-600:]}"]
    with Client(url) as client:
        return missing(done.stdout, client, began)


def environment(example: Example) -> Path:
    """The Python of the example's own environment, made where there is none for its requirements."""
    wanted = ROOT / "examples" / example.name / "requirements.txt"
    if not wanted.exists():
        return Path(sys.executable)
    state = hashlib.sha256(wanted.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = KEPT / f"{example.name}-{state}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        uv("venv", "--clear", "--python", sys.executable, str(folder))
        uv("pip", "install", "--python", str(python), "-r", str(wanted))
        (folder / "ready").touch()
    if example.client:
        uv("pip", "install", "--python", str(python), "--no-deps", "--reinstall", str(wheel()))
    return python


def versions(example: Example, python: Path) -> str:
    if not example.packages:
        return "curl alone"
    program = "import sys; from importlib.metadata import version; print(*(map(version, sys.argv[1:])))"
    done = subprocess.run([str(python), "-c", program, *example.packages], capture_output=True, text=True, check=True)
    return ", ".join(map(" ".join, zip(example.packages, done.stdout.split(), strict=True)))


def wheel() -> Path:
    """A wheel of the working tree."""
    folder = KEPT / "wheel"
    for old in folder.glob("*.whl"):
        old.unlink()
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def runs_with_uvx() -> bool:
    """Whether the wheel runs as a tool, with its dependencies from the registry, in a folder of somebody else."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tools.py").write_text("raise SystemExit('the wrong module was imported')\n")
        words = ["tool", "run", "--python", sys.executable, "--from", str(wheel()), "barograph"]
        call = ["call", "get_server_status", "--data", str(Path(folder) / "data"), "--json"]
        done = subprocess.run(
            [str(BIN / "uv"), *words, *call], cwd=folder, capture_output=True, text=True, timeout=300, check=False
        )
    well = done.returncode == 0 and done.stdout.startswith('{"summary":"Barograph ')
    print(f"{UVX}: {'the wheel answers' if well else done.stderr[-600:]} ({time.monotonic() - began:.1f} s)")
    return well


def uv(*words: str) -> None:
    """Runs uv; what it says is shown where it fails."""
    done = subprocess.run([str(BIN / "uv"), "--quiet", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"uv {' '.join(words)}: {done.stderr}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
