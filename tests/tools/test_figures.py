"""Tables for the terminal and pages for the documents."""

from pathlib import Path

import pytest

from tools import figures
from tools.figures import Table, as_markdown, as_text

TABLE = Table("Title", ["", "value"], [["a", "1"], ["long name", "22"]])


def test_a_table_lines_up_in_a_terminal() -> None:
    assert as_text(TABLE).splitlines() == ["Title", "             value", "  a              1", "  long name     22"]


def test_a_table_is_markdown_on_a_page() -> None:
    assert as_markdown(TABLE).splitlines()[2:] == ["|  | value |", "| --- | --: |", "| a | 1 |", "| long name | 22 |"]


def test_a_page_says_which_command_writes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(figures, "FIGURES", tmp_path)

    figures.write("page", "Title", "make it", "first part", "second part")

    page = (tmp_path / "page.md").read_text()
    assert page == "# Title\n\nWritten by `make it`. Changes by hand are lost.\n\nfirst part\n\nsecond part\n"
