"""What a caller may do. No scope holds another: a key has those that it was given."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """`read`: ask for advice and look at records. `trade`: ask for a veto and report trades, which are written down
    before the reply and may be held against the caller. `operate`: change what the server has or does."""

    READ = "read"
    TRADE = "trade"
    OPERATE = "operate"


EVERY_SCOPE = frozenset(Scope)
