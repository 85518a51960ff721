"""``make fuzz``: so many cases of one seed, a table of what was answered, and how to play a wrong one again."""

import argparse
import sys
import time
from collections import Counter

from tests.fuzz.virtual_time import TIME

_stopwatch = time.perf_counter
TIME.install()

from tests.fuzz.cases import Case, prepare  # noqa: E402

_TOLD = 10


def main() -> int:
    """Run what the command line says; 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Bad input for every function, and bad answers.")
    parser.add_argument("--runs", type=int, default=10_000, help="how many cases (10000)")
    parser.add_argument("--seed", type=int, default=1, help="which cases (1)")
    parser.add_argument("--seconds", type=float, default=3_600, help="stop after so long (3600)")
    parser.add_argument("--case", type=int, help="only this one, told in full")
    parser.add_argument("--changes", help="with --case: only these changes, such as 0,2")
    asked = parser.parse_args()
    prepare()
    if asked.case is not None:
        return _again(asked.seed, asked.case, asked.changes)
    return _all(asked.seed, asked.runs, asked.seconds)


def _all(seed: int, runs: int, seconds: float) -> int:
    began = _stopwatch()
    answers: Counter[str] = Counter()
    wrong: dict[tuple[str, ...], list[Case]] = {}
    for number in range(runs):
        if _stopwatch() - began > seconds:
            break
        case = Case(seed, number)
        outcome = case.run()
        answers[outcome.answer] += 1
        if outcome.wrong:
            wrong.setdefault(outcome.wrong, []).append(case)
    print(f"{answers.total():,} cases of seed {seed} in {_stopwatch() - began:.0f} s")
    for answer, count in sorted(answers.items()):
        print(f"  {count:>7,}  {answer}")
    for what, cases in sorted(wrong.items(), key=lambda item: -len(item[1]))[:_TOLD]:
        smallest = cases[0].smallest()
        kept = f" --changes {','.join(map(str, smallest.kept))}" if smallest.kept else ""
        print(f"wrong, {len(cases)} times: {'; '.join(what)}")
        print(f'  again: make fuzz ARGS="--seed {seed} --case {smallest.number}{kept}"')
    print(f"{sum(map(len, wrong.values())):,} went wrong" if wrong else "none went wrong")
    return 1 if wrong else 0


def _again(seed: int, number: int, changes: str | None) -> int:
    kept = tuple(map(int, changes.split(","))) if changes else None
    outcome = Case(seed, number, kept).run()
    print(outcome.story, outcome.answer, *(outcome.wrong or ("nothing is wrong",)), sep="\n")
    return 1 if outcome.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
