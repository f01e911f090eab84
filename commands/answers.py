"""The file of answers of a replay: written beside its place and moved there when it is whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from registry.disk import UNFINISHED

#: `why` of rows that could not be asked at all.
BAD_QUESTION = "bad_question"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one capability: the file of answers, how many, why the others abstained, and what to note."""

    file: str
    rows: int
    answered: int
    abstentions: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]

    def said(self) -> dict[str, Any]:
        return {"file": self.file, "rows": self.rows, "answered": self.answered, "abstentions": dict(self.abstentions)}


class AnswerFile:
    """Takes tables of answers and counts them. After an error nothing is left, and what lay at `path` lies there
    still."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._unfinished = path.with_name(f".{path.name}{UNFINISHED}")
        self._rows = 0
        self._why: Counter[str] = Counter()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(self._unfinished, schema, compression="zstd")

    def __enter__(self) -> AnswerFile:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        try:
            self._writer.close()
            if error is None:
                self._unfinished.replace(self._path)
        finally:
            self._unfinished.unlink(missing_ok=True)

    def write(self, answers: pa.Table) -> None:
        """Adds rows."""
        self._writer.write_table(answers)
        self._rows += len(answers)
        self._why.update(text.partition(":")[0] for text in answers["why"].to_pylist() if text)

    def replayed(self, notes: tuple[str, ...]) -> Replayed:
        """What is in it."""
        bad = self._why[BAD_QUESTION]
        of_rows = (f"{bad:,} of {self._rows:,} rows could not be asked; column why says what is wrong",) if bad else ()
        why = +self._why
        return Replayed(
            str(self._path), self._rows, self._rows - why.total(), tuple(why.most_common()), (*notes, *of_rows)
        )
