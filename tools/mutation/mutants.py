"""The mutants of a module, each under an id that other changes of the module leave as it is."""

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tools.mutation.operators import OPERATORS
from tools.mutation.source import Site, sites

_LONGEST = 120


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change. ``site`` and ``variant`` say where to apply it.

    ``name`` is the function or class that it is in, and empty outside of these. ``statement`` is the statement.
    """

    id: str
    module: str
    name: str
    line: int
    statement: str
    operator: str
    before: str
    after: str
    lines: range
    in_function: bool
    site: int
    variant: int


def mutants_of(module: str, source: str) -> Iterator[Mutant]:
    """All mutants of ``source``, from top to bottom."""
    seen: Counter[tuple[str, ...]] = Counter()
    for number, site in enumerate(sites(ast.parse(source))):
        for variant, (operator, replacement) in enumerate(_changes(site)):
            text = (module, site.name, operator, ast.unparse(site.node), _unparsed(replacement))
            seen[text] += 1
            yield Mutant(
                id=hashlib.sha256("\0".join([*text, str(seen[text])]).encode()).hexdigest()[:10],
                module=module,
                name=site.name,
                line=getattr(site.node, "lineno", site.lines.start),
                statement=_short(ast.unparse(site.statement)) if site.statement else "",
                operator=operator,
                before=_short(text[3]),
                after=_short(text[4]),
                lines=site.lines,
                in_function=site.in_function,
                site=number,
                variant=variant,
            )


def mutated(source: str, mutant: Mutant) -> ast.Module:
    """The module with the change of ``mutant``. Lines keep their numbers. Raises `ValueError` for another source."""
    tree = ast.parse(source)
    site = next(site for number, site in enumerate(sites(tree)) if number == mutant.site)
    if _short(ast.unparse(site.node)) != mutant.before:
        raise ValueError(f"{mutant.module} has changed since its mutants were made")
    replacement = list(_changes(site))[mutant.variant][1]
    changed: ast.Module = _Replace(site.node, replacement).visit(tree)
    return ast.fix_missing_locations(changed)


class _Replace(ast.NodeTransformer):
    def __init__(self, node: ast.AST, replacement: ast.AST | None) -> None:
        self._node = node
        self._replacement = replacement

    def visit(self, node: ast.AST) -> Any:
        if node is not self._node:
            return self.generic_visit(node)
        return self._replacement and ast.copy_location(self._replacement, node)


def _changes(site: Site) -> Iterator[tuple[str, ast.AST | None]]:
    for operator in OPERATORS:
        for replacement in operator(site):
            yield operator.__name__, replacement


def _unparsed(node: ast.AST | None) -> str:
    return "" if node is None else ast.unparse(ast.fix_missing_locations(node))


def _short(code: str) -> str:
    line = " ".join(code.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
