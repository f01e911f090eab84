"""Kinds of what is observed beside bars: apart, for those who need no numpy."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What is observed. `FIELDS` names the numbers of each kind."""

    FUNDING = "funding"
    OPEN_INTEREST = "open_interest"
    BOOK = "book"
