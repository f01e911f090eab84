"""What refits showed on weeks that they had not seen, beside the rules: the evidence that the gate weighs."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.bars import Floats, Instants
from workers.lessons import BadLessons

_INSTANTS = ("as_of", "settled_at")
_NAMES = ("series", "strata")
_SCORES = ("model", "rules")
_MARKS = ("model_marks", "rules_marks")
#: Columns of marks; a capability's own figures come after these.
CONFIDENCE, RIGHT, IN_80, IN_90 = MARKS = range(4)
#: Instants (ms) stay below it until the year 2248: a series and an instant fit into one int64.
_ONE_SERIES = 2**43


@dataclass(frozen=True, slots=True, eq=False)
class Names:
    """A name for each of n rows, each kept once: that of row i is `of[codes[i]]`; `codes` is int64, shape (n,)."""

    codes: NDArray[np.int64]
    of: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    @staticmethod
    def told(names: Sequence[str]) -> Names:
        number: dict[str, int] = {}
        codes = [number.setdefault(name, len(number)) for name in names]
        return Names(np.array(codes, dtype=np.int64), tuple(number))

    def pick(self, keep: NDArray[np.bool_]) -> Names:
        return Names(self.codes[keep], self.of)

    def codes_in(self, other: Sequence[str]) -> NDArray[np.int64]:
        """The codes that the names of the rows have among `other`; -1 where they are not among them."""
        number = {name: code for code, name in enumerate(other)}
        table = np.array([number.get(name, -1) for name in self.of], dtype=np.int64)
        return table[self.codes] if len(self.codes) else self.codes

    @staticmethod
    def joined(parts: Sequence[Names]) -> Names:
        every = tuple(dict.fromkeys(name for one in parts for name in one.of))
        codes = [one.codes_in(every) for one in parts]
        return Names(np.concatenate(codes) if codes else np.zeros(0, dtype=np.int64), every)


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Answers of refits beside those of the rules, on the same questions, ordered by `as_of` (ms); n rows.

    `settled_at` is when each truth had closed; `series` and `strata` name what was asked and of which kind it is.
    `model` and `rules` are losses, `model` NaN where it abstained. Marks are for calibration, shape (n, 4 + k), NaN
    where one does not apply: the confidence in a label, whether it was right (0 or 1), whether the truth lay in the 80%
    and in the 90% band, and the capability's k own figures in their order there.
    """

    as_of: Instants
    settled_at: Instants
    series: Names
    strata: Names
    model: Floats
    rules: Floats
    model_marks: Floats
    rules_marks: Floats

    def __len__(self) -> int:
        return len(self.as_of)

    def where(self, keep: NDArray[np.bool_]) -> Shown:
        names = [getattr(self, name).pick(keep) for name in _NAMES]
        instants, scores = ([getattr(self, name)[keep] for name in some] for some in (_INSTANTS, (*_SCORES, *_MARKS)))
        return Shown(*instants, *names, *scores)

    def known_by(self, at: int) -> Shown:
        """What had settled by `at`."""
        return self.where(self.settled_at <= at)

    @staticmethod
    def of(parts: Sequence[Shown]) -> Shown:
        """All of it, one after another."""
        parts = [one for one in parts if len(one)]  # who was asked nothing has no figures either

        def together(name: str, empty: NDArray[Any]) -> NDArray[Any]:
            return np.concatenate([empty, *(getattr(one, name) for one in parts)])

        nowhen, nothing = np.zeros(0, dtype=np.int64), np.zeros(0)
        instants = [together(name, nowhen) for name in _INSTANTS]
        names = [Names.joined([getattr(one, name) for one in parts]) for name in _NAMES]
        unmarked = np.empty((0, parts[0].model_marks.shape[1] if parts else len(MARKS)))
        scores = [together(name, nothing) for name in _SCORES]
        marks = [together(name, unmarked) for name in _MARKS]
        return Shown(*instants, *names, *scores, *marks)  # type: ignore[arg-type]  # the names are those of its fields

    def losses(self) -> Losses:
        """What is kept of it with the version that it speaks for."""
        return Losses(self.as_of, self.series, self.model)

    def to_bytes(self) -> bytes:
        """As an `.npz`: the same content gives the same bytes."""
        arrays = {name: getattr(self, name) for name in (*_INSTANTS, *_SCORES, *_MARKS)}
        return _packed({**arrays, **_unnamed(self.series, "series"), **_unnamed(self.strata, "strata")})

    @staticmethod
    def from_bytes(content: bytes) -> Shown:
        """Back from bytes whose hash was checked. Raises BadLessons."""
        named = [f"{one}_{what}" for one in _NAMES for what in ("codes", "of")]
        told = _unpacked(content, (*_INSTANTS, *_SCORES, *_MARKS, *named))
        parts: Mapping[str, Any] = {**told, **{one: _named(told, one) for one in _NAMES}}
        return Shown(*(parts[one] for one in (*_INSTANTS, *_NAMES, *_SCORES, *_MARKS)))


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """Losses of a version's learner on weeks that it had not seen, by what was asked and when; n rows."""

    as_of: Instants
    series: Names
    model: Floats

    def on(self, shown: Shown) -> Floats:
        """The losses on the rows of `shown`, shape (len(shown),); NaN where it was not asked, or abstained."""
        mine = self.series.codes * _ONE_SERIES + self.as_of
        order = np.argsort(mine, kind="stable")
        codes = shown.series.codes_in(self.series.of)
        wanted = codes * _ONE_SERIES + shown.as_of
        at = np.minimum(np.searchsorted(mine[order], wanted), max(len(mine) - 1, 0))
        found = np.full(len(shown), np.nan)
        if len(mine):
            same = (codes >= 0) & (mine[order[at]] == wanted)
            found[same] = self.model[order[at[same]]]
        return found

    def to_bytes(self) -> bytes:
        """As a packed `.npz`, the losses as float32: small enough to be kept with every version."""
        return _packed({"as_of": self.as_of, "model": self.model.astype(np.float32), **_unnamed(self.series, "series")})

    @staticmethod
    def from_bytes(content: bytes) -> Losses:
        """Back from bytes whose hash was checked. Raises BadLessons."""
        told = _unpacked(content, ("as_of", "model", "series_codes", "series_of"))
        return Losses(told["as_of"], _named(told, "series"), told["model"].astype(np.float64))


def _unnamed(names: Names, name: str) -> Mapping[str, NDArray[Any]]:
    return {f"{name}_codes": names.codes, f"{name}_of": np.array(names.of, dtype=np.str_)}


def _named(told: Mapping[str, NDArray[Any]], name: str) -> Names:
    return Names(told[f"{name}_codes"].astype(np.int64), tuple(told[f"{name}_of"].tolist()))


def _packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    kept = io.BytesIO()
    np.savez_compressed(kept, **arrays)  # type: ignore[arg-type]  # numpy types its keywords as flags
    return kept.getvalue()


def _unpacked(content: bytes, names: Sequence[str]) -> Mapping[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            return {name: kept[name] for name in names}
    except (ValueError, LookupError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise BadLessons(f"these bytes are no evidence: {type(error).__name__}") from error
