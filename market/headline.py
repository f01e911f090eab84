"""A headline as it came in, cleaned; and what is refused."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from market.bar_table import EARLIEST, LATEST
from ml.bars import Instant
from ml.capability import SYMBOL_PATTERN

#: Longer titles are cut: what is longer is no headline.
LONGEST_TITLE = 500
LONGEST_SOURCE = 64
MOST_SYMBOLS = 32
_SOURCE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class HeadlineFault(StrEnum):
    """Why a headline was refused."""

    NO_TIME = "no time, or one outside 1970..2100"
    IN_FUTURE = "the time lies in the future"
    NO_TITLE = "the title is empty"
    BAD_SOURCE = "the source is not a short name of a-z, 0-9, '.', '_' or '-'"
    BAD_SYMBOL = "a symbol is none that a question could name, or there are more than 32"


@dataclass(frozen=True, slots=True)
class Headline:
    """One headline: its `source`, the source's own `key` for it (an address or a number, hashed here and never shown),
    when it was published (ms UTC), its `title`, and the symbols that the source named, sorted."""

    source: str
    key: str
    at: Instant
    title: str
    symbols: tuple[str, ...] = ()


def headline(source: str, key: str, at: Instant, title: str, symbols: tuple[str, ...] = ()) -> Headline | HeadlineFault:
    """A clean headline, or why it cannot be one. The title is NFKC, without control and invisible characters, one
    line; without a `key` its own words are the key."""
    clean = one_line(title)[:LONGEST_TITLE]
    if not EARLIEST <= at <= LATEST:
        return HeadlineFault.NO_TIME
    if not clean:
        return HeadlineFault.NO_TITLE
    if _SOURCE.fullmatch(source) is None:
        return HeadlineFault.BAD_SOURCE
    if len(symbols) > MOST_SYMBOLS or any(re.fullmatch(SYMBOL_PATTERN, one) is None for one in symbols):
        return HeadlineFault.BAD_SYMBOL
    hashed = hashlib.sha256(f"{source}\0{key or clean}".encode()).hexdigest()[:32]
    return Headline(source, hashed, at, clean, tuple(sorted(set(symbols))))


def one_line(text: str) -> str:
    """The text in NFKC, on one line, without characters that nobody sees (controls, formats, lone surrogates)."""
    seen = "".join(" " if one.isspace() else one for one in unicodedata.normalize("NFKC", text))
    return " ".join(
        "".join(one for one in seen if unicodedata.category(one) not in {"Cc", "Cf", "Cs", "Co", "Cn"}).split()
    )
