"""Keys: made once, kept as an HMAC, revoked at once."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from registry.audit_chain import verify
from registry.keys import Keys, SecretLost, UnknownKey, seen
from registry.scope import Scope
from registry.secret import FILE, Secret, SecretUnusable
from registry.store import Store
from tests.conftest import NOW
from tests.hesitant_store import Hesitant

READ = frozenset({Scope.READ})


def desk(store: Store, tenant: str = "local") -> Keys:
    return Keys(store, tenant, Secret(store.path.parent, os.urandom), os.urandom)


def test_a_token_is_256_random_bits_and_only_its_hmac_is_kept(store: Store) -> None:
    keys = desk(store)
    one, two = (keys.add("bot", READ, expires_at=None, by="local", at=NOW) for _ in range(2))
    assert one.token != two.token
    hidden = one.token.removeprefix(f"barograph_{one.key.key_id}_")
    assert len(hidden) == 43, "32 bytes in base64"
    with store.read() as connection:
        kept = " ".join(
            str(row) for table in ("keys", "audit") for row in connection.execute(text(f"SELECT * FROM {table}"))
        )
    store.close()
    assert hidden not in kept
    assert hidden.encode() not in store.path.read_bytes()


def test_a_token_is_known_again_by_another_process_and_nothing_like_it_is(store: Store) -> None:
    issued = desk(store).add("bot", [Scope.READ, Scope.TRADE], expires_at=None, by="local", at=NOW)
    again = desk(store)
    token = issued.token.encode()
    found = again.of(token)
    assert found is not None
    assert (found.key_id, found.scopes) == (issued.key.key_id, frozenset({Scope.READ, Scope.TRADE}))
    for wrong in (
        token[:-1],
        token + b"x",
        token[:-1] + b"!",
        token[:19] + b"A" * 43,
        b"barograph_",
        b"",
        b"barograph_00000000_x",
    ):
        assert again.of(wrong) is None
    assert desk(store, "other").of(token) is None, "of another tenant"


def test_a_key_ends_at_once_for_good_and_at_its_time(store: Store) -> None:
    keys = desk(store)
    one = keys.add("bot", READ, expires_at=NOW + 10, by="local", at=NOW)
    assert keys.any_live(NOW + 9)
    assert not keys.any_live(NOW + 10)
    two = keys.add("other", READ, expires_at=None, by="local", at=NOW)
    keys.revoke(two.key.key_id, by="local", at=NOW + 1)
    found = keys.of(two.token.encode())
    assert found is not None
    assert not found.live(NOW + 1)
    with pytest.raises(UnknownKey, match="revoked already"):
        keys.revoke(two.key.key_id, by="local", at=NOW + 2)
    with pytest.raises(UnknownKey):
        keys.revoke("00000000", by="local", at=NOW + 2)
    assert [key.key_id for key in keys.revoke_all(by="local", at=NOW + 3)] == [one.key.key_id]


def test_a_key_that_was_ended_stays_ended_where_the_making_of_another_is_slow_to_be_told(store: Store) -> None:
    stolen = desk(store).add("bot", READ, expires_at=None, by="local", at=NOW)
    slow = Hesitant(store)
    keys = Keys(slow.store, "local", Secret(store.path.parent, os.urandom), os.urandom)
    other = slow.overtaken_by(lambda: keys.revoke(stolen.key.key_id, by="local", at=NOW + 1))
    made = keys.add("agent", READ, expires_at=None, by="local", at=NOW + 1)
    other.join()
    found = keys.of(stolen.token.encode())
    assert found is not None
    assert found.revoked_at == NOW + 1
    assert keys.of(made.token.encode()) is not None


def test_making_and_ending_a_key_are_in_the_log_without_a_word_of_the_name(store: Store) -> None:
    keys = desk(store)
    issued = keys.add("name of theirs", READ, expires_at=NOW + 5, by="key:abc", at=NOW)
    keys.revoke(issued.key.key_id, by="local", at=NOW + 1)
    with store.read() as connection:
        assert verify(connection, "local").rows == 2
        rows = connection.execute(text("SELECT at, actor, action, subject, detail FROM audit ORDER BY id")).all()
    made, ended = (tuple(row[:4]) for row in rows)
    assert made == (NOW, "key:abc", "key added", issued.key.actor)
    assert ended == (NOW + 1, "local", "key revoked", issued.key.actor)
    assert json.loads(rows[0].detail) == {"scopes": "read", "expires_at": NOW + 5}
    assert "theirs" not in str(rows)


def test_when_a_key_was_last_used_comes_with_the_rows_of_the_log(store: Store) -> None:
    keys = desk(store)
    issued = keys.add("bot", READ, expires_at=None, by="local", at=NOW)
    with store.write() as connection:
        seen("local")(connection, {issued.key.actor: NOW + 7, "jwt:1": NOW + 8, "local": NOW + 9})
    assert [key.last_used_at for key in keys.all()] == [NOW + 7]


def test_the_secret_is_made_once_and_only_its_user_may_read_it(tmp_path: Path) -> None:
    one = Secret(tmp_path, os.urandom).sign(b"key", b"x")
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    again = Secret(tmp_path, os.urandom)
    assert again.sign(b"key", b"x") == one
    assert again.sign(b"other", b"x") != one
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(SecretUnusable, match="chmod 600"):
        Secret(tmp_path, os.urandom).sign(b"key", b"x")
    (tmp_path / FILE).chmod(0o600)
    (tmp_path / FILE).write_text("damaged")
    with pytest.raises(SecretUnusable, match="is damaged"):
        Secret(tmp_path, os.urandom).sign(b"key", b"x")


def test_two_threads_that_need_the_secret_first_have_the_same(tmp_path: Path) -> None:
    both = threading.Barrier(2)

    def slowly(n: int) -> bytes:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)  # where both make one, they meet here
        return os.urandom(n)

    secret = Secret(tmp_path, slowly)
    with ThreadPoolExecutor(2) as two:
        signed = list(two.map(lambda _: secret.sign(b"key", b"x"), range(2)))
    assert signed == [Secret(tmp_path, os.urandom).sign(b"key", b"x")] * 2


def test_a_lost_secret_is_told_and_no_other_is_made_in_its_place(store: Store) -> None:
    issued = desk(store).add("bot", READ, expires_at=None, by="local", at=NOW)
    (store.path.parent / FILE).unlink()
    keys = desk(store)
    with pytest.raises(SecretLost, match="barograph keys revoke --all"):
        keys.add("another", READ, expires_at=None, by="local", at=NOW)
    with pytest.raises(SecretLost):
        keys.of(issued.token.encode())
    assert not (store.path.parent / FILE).exists()
    keys.revoke_all(by="local", at=NOW)
    assert keys.add("another", READ, expires_at=None, by="local", at=NOW).token
