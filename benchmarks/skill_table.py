"""What a skill module hands back: tables of figures with their intervals and goals, and how they become Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its 95% interval, by bootstrap over whole weeks, all symbols of a week together. `low` and `high`
    are None where it has none: a quoted figure, a cost."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A figure's name, its digits after the point, and its goal: `least` and `most` include themselves."""

    name: str
    digits: int = 3
    least: float | None = None
    most: float | None = None

    def holds(self, figure: Figure) -> bool:
        """Whether the figure, as it is printed, meets the goal; True where there is none."""
        value = round(figure.value, self.digits)
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass(frozen=True, slots=True)
class Line:
    """One predictor: a figure per column, None where it was not measured. `quoted` marks a line of the specification
    (`capabilities.md`), on other rows than ours; `judged` the one that the goals are asked of."""

    who: str
    figures: tuple[Figure | None, ...]
    quoted: bool = False
    judged: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """One market. `title` names it with years, symbols, weeks and rows; `notes` are sentences: what a fit and an answer
    cost in CPU, what share the model answered, what was looked at before."""

    title: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong = [line.who for line in self.lines if len(line.figures) != len(self.columns)]
        if wrong:
            raise ValueError(f"{self.title}: {', '.join(wrong)} must have one figure for each of {len(self.columns)}")

    @property
    def missed(self) -> tuple[str, ...]:
        """Goals that the judged lines do not meet, by name of the column."""
        return tuple(
            column.name
            for line in self.lines
            if line.judged
            for column, figure in zip(self.columns, line.figures, strict=True)
            if figure is not None and not column.holds(figure)
        )

    def markdown(self) -> str:
        """Quoted lines in italics, the judged one in bold; a figure that misses its goal says so."""
        head = ["", *(column.name for column in self.columns)]
        lines = [f"**{self.title}**", "", _row(head), _row(["---"] * len(head)), *map(self._line, self.lines)]
        if any(column.least is not None or column.most is not None for column in self.columns):
            lines.append(_row(["goal", *map(_goal, self.columns)]))
        return "\n".join([*lines, *(f"\n{note}" for note in self.notes)])

    def _line(self, line: Line) -> str:
        style = "*" if line.quoted else "**" if line.judged else ""
        told = [f"{style}{line.who}{style}"]
        for column, figure in zip(self.columns, line.figures, strict=True):
            missed = line.judged and figure is not None and not column.holds(figure)
            told.append(_told(column, figure) + (" missed" if missed else ""))
        return _row(told)


def quoted(who: str, *values: float | None) -> Line:
    """A line of the specification."""
    return Line(who, tuple(None if value is None else Figure(value) for value in values), quoted=True)


def _told(column: Column, figure: Figure | None) -> str:
    if figure is None:
        return ""
    between = ""
    if figure.low is not None and figure.high is not None:
        between = f" [{figure.low:.{column.digits}f}, {figure.high:.{column.digits}f}]"
    return f"{figure.value:.{column.digits}f}{between}"


def _goal(column: Column) -> str:
    parts = [f">= {column.least:g}"] if column.least is not None else []
    parts += [f"<= {column.most:g}"] if column.most is not None else []
    return ", ".join(parts)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
