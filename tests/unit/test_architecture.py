"""docs/architecture.md lists the modules of the package from the bottom up; here their imports are held to it."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.unit.fakes import ROOT

PACKAGE = ROOT / "layers" / "whop_chat" / "whop_chat"
MODULES = {path.stem: ast.parse(path.read_text()) for path in PACKAGE.glob("*.py") if path.stem != "__init__"}


def modules_in_the_table() -> list[str]:
    """As they stand there, row by row and from left to right."""
    table = (ROOT / "docs" / "architecture.md").read_text().partition("| module | its one idea |\n")[2]
    rows = table.partition("\n\n")[0].splitlines()[1:]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]


def imports(module: ast.Module) -> Iterator[str]:
    """What a module imports of the package, wherever in it: also in a function, and for types only."""
    for node in ast.walk(module):
        match node:
            case ast.Import(names=names):
                full = [each.name for each in names]
            case ast.ImportFrom(module="whop_chat", names=names):
                full = [f"whop_chat.{each.name}" for each in names]
            case ast.ImportFrom(module=str(origin), level=0):
                full = [origin]
            case ast.ImportFrom():
                raise AssertionError("a relative import")
            case _:
                continue
        yield from (name.split(".")[1] for name in full if name.startswith("whop_chat."))


def test_every_module_has_one_place_in_the_table() -> None:
    assert sorted(modules_in_the_table()) == sorted(MODULES)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_what_stands_before_it(name: str) -> None:
    table = modules_in_the_table()

    assert set(imports(MODULES[name])) <= set(table[: table.index(name)])


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_module_reads_the_environment(name: str) -> None:
    read = {node.attr for node in ast.walk(MODULES[name]) if isinstance(node, ast.Attribute)}
    taken = {each.name for node in ast.walk(MODULES[name]) if isinstance(node, ast.ImportFrom) for each in node.names}

    assert not (read | taken) & {"environ", "environb", "getenv"}
