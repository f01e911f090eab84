"""The token by which commands of the same user are known to the owner of a data folder: a file that only that user may
read, with a new token for each run of the owner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

FILE = "owner.token"


def give_token(folder: Path, random_bytes: Callable[[int], bytes]) -> str:
    """Writes a new token and returns it. `random_bytes` gives bytes that nobody can guess. Raises DiskFull, OSError."""
    from registry.disk import write_durably  # pulls SQLAlchemy in, which those who only read need not wait for

    token = f"barograph_local_{random_bytes(32).hex()}"
    write_durably(folder / FILE, token.encode(), mode=0o600)
    return token


def token_of(folder: Path) -> str | None:
    """The token of the owner of `folder`; None where there is none, or where this user may not read it."""
    try:
        return (folder / FILE).read_text("ascii")
    except (OSError, ValueError):
        return None


def take_back(folder: Path) -> None:
    """The owner goes: its token is worth nothing any more."""
    (folder / FILE).unlink(missing_ok=True)
