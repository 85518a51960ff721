"""What a scenario found, as a table for the terminal and for docs/figures/soak.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tools import figures


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. ``met`` says whether it is what ``allowed`` allows; without that it only informs."""

    what: str
    figure: str
    allowed: str = ""
    met: bool = True
    examples: Sequence[str] = field(default=(), repr=False)

    @classmethod
    def none(cls, what: str, found: Sequence[str]) -> "Figure":
        """There should be none; ``found`` says what they are."""
        return cls(what, str(len(found)), "0", not found, found[:5])

    @classmethod
    def at_most(cls, what: str, value: float, limit: float, unit: str = "") -> "Figure":
        """A number and its limit."""
        return cls(what, _shown(value, unit), f"at most {_shown(limit, unit)}", value <= limit)

    @classmethod
    def at_least(cls, what: str, value: float, limit: float, unit: str = "") -> "Figure":
        """A number and the least it may be."""
        return cls(what, _shown(value, unit), f"at least {_shown(limit, unit)}", value >= limit)

    @classmethod
    def known(cls, what: str, value: float, unit: str = "") -> "Figure":
        """For the reader only."""
        return cls(what, _shown(value, unit))


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one run. ``story`` is a digest of it, the same whenever it is repeated."""

    figures: Sequence[Figure]
    story: str

    @property
    def unmet(self) -> Mapping[str, Figure]:
        """The figures that are not what is allowed, by what they count."""
        return {figure.what: figure for figure in self.figures if not figure.met}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one scenario with one seed and ``options`` that are not the usual ones."""

    scenario: str
    seed: int
    options: Mapping[str, object]
    found: Found

    @property
    def met(self) -> bool:
        """Whether every figure is as it should be."""
        return not self.found.unmet

    @property
    def name(self) -> str:
        """What tells it from other runs of the scenario."""
        return " ".join([f"seed {self.seed}", *(f"{name} {value}" for name, value in self.options.items())])

    @property
    def replay(self) -> str:
        """What runs it again, alone."""
        options = "".join(f" --{name.replace('_', '-')} {value}" for name, value in self.options.items())
        return f'make soak ARGS="{self.scenario} --seed {self.seed}{options}"'


def as_text(outcome: Outcome) -> str:
    """For the terminal; what is not met comes with examples."""
    lines = [f"{outcome.scenario}, seed {outcome.seed}   (story {outcome.found.story})"]
    for figure in outcome.found.figures:
        mark = " " if not figure.allowed else "✓" if figure.met else "✗"
        lines.append(f"  {mark} {figure.what:<58}{figure.figure:>12}  {figure.allowed}")
        if not figure.met:
            lines += [f"      {example}" for example in figure.examples]
    if not outcome.met:
        lines.append(f"  run it again with: {outcome.replay}")
    return "\n".join(lines)


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """For the document: runs of one scenario, side by side."""
    header = ["", *(outcome.name for outcome in outcomes), "allowed"]
    rows = [
        [same[0].what, *(figure.figure for figure in same), _limits(same)]
        for same in zip(*(outcome.found.figures for outcome in outcomes), strict=True)
    ]
    table = figures.as_markdown(figures.Table(outcomes[0].scenario, header, rows))
    commands = "\n".join(f"- `{outcome.replay}`" for outcome in outcomes)
    return f"{table}\n\nTo repeat it:\n\n{commands}"


def _limits(figures: Sequence[Figure]) -> str:
    """What is allowed, where that differs from run to run for each of them."""
    allowed = [figure.allowed for figure in figures]
    return allowed[0] if len(set(allowed)) == 1 else " / ".join(each or "any" for each in allowed)


def _shown(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:,.1f}"
    return f"{number}{unit}"
