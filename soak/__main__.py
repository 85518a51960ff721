"""Run the scenarios, print what they found, and write pages of docs/figures: `make soak`, `make scale`."""

import argparse
import inspect
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from soak import self_check
from soak.report import Found, Outcome, as_markdown, as_text
from soak.scenarios import backfill, faults, flood, links, outage, pipeline, runs
from tools.figures import write


@dataclass(frozen=True, slots=True)
class Scenario:
    """What can be run, and with which seeds and options it usually is: more seeds where more is left to chance."""

    run: Callable[..., Found]
    seeds: Sequence[int] = (1,)
    options: Sequence[Mapping[str, Any]] = ({},)


UNDER_FAULTS: Mapping[str, Scenario] = {
    "faults": Scenario(faults.run, (1, 2, 3)),
    "outage": Scenario(outage.run, options=[{"mode": mode} for mode in ("never", "on-error", "always")]),
    "flood": Scenario(flood.run),
    "pipeline": Scenario(pipeline.run, options=[{}, {"users": 1000, "limit": 60, "wait_in": "header"}]),
    "runs": Scenario(runs.run, (1, 2, 3)),
    "links": Scenario(links.run, (1, 2, 3)),
}
"""Without a name, all of them are run."""
SCENARIOS = {**UNDER_FAULTS, "backfill": Scenario(backfill.run, options=[{"create": 0.3}, {"create": 0.1}])}


@dataclass(frozen=True, slots=True)
class _Run:
    scenario: str
    seed: int
    options: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self) -> Outcome:
        found = SCENARIOS[self.scenario].run(self.seed, **self.options)
        return Outcome(self.scenario, self.seed, self.options, found)


def main() -> None:
    """Run the scenarios; the exit status is 1 if a figure is not what is allowed."""
    parser = _parser()
    options = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    if "self_check" in options:
        sys.exit(not self_check.main(options["self_check"]))
    named, seeds = options.pop("scenario", None), options.pop("seed", None)
    names = [named] if named else list(UNDER_FAULTS)
    for name in names:
        unknown = options.keys() - inspect.signature(SCENARIOS[name].run).parameters.keys()
        if unknown:
            parser.error(f"{name} has no {', '.join(sorted(unknown))}")
    outcomes = _all([run for name in names for run in _runs(name, seeds, options)])
    if not (seeds or options):
        _write(named, outcomes)
    sys.exit(not all(outcome.met for outcome in outcomes))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m soak", description=main.__doc__)
    parser.add_argument("scenario", nargs="?", choices=SCENARIOS, help=f"all of {', '.join(UNDER_FAULTS)} without it")
    parser.add_argument("--seed", type=int, action="append", help="instead of the usual ones; may be repeated")
    parser.add_argument(
        "--self-check", nargs="?", const="", metavar="BUG", help="plant each bug, or those so named, and find it"
    )
    parser.add_argument("--users", type=int, help="how many, instead of the usual number")
    parser.add_argument("--storm", type=float, help="faults: how many times the usual faults (1)")
    parser.add_argument("--aws", type=float, help="runs: the probability of a fault in a call to AWS (0.05)")
    parser.add_argument("--mode", help="outage: a mode of TokenReuse, instead of all three")
    parser.add_argument("--clients", type=int, help="flood: how many clients (100)")
    parser.add_argument("--minutes", type=float, help="flood: how long (5)")
    parser.add_argument("--limit", type=int, help="pipeline: calls of one operation that Whop takes (600)")
    parser.add_argument("--window", type=float, help="pipeline: within so many seconds (60)")
    parser.add_argument("--wait-in", choices=("sentence", "header"), help="pipeline: where Whop says how long to wait")
    parser.add_argument("--tokens-per-minute", type=int, help="backfill: first tokens (120)")
    parser.add_argument("--create", type=float, help="backfill: seconds that Whop takes for an account (0.3, 0.1)")
    return parser


def _runs(name: str, seeds: Sequence[int] | None, options: Mapping[str, Any]) -> list[_Run]:
    """The usual runs of a scenario, changed by ``options``; an option that is given replaces all its usual values."""
    scenario = SCENARIOS[name]
    return [
        _Run(name, seed, {**usually, **options})
        for usually in scenario.options
        if usually.keys().isdisjoint(options) or usually == scenario.options[0]
        for seed in seeds or scenario.seeds
    ]


def _write(named: str | None, outcomes: Sequence[Outcome]) -> None:
    """The page that goes with a usual run; a single scenario under faults has none of its own."""
    if named == "backfill":
        write("scale", "A backfill of 100,000 users", "make scale", as_markdown(outcomes))
    elif not named:
        tables = [as_markdown([each for each in outcomes if each.scenario == name]) for name in UNDER_FAULTS]
        write("soak", "The service under faults", "make soak", *tables)


def _all(runs: Sequence[_Run]) -> list[Outcome]:
    """Run them in parallel, and print each in its turn."""
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
