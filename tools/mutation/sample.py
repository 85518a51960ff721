"""Which mutants of a package are tried: always the same ones for a seed, and more of the same for a larger count."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from tools.mutation.mutants import Mutant, mutants_of

LAYER = Path(__file__).parents[2] / "layers" / "whop_chat"


def package_mutants(package: str) -> list[Mutant]:
    """All mutants of ``whop_chat.<package>``, module by module."""
    return [
        mutant
        for path in sorted((LAYER / "whop_chat" / package).glob("*.py"))
        for mutant in mutants_of(".".join(path.relative_to(LAYER).with_suffix("").parts), path.read_text())
    ]


def source_of(module: str) -> Path:
    """The file of a module of the package."""
    return LAYER.joinpath(*module.split(".")).with_suffix(".py")


def sample(mutants: Iterable[Mutant], seed: int, count: int) -> list[Mutant]:
    """``count`` of ``mutants``, or all if there are fewer. Each is drawn by its id, so changed code moves no other."""
    return sorted(mutants, key=lambda mutant: hashlib.sha256(f"{seed} {mutant.id}".encode()).digest())[:count]
