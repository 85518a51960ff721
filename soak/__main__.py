"""Run the scenarios, print what they found, and write docs/figures/soak.md: `make soak`."""

import argparse
import inspect
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from soak.report import Found, Outcome, as_markdown, as_text
from soak.scenarios import faults, flood, outage, pipeline
from tools.figures import write


@dataclass(frozen=True, slots=True)
class Scenario:
    """What can be run, and how it usually is: with more seeds where more is left to chance."""

    run: Callable[..., Found]
    seeds: Sequence[int] = (1,)
    options: Sequence[Mapping[str, Any]] = ({},)


SCENARIOS: Mapping[str, Scenario] = {
    "faults": Scenario(faults.run, (1, 2, 3)),
    "outage": Scenario(outage.run, options=[{"mode": mode} for mode in ("never", "on-error", "always")]),
    "flood": Scenario(flood.run),
    "pipeline": Scenario(pipeline.run),
}


@dataclass(frozen=True, slots=True)
class _Run:
    scenario: str
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> Outcome:
        found = SCENARIOS[self.scenario].run(self.seed, **self.options)
        return Outcome(self.scenario, self.seed, self.options, found)


def main() -> None:
    """Command line; the exit status is 1 if a figure is not what is allowed."""
    parser = argparse.ArgumentParser(prog="python -m soak", description=main.__doc__)
    parser.add_argument("scenario", nargs="?", choices=SCENARIOS, help="one of them; all without it")
    parser.add_argument(
        "--seed", type=int, action="append", help="instead of the usual ones; more than one if repeated"
    )
    parser.add_argument("--users", type=int, help="how many, instead of the usual number")
    parser.add_argument("--storm", type=float, help="of faults: how much oftener things fail (1)")
    parser.add_argument("--mode", help="of outage: TokenReuse, instead of all three")
    parser.add_argument("--clients", type=int, help="of flood: how many (100)")
    parser.add_argument("--minutes", type=float, help="of flood: how long (5)")
    parser.add_argument("--limit", type=int, help="of pipeline: calls of one operation that Whop takes (600)")
    parser.add_argument("--window", type=float, help="of pipeline: within so many seconds (60)")
    asked = parser.parse_args()
    options = {name: value for name, value in vars(asked).items() if value is not None}
    named, seeds = options.pop("scenario", None), options.pop("seed", None)
    for name in [named] if named else SCENARIOS:
        unknown = options.keys() - inspect.signature(SCENARIOS[name].run).parameters.keys()
        if unknown:
            parser.error(f"{name} knows no {', '.join(sorted(unknown))}")
    runs = [
        _Run(name, seed, {**usually, **options})
        for name in ([named] if named else SCENARIOS)
        for usually in SCENARIOS[name].options
        if usually.keys().isdisjoint(options) or usually == SCENARIOS[name].options[0]
        for seed in seeds or SCENARIOS[name].seeds
    ]
    outcomes = _all(runs)
    usual = not (named or seeds or options)
    if usual:
        pages = [as_markdown([each for each in outcomes if each.scenario == name]) for name in SCENARIOS]
        write("soak", "The service under faults", "make soak", *pages)
    sys.exit(not all(outcome.met for outcome in outcomes))


def _all(runs: Sequence[_Run]) -> list[Outcome]:
    """Run side by side, and show each in its turn."""
    began = time.perf_counter()
    outcomes = []
    with ProcessPoolExecutor() as pool:
        for outcome in pool.map(_Run.__call__, runs):
            print(as_text(outcome), flush=True)
            print()
            outcomes.append(outcome)
    print(f"computed in {time.perf_counter() - began:.0f} s")
    return outcomes


if __name__ == "__main__":
    main()
