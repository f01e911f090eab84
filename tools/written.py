"""A reply's JSON, written once and said at any time: what the clock changes is filled in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

_AS_OF, _AGE = '"as_of":"', '"data_age_seconds":'
_UTC = "+00:00"


@dataclass(frozen=True, slots=True)
class Written:
    """What stands before `as_of`, between it and `data_age_seconds`, and behind that; without an age all of the rest
    stands between."""

    before: str
    between: str
    behind: str | None

    @staticmethod
    def of(body: str, *, aged: bool) -> Written:
        """Takes the two fields, which hold what they hold now, out of JSON whose last keys of these names are they."""
        begins = body.rindex(_AS_OF) + len(_AS_OF)
        ends = body.index('"', begins)
        if not aged:
            return Written(body[:begins], body[ends:], None)
        age_begins = body.rindex(_AGE) + len(_AGE)
        age_ends = body.index(",", age_begins)
        return Written(body[:begins], body[ends:age_begins], body[age_ends:])

    def at(self, as_of: datetime, data_age_seconds: float | None) -> str:
        """The JSON of the same reply at another time, as pydantic would write it."""
        time = as_of.isoformat()
        if time.endswith(_UTC):
            time = f"{time[: -len(_UTC)]}Z"
        if self.behind is None:
            return f"{self.before}{time}{self.between}"
        return f"{self.before}{time}{self.between}{data_age_seconds!r}{self.behind}"
