"""A line of `make bench`: ours over the bare libraries, measured side by side in one run, with its goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ratio:
    """`cpu` and `wall` are ours over theirs; the `goal` is the most that the one named by `judged` may be. None where
    there is no goal, or no such figure. `why` says what the bare side cost, and what ours does beside."""

    what: str
    cpu: float | None
    wall: float | None
    goal: float | None
    why: str
    judged: str = "CPU"

    @property
    def met(self) -> bool | None:
        """None where nothing was asked."""
        figure = self.cpu if self.judged == "CPU" else self.wall
        return None if self.goal is None or figure is None else round(figure, 2) <= self.goal


def table(ratios: Sequence[Ratio]) -> str:
    """As Markdown."""
    lines = ["| ours / bare | CPU | wall | goal | | why |", "|---|---|---|---|---|---|"]
    for one in ratios:
        cpu, wall = ("" if value is None else f"{value:.2f}" for value in (one.cpu, one.wall))
        goal = "" if one.goal is None else f"{one.judged} <= {one.goal:.2f}"
        met = {None: "", True: "met", False: "**missed**"}[one.met]
        lines.append(f"| {one.what} | {cpu} | {wall} | {goal} | {met} | {one.why} |")
    return "\n".join(lines)
