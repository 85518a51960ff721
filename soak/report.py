"""The figures of a scenario, as text for the terminal and as tables for docs/figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tools import figures


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. ``met`` is false if it is not what ``allowed`` says. Without ``allowed`` it only informs."""

    what: str
    figure: str
    allowed: str = ""
    met: bool = True
    examples: Sequence[str] = field(default=(), repr=False)

    @classmethod
    def none(cls, what: str, found: Sequence[str]) -> "Figure":
        """A count that must be 0. ``found`` describes each."""
        return cls(what, str(len(found)), "0", not found, found[:5])

    @classmethod
    def at_most(cls, what: str, value: float, limit: float, unit: str = "") -> "Figure":
        """A number and its upper limit."""
        return cls(what, _shown(value, unit), f"at most {_shown(limit, unit)}", value <= limit)

    @classmethod
    def at_least(cls, what: str, value: float, limit: float, unit: str = "") -> "Figure":
        """A number and its lower limit."""
        return cls(what, _shown(value, unit), f"at least {_shown(limit, unit)}", value >= limit)

    @classmethod
    def known(cls, what: str, value: float, unit: str = "") -> "Figure":
        """A number without a limit."""
        return cls(what, _shown(value, unit))


@dataclass(frozen=True, slots=True)
class Found:
    """The figures of one run. ``digest`` is equal whenever the run is repeated."""

    figures: Sequence[Figure]
    digest: str

    @property
    def unmet(self) -> Mapping[str, Figure]:
        """The figures that are not met, by name."""
        return {figure.what: figure for figure in self.figures if not figure.met}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of a scenario: its seed and its options."""

    scenario: str
    seed: int
    options: Mapping[str, object]
    found: Found

    @property
    def met(self) -> bool:
        """Whether every figure is met."""
        return not self.found.unmet

    @property
    def name(self) -> str:
        """The column title: seed and options."""
        return " ".join([f"seed {self.seed}", *(f"{name} {value}" for name, value in self.options.items())])

    @property
    def replay(self) -> str:
        """The command that repeats this run alone."""
        options = "".join(f" --{name.replace('_', '-')} {value}" for name, value in self.options.items())
        return f'make soak ARGS="{self.scenario} --seed {self.seed}{options}"'


def as_text(outcome: Outcome) -> str:
    """For the terminal. Figures that are not met come with examples."""
    lines = [f"{outcome.scenario}, seed {outcome.seed}   (digest {outcome.found.digest})"]
    for figure in outcome.found.figures:
        mark = " " if not figure.allowed else "✓" if figure.met else "✗"
        lines.append(f"  {mark} {figure.what:<58}{figure.figure:>12}  {figure.allowed}")
        if not figure.met:
            lines += [f"      {example}" for example in figure.examples]
    if not outcome.met:
        lines.append(f"  repeat it with: {outcome.replay}")
    return "\n".join(lines)


def as_markdown(outcomes: Sequence[Outcome]) -> str:
    """For a page: the runs of one scenario, a column each."""
    header = ["", *(outcome.name for outcome in outcomes), "allowed"]
    rows = [
        [same[0].what, *(figure.figure for figure in same), _limits(same)]
        for same in zip(*(outcome.found.figures for outcome in outcomes), strict=True)
    ]
    table = figures.as_markdown(figures.Table(outcomes[0].scenario, header, rows))
    commands = "\n".join(f"- `{outcome.replay}`" for outcome in outcomes)
    return f"{table}\n\nTo repeat it:\n\n{commands}"


def _limits(figures: Sequence[Figure]) -> str:
    """The limit of a row, or one for each run if they differ."""
    allowed = [figure.allowed for figure in figures]
    return allowed[0] if len(set(allowed)) == 1 else " / ".join(each or "any" for each in allowed)


def _shown(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:,.1f}"
    return f"{number}{unit}"
