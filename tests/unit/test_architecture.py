"""The packages of `whop_chat` are floors: each imports only what stands below it, and no other package's underscore."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.source_tree import ROOT

PACKAGE = ROOT / "layers" / "whop_chat" / "whop_chat"
FLOORS = (
    ("runtime",),
    ("cognito", "whop", "pictures"),
    ("users",),
    ("enrolment",),
    ("sync", "oauth"),
    ("minting", "reconcile", "readiness", "avatars"),
    ("settings", "api"),
    ("bootstrap", "oauth_bootstrap"),
)
"""From the bottom up. Packages of one floor do not know each other."""
HEIGHT = {name: height for height, floor in enumerate(FLOORS) for name in floor}
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_text())
    for path in PACKAGE.rglob("*.py")
}
CALLERS = [
    path
    for folder in ("functions", "manage", "local", "soak", "bench", "tools")
    for path in (ROOT / folder).rglob("*.py")
]


def imported(module: ast.Module) -> Iterator[str]:
    """What a module imports; also in a function, and for types only."""
    for node in ast.walk(module):
        match node:
            case ast.Import(names=names):
                yield from (each.name for each in names)
            case ast.ImportFrom(module=str(origin), level=0, names=names):
                yield from (f"{origin}.{each.name}" for each in names)
            case ast.ImportFrom():
                raise AssertionError("a relative import")


def imports(module: ast.Module) -> Iterator[str]:
    """What a module imports of the package, below `whop_chat`."""
    return (name.removeprefix("whop_chat.") for name in imported(module) if name.startswith("whop_chat."))


def package(name: str) -> str:
    return name.partition(".")[0]


def private(name: str) -> bool:
    return any(part.startswith("_") for part in name.split("."))


def test_every_package_has_its_floor() -> None:
    assert {package(name) for name in MODULES} - {"__init__"} == set(HEIGHT)


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"__init__"}))
def test_a_module_imports_only_lower_floors(name: str) -> None:
    others = {each for each in imports(MODULES[name]) if package(each) != package(name)}

    assert [each for each in others if HEIGHT[package(each)] >= HEIGHT[package(name)]] == []
    assert [each for each in others if private(each)] == []


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.endswith("__init__")))
def test_a_face_is_a_docstring(name: str) -> None:
    assert [type(node) for node in MODULES[name].body[1:]] == []


@pytest.mark.parametrize("path", CALLERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nobody_outside_imports_what_is_private(path: Path) -> None:
    assert [each for each in imports(ast.parse(path.read_text())) if private(each)] == []


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_module_reads_the_environment(name: str) -> None:
    read = {node.attr for node in ast.walk(MODULES[name]) if isinstance(node, ast.Attribute)}
    taken = {each.name for node in ast.walk(MODULES[name]) if isinstance(node, ast.ImportFrom) for each in node.names}

    assert not (read | taken) & {"environ", "environb", "getenv"}


def constructors() -> Iterator[tuple[str, ast.FunctionDef]]:
    for name, module in MODULES.items():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                for each in node.body:
                    if isinstance(each, ast.FunctionDef) and each.name == "__init__":
                        yield f"{name}.{node.name}", each


@pytest.mark.parametrize(("name", "constructor"), list(constructors()), ids=[name for name, _ in constructors()])
def test_a_class_has_few_collaborators(name: str, constructor: ast.FunctionDef) -> None:
    assert len(constructor.args.args) - 1 <= 7


@pytest.mark.parametrize(
    ("libraries", "allowed"),
    [
        (("select", "asyncio", "requests", "h11", "http.client", "urllib3"), set()),
        # Neither opens one: the first names an option that botocore sets too, the second resolves names.
        (("socket",), {"runtime.botocore_clients", "runtime._network"}),
        (("httpx", "httpcore"), {"runtime._network", "runtime.http"}),
    ],
)
def test_one_place_knows_the_network(libraries: tuple[str, ...], allowed: set[str]) -> None:
    knowing = {
        name
        for name, module in MODULES.items()
        for each in imported(module)
        if f"{each}.".startswith(tuple(f"{library}." for library in libraries))
    }

    assert knowing == allowed
