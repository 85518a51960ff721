"""Figures that a program has found, as tables for the terminal and for the documents."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


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
    """For a document."""
    rule = ["---", *["--:"] * (len(table.header) - 1)]
    lines = ["| " + " | ".join(line) + " |" for line in (table.header, rule, *table.rows)]
    return "\n".join([f"**{table.title}**", "", *lines])


def write_between_marks(document: Path, content: str, *, marks: str = "bench") -> None:
    """Replace what stands between the two ``marks`` in ``document``."""
    first, last = f"<!-- {marks}: begin -->", f"<!-- {marks}: end -->"
    before, begin, rest = document.read_text().partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise SystemExit(f"{document.name} has lost the marks {first} and {last}")
    document.write_text(f"{before}{first}\n\n{content.strip()}\n\n{last}{after}")
