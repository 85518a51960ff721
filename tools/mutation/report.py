"""docs/figures/mutation.md: figures by package and by operator, and why each survivor may live."""

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.figures import Table, as_markdown
from tools.mutation.mutants import Mutant
from tools.mutation.operators import OPERATORS
from tools.mutation.trial import Outcome

TARGET = 0.9
EXPLAINED = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True, slots=True)
class Tried:
    """The sample of one package, with the outcomes. ``possible`` is how many mutants the package has."""

    package: str
    possible: int
    outcomes: Sequence[tuple[Mutant, Outcome]]

    @property
    def killed(self) -> int:
        """How many mutants the tests noticed. A mutant that hangs is noticed."""
        return sum(outcome != "survived" for _, outcome in self.outcomes)

    @property
    def share(self) -> float:
        """Of the sample, from 0 to 1."""
        return self.killed / len(self.outcomes)

    @property
    def survivors(self) -> list[Mutant]:
        """In the order of the source."""
        alive = [mutant for mutant, outcome in self.outcomes if outcome == "survived"]
        return sorted(alive, key=lambda mutant: (mutant.module, mutant.line, mutant.id))


def read_explained() -> dict[str, str]:
    """Why a mutant may survive, by its id."""
    return tomllib.loads(EXPLAINED.read_text())


def by_package(tried: Sequence[Tried]) -> Table:
    """A row a package."""
    rows = [
        [
            each.package,
            str(each.possible),
            str(len(each.outcomes)),
            str(each.killed),
            str(sum(outcome == "timed out" for _, outcome in each.outcomes)),
            str(len(each.survivors)),
            f"{each.share:.1%}",
        ]
        for each in tried
    ]
    header = ["package", "possible", "tried", "killed", "of these by hanging", "survived", "killed, %"]
    return Table("By package", header, rows)


def by_operator(tried: Sequence[Tried]) -> Table:
    """A row an operator."""
    outcomes = [(mutant.operator, outcome) for each in tried for mutant, outcome in each.outcomes]
    made = Counter(operator for operator, _ in outcomes)
    alive = Counter(operator for operator, outcome in outcomes if outcome == "survived")
    rows = [[f"`{name}`: {meaning}", str(made[name]), str(alive[name])] for name, meaning in _operators().items()]
    return Table("By operator", ["operator", "tried", "survived"], rows)


def page(tried: Sequence[Tried], seed: int, explained: Mapping[str, str]) -> list[str]:
    """The parts of the page."""
    return [
        f"Seed {seed}. A mutant is killed if a test of `tests/unit/<package>` fails or hangs with it.",
        "[CONTRIBUTING.md](../../CONTRIBUTING.md#faults-that-no-test-notices) says what to do with one that survives.",
        as_markdown(by_package(tried)),
        as_markdown(by_operator(tried)),
        *(as_markdown(_survivors(each, explained)) for each in tried if each.survivors),
    ]


def _operators() -> dict[str, str]:
    return {each.__name__: (each.__doc__ or "").strip() for each in OPERATORS}


def _survivors(tried: Tried, explained: Mapping[str, str]) -> Table:
    rows = [
        [
            f"`{mutant.module.rpartition('.')[2]}` {_code(mutant.name or mutant.statement)}",
            _code(mutant.before),
            _code(mutant.after) if mutant.after else "removed",
            explained.get(mutant.id, "not explained"),
            mutant.id,
        ]
        for mutant in tried.survivors
    ]
    return Table(f"Survivors of {tried.package}", ["where", "before", "after", "why", "id"], rows)


def _code(text: str) -> str:
    """In a cell of a table."""
    return f"`{text}`".replace("|", "\\|")
