"""Figures that a program has found, as tables for the terminal and as pages in docs/figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FIGURES = Path(__file__).parents[1] / "docs" / "figures"


@dataclass(frozen=True, slots=True)
class Table:
    """A title, a header and rows; the first column is text, the others are figures."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def as_text(table: Table) -> str:
    """For a terminal."""
    lines = [list(table.header), *map(list, table.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(table.header))]
    formatted = [
        "  ".join(cell.rjust(width) if column else cell.ljust(width) for column, (cell, width) in enumerate(cells))
        for cells in (list(zip(line, widths, strict=True)) for line in lines)
    ]
    return "\n".join([table.title, *(f"  {line}" for line in formatted)])


def as_markdown(table: Table) -> str:
    """For a page."""
    rule = ["---", *["--:"] * (len(table.header) - 1)]
    lines = ["| " + " | ".join(line) + " |" for line in (table.header, rule, *table.rows)]
    return "\n".join([f"**{table.title}**", "", *lines])


def write(name: str, title: str, command: str, *parts: str) -> None:
    """Write docs/figures/``name``.md: ``title``, the ``command`` that writes it, and ``parts``, which are Markdown."""
    page = [f"# {title}", f"Written by `{command}`. Changes by hand are lost.", *parts]
    (FIGURES / f"{name}.md").write_text("\n\n".join(page) + "\n")
