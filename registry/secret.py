"""The secret of a data folder: a file that only the user of the server may read."""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable
from pathlib import Path

from registry.disk import write_durably
from registry.faults import StateFault

FILE = "server.secret"
SECRET_BYTES = 32
PRIVATE = 0o600


class SecretUnusable(StateFault):
    """The secret of this data folder is missing, damaged, or open to others."""


class Secret:
    """The secret of a data folder: made when it is first needed, read once, never shown. `random_bytes` gives bytes
    that nobody can guess."""

    def __init__(self, folder: Path, random_bytes: Callable[[int], bytes]) -> None:
        self._path = folder / FILE
        self._random_bytes = random_bytes
        self._known: bytes | None = None
        self._making = threading.Lock()

    def known(self) -> bool:
        """Whether it was made before."""
        return self._known is not None or self._path.is_file()

    def sign(self, purpose: bytes, message: bytes) -> bytes:
        """HMAC-SHA256 of the message, for one purpose alone. Raises SecretUnusable."""
        with self._making:  # two threads that need it first must not make two
            if self._known is None:
                self._known = self._read() if self.known() else self._make()
        return hmac.digest(self._known, purpose + b"\0" + message, "sha256")

    def _make(self) -> bytes:
        secret = self._random_bytes(SECRET_BYTES)
        write_durably(self._path, secret.hex().encode(), mode=PRIVATE)
        return secret

    def _read(self) -> bytes:
        if self._path.stat().st_mode & 0o077:
            raise SecretUnusable(
                f"{self._path} may be read by other users of this machine: chmod 600 it, and if others use this "
                "machine, revoke all keys and make new ones"
            )
        try:
            secret = bytes.fromhex(self._path.read_text("ascii"))
        except ValueError:
            secret = b""
        if len(secret) != SECRET_BYTES:
            raise SecretUnusable(f"{self._path} is damaged: restore it from a backup of this data folder")
        return secret
