"""`make skill`: tables say what was measured, what was asked, and what was missed; docs pages take them in."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import skill, skill_page
from benchmarks.skill_table import Column, Figure, Line, Table, quoted

COLUMNS = (Column("QLIKE", least=None, most=0.79), Column("coverage", 2, least=0.77, most=0.83), Column("CPU", 0))
RULES = Line("rules", (Figure(0.87, 0.84, 0.9), Figure(0.7), None))
MODEL = Line("model", (Figure(0.7904, 0.75, 0.82), Figure(0.751, 0.74, 0.76), Figure(13.2)), judged=True)
TABLE = Table("coins, 2022 on", COLUMNS, (quoted("specification: MLP", 0.807, None, 13.0), RULES, MODEL), ("A note.",))


def test_a_table_shows_intervals_goals_and_what_missed_them() -> None:
    lines = TABLE.markdown().splitlines()
    assert lines[0] == "**coins, 2022 on**"
    assert "| *specification: MLP* | 0.807 |  | 13 |" in lines
    assert "| rules | 0.870 [0.840, 0.900] | 0.70 |  |" in lines
    assert "| **model** | 0.790 [0.750, 0.820] | 0.75 [0.74, 0.76] missed | 13 |" in lines
    assert "| goal | <= 0.79 | >= 0.77, <= 0.83 |  |" in lines
    assert lines[-1] == "A note."
    assert TABLE.missed == ("coverage",)


def test_a_line_has_one_figure_for_each_column() -> None:
    with pytest.raises(ValueError, match="model must have one figure for each of 2"):
        Table("x", COLUMNS[:2], (MODEL,))


@pytest.mark.parametrize("name", skill.MODULES)
def test_every_capability_with_a_table_has_a_page_that_takes_it(name: str, tmp_path: Path) -> None:
    """Round trip: what stands there, written again, changes no byte; something else replaces it and nothing more."""
    page = skill.DOCS / f"{name}.md"
    copy = tmp_path / page.name
    copy.write_bytes(page.read_bytes())
    skill_page.write(copy, skill_page.read(copy))
    assert copy.read_bytes() == page.read_bytes()
    skill_page.write(copy, TABLE.markdown())
    assert skill_page.read(copy) == TABLE.markdown()
    skill_page.write(copy, skill_page.read(page))
    assert copy.read_bytes() == page.read_bytes()
    assert skill.tables_of(name).__module__ == skill.MODULES[name]


@pytest.mark.parametrize("text", ["no markers", skill_page.BEGIN, f"{skill_page.END}\n{skill_page.BEGIN}"])
def test_a_page_without_its_markers_is_refused_and_left_alone(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, "utf-8")
    with pytest.raises(skill_page.NoMarkers, match=r"page.md needs the lines"):
        skill_page.write(page, "x")
    assert page.read_text("utf-8") == text


def test_a_block_with_a_marker_of_its_own_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"a\n{skill_page.BEGIN}\n{skill_page.END}\nb", "utf-8")
    with pytest.raises(ValueError, match="marker of its own"):
        skill_page.write(page, skill_page.END)


def test_tables_are_printed_as_they_come_and_written_when_all_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "toy.md"
    page.write_text(f"before\n{skill_page.BEGIN}\nold\n{skill_page.END}\nafter\n", "utf-8")
    monkeypatch.setattr(skill, "tables_of", lambda name: lambda data: iter([TABLE, TABLE]))
    assert skill.measured("toy", tmp_path, page) == [TABLE, TABLE]
    assert skill_page.read(page) == f"{TABLE.markdown()}\n\n{TABLE.markdown()}"
    assert page.read_text("utf-8").startswith("before\n")
    assert page.read_text("utf-8").endswith("after\n")
    assert TABLE.markdown() in capsys.readouterr().out
