"""The config: the file that we ship says exactly the defaults, and what cannot be is refused by its name."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from commands.config import BadConfig, Config, load

SHIPPED = Path(__file__).parent.parent / "config.yaml"


def keys(model: type[BaseModel]) -> set[str]:
    """All keys that can be set, `section.key`."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= {f"{name}.{below}" for below in keys(kind)}
        else:
            found.add(name)
    return found


def said(part: dict[str, Any], model: type[BaseModel]) -> set[str]:
    found: set[str] = set()
    for name, value in part.items():
        kind = model.model_fields[name].annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found |= {f"{name}.{below}" for below in said(value, kind)}
        else:
            found.add(name)
    return found


def test_the_shipped_config_is_the_defaults() -> None:
    assert load(SHIPPED) == Config() == load(None)


def test_the_shipped_config_holds_every_key() -> None:
    assert said(yaml.safe_load(SHIPPED.read_text("utf-8")), Config) == keys(Config)


def test_every_key_of_the_shipped_config_is_explained_above_it() -> None:
    lines = SHIPPED.read_text("utf-8").splitlines()
    names = {key.rpartition(".")[2] for key in keys(Config)}
    for above, line in pairwise(lines):
        found = re.match(r"\s*(\w+):", line)
        if found and found[1] in names:
            assert above.lstrip().startswith("#"), f"no comment above {line.strip()!r}"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("htpp: {port: 1}", "there is no key 'htpp' in the config"),
        ("http: {prot: 1}", "there is no key 'prot' in section http"),
        ("answers: {staleness: {1h: {stale: 1}}}", "there is no key 'stale' in section answers.staleness.1h"),
        ("answers: {staleness: {2h: {stale_after_bars: 1, too_old_after_bars: 2}}}", "answers.staleness.2h"),
        ("answers: {staleness: {1h: {stale_after_bars: 9, too_old_after_bars: 2}}}", "at most too_old_after_bars"),
        ("http: {host: example.com}", "an address in figures is expected, or localhost"),
        ("http: {allowed_hosts: [https://example.com]}", "http.allowed_hosts.0"),
        ("http: {allowed_origins: [example.com]}", "http.allowed_origins.0"),
        ("limits: {with_key: often}", "limits.with_key"),
        ("access: {jwt: {issuer: https://id, audience: https://me/mcp}}", "one of jwks, jwks_file and jwks_url"),
        ("access: {jwt: {issuer: http://id, audience: a, jwks_url: https://id}}", "an https address is expected"),
        ("access: {jwt: {issuer: https://id, audience: a, jwks_url: https://id}}", "an https address is expected"),
        ("access: {jwt: {issuer: https://id, audience: https://me, algorithms: [HS256]}}", "access.jwt.algorithms.0"),
        ("http: {port: 65536}", "http.port: Input should be less than or equal to 65535"),
        ("http: 8765", "http: "),
        ("tenant: ../other", "tenant: "),
        ("market: {calendar: [{release: gdp, at: 2027-01-01, known_from: 2026-01-01}]}", "market.calendar.0.release"),
        (
            "market: {calendar: [{release: fed, at: 2027-01-27T19:00:00Z, known_from: 2027-02-01T00:00:00Z}]}",
            "must be before the release itself",
        ),
        (
            "market: {calendar: [{release: fed, at: '2027-01-27 19:00', known_from: 2026-02-01T00:00:00Z}]}",
            "market.calendar.0.at: Input should have timezone info",
        ),
        ("ledger: {flush_ms: 0}", "ledger.flush_ms"),
        ("- a list", "a mapping of settings is expected"),
        ("http: {port: 1", "is not YAML"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(BadConfig) as refused:
        load(path)
    assert says in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_config_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="cannot be read"):
        load(tmp_path / "none.yaml")
    with pytest.raises(BadConfig, match="cannot be read"):
        load(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00tenant")
    with pytest.raises(BadConfig, match="is not YAML"):
        load(tmp_path / "binary.yaml")


def test_what_is_left_out_stays_as_it_is_and_options_win(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("http: {port: 9001, body_limit_bytes: 2048}\nledger:\nanswers: {staleness: {}}\n")
    config = load(path, {"http": {"port": 0}})
    assert (config.http.port, config.http.body_limit_bytes) == (0, 2_048)
    assert config.answers == Config().answers


@pytest.mark.parametrize("text", ["", "# nothing\n", "null\n", "http: {}\n"])
def test_an_empty_config_is_the_defaults(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert load(path) == Config()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_every_loopback_address_is_served(host: str) -> None:
    assert load(None, {"http": {"host": host}}).http.host == host
