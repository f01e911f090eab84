"""API keys: random tokens of 256 bits, shown once; what is kept is their HMAC under the server's secret."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from registry.audit_chain import Act, append
from registry.faults import StateFault
from registry.held import Held
from registry.scope import Scope
from registry.secret import Secret
from registry.store import Store
from registry.tables import keys

#: How the principal of a key is called in the audit log.
ACTOR = "key:"
PREFIX = "barograph_"
TOKEN_BYTES = 32
_ID_BYTES = 4
_PURPOSE = b"key"

_SEEN = (
    update(keys)
    .where(keys.c.tenant == bindparam("of_tenant"), keys.c.key_id == bindparam("used"))
    .values(last_used_at=bindparam("used_at"))
)


class UnknownKey(StateFault):
    """There is no key with this id that is not revoked."""


class SecretLost(StateFault):
    """Keys were given out, and the secret that they are checked with is gone."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept. Instants are int ms UTC; `expires_at` None: never."""

    key_id: str
    name: str
    scopes: frozenset[Scope]
    created_by: str
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    revoked_at: int | None

    @property
    def actor(self) -> str:
        return ACTOR + self.key_id

    def expired(self, at: int) -> bool:
        return self.expires_at is not None and at >= self.expires_at

    def live(self, at: int) -> bool:
        return self.revoked_at is None and not self.expired(at)


@dataclass(frozen=True, slots=True)
class Issued:
    """A new key with its token, which is nowhere else and cannot be shown again."""

    key: Key
    token: str


class Keys:
    """Keys of one tenant, held in memory for the asking; a change counts from the moment it is on disk.

    `random_bytes` gives bytes that nobody can guess. Raises SecretLost where keys live whose secret is gone.
    """

    def __init__(self, store: Store, tenant: str, secret: Secret, random_bytes: Callable[[int], bytes]) -> None:
        self._store, self._tenant, self._secret, self._random_bytes = store, tenant, secret, random_bytes
        self._known = Held(self._read)

    def add(self, name: str, scopes: Iterable[Scope], *, expires_at: int | None, by: str, at: int) -> Issued:
        """A new key; on disk, and in the audit log, when this returns. Raises SecretLost, SecretUnusable."""
        self.need_secret(at)
        key_id = self._random_bytes(_ID_BYTES).hex()
        hidden = base64.urlsafe_b64encode(self._random_bytes(TOKEN_BYTES)).decode().rstrip("=")
        token = f"{PREFIX}{key_id}_{hidden}"
        key = Key(key_id, name, frozenset(scopes), by, at, expires_at, None, None)
        told = " ".join(sorted(key.scopes))
        row = {"key_id": key_id, "name": name, "scopes": told, "created_by": by, "created_at": at}
        act = Act(at, by, "key added", key.actor, json.dumps({"scopes": told, "expires_at": expires_at}))
        with self._store.write() as connection:
            hashed = self._hash(token.encode()).hex()
            connection.execute(
                insert(keys).values(**row, tenant=self._tenant, secret_hash=hashed, expires_at=expires_at)
            )
            append(connection, self._tenant, [act])
        self._known.renew()
        return Issued(key, token)

    def revoke(self, key_id: str, *, by: str, at: int) -> Key:
        """Ends a key at once, for good. Raises UnknownKey."""
        (key,) = self._revoke([key_id], by, at)
        return key

    def revoke_all(self, *, by: str, at: int) -> Sequence[Key]:
        """Ends every key that is not revoked."""
        return self._revoke([key.key_id for key in self.all() if key.revoked_at is None], by, at)

    def all(self) -> Sequence[Key]:
        """Every key that there ever was, oldest first."""
        with self._store.read() as connection:
            rows = connection.execute(select(keys).where(keys.c.tenant == self._tenant).order_by(keys.c.created_at))
            return tuple(_key(row) for row in rows)

    def any_live(self, at: int) -> bool:
        """Whether anybody could come in with a key."""
        return any(key.live(at) for key, _ in self._known.now.values())

    def of(self, token: bytes) -> Key | None:
        """The key that this token is of, revoked and expired ones too: that is for the caller to look at. Raises
        SecretLost, SecretUnusable."""
        found = self._known.now.get(token[len(PREFIX) : len(PREFIX) + 2 * _ID_BYTES])
        if found is not None and not self._secret.known():
            raise _lost()
        if found is None or not hmac.compare_digest(self._hash(token), found[1]):
            return None
        return found[0]

    def need_secret(self, at: int) -> None:
        """Raises SecretLost or SecretUnusable where a live key could not be checked."""
        if self.any_live(at):
            if not self._secret.known():
                raise _lost()
            self._secret.sign(_PURPOSE, b"")

    def _revoke(self, key_ids: Sequence[str], by: str, at: int) -> Sequence[Key]:
        mine = keys.c.tenant == self._tenant
        ended = []
        with self._store.write() as connection:
            for key_id in key_ids:
                one = mine & (keys.c.key_id == key_id) & keys.c.revoked_at.is_(None)
                row = connection.execute(update(keys).where(one).values(revoked_at=at).returning(keys)).first()
                if row is None:
                    raise UnknownKey("there is no key of this id, or it is revoked already; barograph keys list")
                ended.append(_key(row))
            append(connection, self._tenant, [Act(at, by, "key revoked", key.actor, "{}") for key in ended])
        self._known.renew()
        return ended

    def _read(self) -> Mapping[bytes, tuple[Key, bytes]]:
        with self._store.read() as connection:
            rows = connection.execute(select(keys).where(keys.c.tenant == self._tenant)).all()
        return {row.key_id.encode(): (_key(row), bytes.fromhex(row.secret_hash)) for row in rows}

    def _hash(self, token: bytes) -> bytes:
        return self._secret.sign(_PURPOSE, token)


def seen(tenant: str) -> Callable[[Connection, Mapping[str, int]], None]:
    """Writes down when keys were last used, in the transaction of the audit rows that say so."""

    def write(connection: Connection, actors: Mapping[str, int]) -> None:
        used = [
            {"of_tenant": tenant, "used": actor.removeprefix(ACTOR), "used_at": at}
            for actor, at in actors.items()
            if actor.startswith(ACTOR)
        ]
        if used:
            connection.execute(_SEEN, used)

    return write


def _lost() -> SecretLost:
    return SecretLost(
        "keys were given out, and the server.secret that they are checked with is gone from the data folder: restore "
        "it from a backup, or end them all (barograph keys revoke --all) and make new ones"
    )


def _key(row: Row[Any]) -> Key:
    scopes = frozenset(Scope(one) for one in row.scopes.split())
    instants = (row.created_at, row.expires_at, row.last_used_at, row.revoked_at)
    return Key(row.key_id, row.name, scopes, row.created_by, *instants)
