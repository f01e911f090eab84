"""Keys as an operator handles them: `POST /v1/operate/add_key`, `list_keys`, `revoke_keys`. Not MCP tools."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from registry.keys import Key, Keys, SecretLost, UnknownKey
from registry.scope import Scope
from registry.secret import SecretUnusable
from tools.principal import operating, speaker
from tools.refusal import Code, Refused
from tools.reply import moment
from tools.tool import Tool

DAY_MS = 86_400_000

Days = Annotated[int, Field(ge=1, le=3_650)]
KeyId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}$")]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AddKey(_Asked):
    """A new key."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$", description="Whose it is, for people.")
    scopes: tuple[Scope, ...] = Field(
        min_length=1, max_length=3, description="read, trade, operate: none holds another."
    )
    expires_in_days: Days | None = Field(default=None, description="1 to 3650; left out: it does not expire.")


class ListKeys(_Asked):
    """Nothing is asked."""


class RevokeKeys(_Asked):
    """Which keys end."""

    key_id: KeyId | None = Field(default=None, description="The id of one key, as list_keys tells it.")
    every: bool = Field(default=False, description="true: every key there is.")


class KeyCard(BaseModel):
    """What may be told of a key."""

    key_id: str
    name: str
    scopes: tuple[Scope, ...]
    state: str = Field(description="live, expired or revoked.")
    created_by: str
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = Field(default=None, description="Left out: never.")
    last_used_at: AwareDatetime | None = Field(default=None, description="Left out: never. Up to a second behind.")
    revoked_at: AwareDatetime | None = Field(default=None, description="Left out: not revoked.")

    def line(self) -> str:
        """The key in one line."""
        ends = f", expires {self.expires_at:%Y-%m-%d}" if self.expires_at else ""
        used = f"last used {self.last_used_at:%Y-%m-%d %H:%MZ}" if self.last_used_at else "never used"
        return f"{self.key_id} {self.state} {self.name}: {' '.join(self.scopes)}{ends}, {used}"


class KeyIssued(BaseModel):
    """A new key, and its token: shown here and nowhere else."""

    key: KeyCard
    token: str = Field(description="Sent as `Authorization: Bearer TOKEN`. It cannot be shown again.")

    def text(self) -> str:
        return f"{self.token}\n{self.key.line()}. The token is not shown again."


class KeyList(BaseModel):
    """Keys, oldest first."""

    keys: tuple[KeyCard, ...]

    def text(self) -> str:
        return "\n".join(one.line() for one in self.keys) or "there are no keys"


def key_desk(keys: Keys, clock: Callable[[], int]) -> tuple[Tool, ...]:
    """The operator's tools for keys."""

    def added(asked: AddKey) -> KeyIssued:
        now = clock()
        ends = None if asked.expires_in_days is None else now + asked.expires_in_days * DAY_MS
        try:
            issued = keys.add(asked.name, asked.scopes, expires_at=ends, by=_who(), at=now)
        except (SecretLost, SecretUnusable) as unusable:
            raise Refused(Code.FORBIDDEN, str(unusable)) from unusable
        return KeyIssued(key=_card(issued.key, now), token=issued.token)

    def revoked(asked: RevokeKeys) -> KeyList:
        now = clock()
        if asked.every == (asked.key_id is not None):
            raise Refused(Code.INVALID, "either one key is named, or every", accepted=["key_id", "every: true"])
        try:
            ended = (
                [keys.revoke(asked.key_id, by=_who(), at=now)] if asked.key_id else keys.revoke_all(by=_who(), at=now)
            )
        except UnknownKey as unknown:
            raise Refused(Code.UNKNOWN_KEY, str(unknown), accepted=["a key_id of list_keys"]) from unknown
        return _listed(ended, now)

    async def add(asked: AddKey, _: str) -> KeyIssued:
        return await asyncio.to_thread(added, asked)

    async def list_(_: ListKeys, __: str) -> KeyList:
        return await asyncio.to_thread(lambda: _listed(keys.all(), clock()))

    async def revoke(asked: RevokeKeys, _: str) -> KeyList:
        return await asyncio.to_thread(revoked, asked)

    return (
        Tool("add_key", "Add a key", "Makes a key, and shows its token once.", AddKey, KeyIssued, add, needs=operating),
        Tool("list_keys", "List keys", "Every key, never its token.", ListKeys, KeyList, list_, needs=operating),
        Tool("revoke_keys", "Revoke keys", "Ends keys at once.", RevokeKeys, KeyList, revoke, needs=operating),
    )


def _who() -> str:
    principal = speaker()
    return principal.id if principal else "local"


def _listed(keys: Iterable[Key], now: int) -> KeyList:
    return KeyList(keys=tuple(_card(one, now) for one in keys))


def _card(key: Key, now: int) -> KeyCard:
    state = "revoked" if key.revoked_at is not None else "expired" if key.expired(now) else "live"
    return KeyCard(
        key_id=key.key_id,
        name=key.name,
        scopes=tuple(sorted(key.scopes)),
        state=state,
        created_by=key.created_by,
        created_at=moment(key.created_at),
        expires_at=_moment(key.expires_at),
        last_used_at=_moment(key.last_used_at),
        revoked_at=_moment(key.revoked_at),
    )


def _moment(at: int | None) -> AwareDatetime | None:
    return None if at is None else moment(at)
