"""The block of a docs page that `make skill` writes: between two markers, replaced whole."""

from __future__ import annotations

from pathlib import Path

BEGIN = "<!-- skill: what follows is written by `make skill` -->"
END = "<!-- skill: end -->"


class NoMarkers(ValueError):  # noqa: N818 - told as it is
    """A page that does not hold the two markers, once each and in order."""


def read(page: Path) -> str:
    """What stands between the markers. Raises NoMarkers."""
    return _parts(page)[1].strip("\n")


def write(page: Path, block: str) -> None:
    """Puts `block` between the markers; the rest of the page stays as it is. Raises NoMarkers, and ValueError for a
    block that holds a marker itself."""
    before, _, after = _parts(page)
    if BEGIN in block or END in block:
        raise ValueError("the block holds a marker of its own")
    lines = [BEGIN, *([body] if (body := block.strip("\n")) else []), END]
    page.write_text(before + "\n".join(lines) + after, "utf-8")


def _parts(page: Path) -> tuple[str, str, str]:
    text = page.read_text("utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise NoMarkers(f"{page.name} needs the lines {BEGIN} and {END}, once each and in this order")
    before, _, rest = text.partition(BEGIN)
    block, _, after = rest.partition(END)
    return before, block, after
