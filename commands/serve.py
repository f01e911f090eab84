"""`barograph serve`: owns the data folder and opens the doors."""

from __future__ import annotations

import json
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.faults import Told, Unusable
from commands.interpreter import starting
from commands.options import AsJson, ConfigFile, DataFolder
from commands.place import Place, place, process_id, system_clock
from commands.terminal import as_json, out, quiet
from commands.trainings import Trainings

if TYPE_CHECKING:
    from registry.owner import Ownership

#: Their news is news to us alone.
TALKATIVE = ("alembic", "mcp")


def serve(
    config: ConfigFile = None,
    data: DataFolder = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: the config's.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes any. Default: the config's.")] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Feed the sample market (simulated coins).")] = False,
    json_wanted: AsJson = False,
) -> None:
    """Own the data folder and serve MCP and HTTP until stopped."""
    http: dict[str, Any] = {**({"host": host} if host else {}), **({"port": port} if port is not None else {})}
    overrides: dict[str, Any] = {"http": http, **({"market": {"sample": True}} if sample else {})}
    where = place(config, data, overrides, json_wanted=json_wanted)
    _log(where.config.log_level)
    with Told(json_wanted), _ending_in_order(), starting():
        from registry.owner import Ownership

        ownership = Ownership.claim(where.folder, process_id(), system_clock())
        try:
            with _listening(where) as listening:
                from commands.running import run

                url = _url(where.config.http.host, listening)
                with Trainings(silent=quiet(json_wanted)) as trainings:
                    run(
                        where.config,
                        where.folder,
                        system_clock,
                        listening,
                        lambda: _up(where, url, ownership, json_wanted),
                        trainings.of,
                    )
        finally:
            ownership.release()


def desktop_agent(where: Place) -> dict[str, Any]:
    """The JSON that a desktop agent needs to start `barograph stdio` on this data folder."""
    script = Path(sys.executable).parent / "barograph"
    start = [str(script)] if script.is_file() else [sys.executable, "-m", "barograph"]
    arguments = [*start[1:], "stdio", "--data", str(where.folder)]
    if where.config_file:
        arguments += ["--config", str(where.config_file.resolve())]
    if where.config.market.sample:
        arguments.append("--sample")
    return {"mcpServers": {"barograph": {"command": start[0], "args": arguments}}}


def _log(level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if level != "debug":
        for name in TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """uvicorn stops on these signals and then raises them again, for whoever started it: that must not be death at
    once, but an end with the ledger written and the folder given back."""
    before = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(*_: object) -> None:
    raise SystemExit(0)


def _listening(where: Place) -> socket.socket:
    host, port = where.config.http.host, where.config.http.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)  # now: until somebody listens, another may bind the same port
    except OSError as error:
        listening.close()
        raise Unusable(
            f"port {port} on {host} is in use or not ours ({error.strerror}): stop who has it, or name another with "
            "--port (0 takes any free one)"
        ) from error
    return listening


def _url(host: str, listening: socket.socket) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - from here it is reached like this
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}"


def _up(where: Place, url: str, ownership: Ownership, json_wanted: bool) -> None:
    from commands.access import lock

    ownership.announce(url)
    agent, who = desktop_agent(where), lock(where.config)
    if json_wanted:
        here = {"url": url, "mcp": f"{url}/mcp", "openapi": f"{url}/openapi.json", "data": str(where.folder)}
        as_json({**here, "access": who, **agent})
        sys.stdout.flush()
        return
    out.print(f"Barograph owns {where.folder}", markup=False)
    out.print(f"  HTTP     {url}/v1/tools/get_market_regime   (POST; all tools: {url}/docs)", markup=False)
    out.print(f"  MCP      {url}/mcp", markup=False)
    out.print(f"  Access   {who}", markup=False)
    out.print("  For a desktop agent, in its MCP settings:", markup=False)
    out.print(json.dumps(agent, indent=2), markup=False)
