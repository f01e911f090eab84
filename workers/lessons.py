"""Lessons as a file, for the training process: arrays alone, nothing that runs when it is read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.background import Background
from ml.bars import Floats
from ml.capability import Question, Rows
from ml.learning import Lessons

#: The arrays of a background.
_SEEN = ("seen_kinds", "seen_codes", "seen_known_at", "seen_values")


class BadLessons(Exception):  # noqa: N818 - told as it is
    """Bytes that are no lessons."""


def to_bytes(lessons: Lessons, *, values: bool = True) -> bytes:
    """Lessons as an `.npz`: the same lessons give the same bytes. Questions are kept once each, as JSON. Without
    `values` all but those of the rows, which lie elsewhere.

    Raises ValueError for a row that nobody can answer: it teaches nothing.
    """
    rows = lessons.rows
    if any(cannot is not None for cannot in rows.cannot):
        raise ValueError("lessons hold a row that nobody can answer")
    number: dict[str, int] = {}
    asked = [number.setdefault(one.model_dump_json(), len(number)) for one in rows.questions]
    arrays: dict[str, Any] = {
        "names": np.array(rows.names, dtype=np.str_),
        "values": np.ascontiguousarray(rows.values if values else rows.values[:0], dtype=np.float64),
        "questions": np.array(list(number), dtype=np.str_),
        "asked": np.array(asked, dtype=np.int64),
        "as_of": np.asarray(rows.as_of, dtype=np.int64),
        "data_through": np.asarray(rows.data_through, dtype=np.int64),
        "truths": _truths(lessons),
        **_seen(lessons.background),
    }
    kept = io.BytesIO()
    np.savez(kept, **arrays)
    return kept.getvalue()


def from_bytes(content: bytes, question: type[Question], values: Path | None = None) -> Lessons:
    """Back from bytes whose hash was checked; with the values of the rows from a file, where they lie there. Raises
    BadLessons."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            parts = {name: kept[name] for name in kept.files}
        distinct = [question.model_validate_json(one) for one in parts["questions"].tolist()]
        questions = tuple(distinct[i] for i in parts["asked"].tolist())
        none = (None,) * len(questions)
        names = tuple(parts["names"].tolist())
        table = parts["values"] if values is None else in_file(values, len(questions), len(names))
        rows = Rows(names, table, questions, parts["as_of"], parts["data_through"], none)
        return Lessons(rows, parts["truths"].tolist(), _background(parts))
    except (ValueError, LookupError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise BadLessons(f"these bytes are no lessons: {type(error).__name__}") from error


def in_file(file: Path, n: int, k: int) -> Floats:
    """Values of n rows that lie in a file, shape (n, k): read where they are used, and shared among processes."""
    return np.asarray(np.memmap(file, dtype=np.float64, mode="r", shape=(n, k)))


def _seen(background: Background | None) -> dict[str, NDArray[Any]]:
    """The arrays of what was seen beside; none where there is no such thing."""
    if background is None:
        return {}
    names = np.array(background.kinds, dtype=np.str_)
    return dict(zip(_SEEN, (names, background.codes, background.known_at, background.values), strict=True))


def _background(parts: Mapping[str, NDArray[Any]]) -> Background | None:
    if _SEEN[0] not in parts:
        return None
    kinds, codes, known_at, values = (parts[name] for name in _SEEN)
    return Background(tuple(kinds.tolist()), codes, known_at, values)


def _truths(lessons: Lessons) -> NDArray[np.float64] | NDArray[np.str_]:
    if lessons.truths and isinstance(lessons.truths[0], str):
        return np.array(lessons.truths, dtype=np.str_)
    return np.array(lessons.truths, dtype=np.float64)
