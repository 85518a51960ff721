"""The command behind `make mutation`."""

import argparse
import multiprocessing
import time
from collections.abc import Sequence
from pathlib import Path

from tools.figures import as_text, write
from tools.mutation.journal import Journal, Version, digest
from tools.mutation.mutants import Mutant
from tools.mutation.reach import Reach, measure
from tools.mutation.report import TARGET, Tried, by_package, page, read_explained
from tools.mutation.sample import LAYER, package_mutants, sample, source_of
from tools.mutation.trial import Result, require_sound, try_mutant, warm_up

PACKAGES = ("cognito", "enrolment", "users", "minting")
ROOT = Path(__file__).parents[2]
STATE = ROOT / ".local" / "mutation"
_reach: Reach


def main(arguments: Sequence[str] | None = None) -> None:
    """Try mutants of the packages against their tests, and write docs/figures/mutation.md.

    What was tried before is not tried again, unless the module changed, or the tests of a survivor did. Remove
    .local/mutation to start from nothing.
    """
    asked = _parser().parse_args(arguments)
    start = time.monotonic()
    tried = [_try_package(package, asked) for package in PACKAGES]
    print(as_text(by_package(tried)))
    print(f"{time.monotonic() - start:.0f} s")
    explained = read_explained()
    write("mutation", "Mutants", "make mutation", *page(tried, asked.seed, explained))
    unexplained = [mutant for each in tried for mutant in each.survivors if mutant.id not in explained]
    for mutant in unexplained:
        print(f"{mutant.id} {mutant.module}:{mutant.line} {mutant.before} -> {mutant.after or 'removed'}")
    missed = [f"fewer than {TARGET:.0%} killed: {each.package}" for each in tried if each.share < TARGET]
    if unexplained:
        missed.append(f"survivors without an explanation: {len(unexplained)}")
    if missed:
        raise SystemExit("\n".join(missed))


def _try_package(package: str, asked: argparse.Namespace) -> Tried:
    """Try what is left of the sample."""
    tests = ROOT / "tests" / "unit" / package
    tests_digest = digest([*tests.rglob("*.py"), *(ROOT / "tests" / "fakes").rglob("*.py")])
    possible = package_mutants(package)
    versions = {each.module: Version(digest([source_of(each.module)]), tests_digest) for each in possible}
    chosen = sample(possible, asked.seed, asked.count)
    journal = Journal(STATE / f"{package}.jsonl")
    left = [mutant for mutant in chosen if journal.get(mutant, versions[mutant.module]) is None]
    if left:
        _prepare(package, tests)
        with multiprocessing.get_context("fork").Pool(asked.jobs) as pool:
            for number, (mutant, result) in enumerate(pool.imap_unordered(_try, left), start=1):
                journal.add(mutant, versions[mutant.module], result, asked.seed)
                if number % 25 == 0 or number == len(left):
                    print(f"{package}: {number} of {len(left)}", flush=True)
    known = [(mutant, journal.get(mutant, versions[mutant.module])) for mutant in chosen]
    return Tried(package, len(possible), [(mutant, found.outcome) for mutant, found in known if found])


def _prepare(package: str, tests: Path) -> None:
    """What the trials of a package share."""
    global _reach  # Forked processes inherit it, which costs nothing.
    _reach = measure(tests, STATE / f"{package}.json", of=LAYER / "whop_chat" / package)
    warm_up(_reach.imports)
    require_sound(_reach)


def _try(mutant: Mutant) -> tuple[Mutant, Result]:
    return mutant, try_mutant(mutant, _reach)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make mutation", description=main.__doc__)
    parser.add_argument("--seed", type=int, default=1, help="draws the sample (1)")
    parser.add_argument("--count", type=int, default=300, help="mutants of each package (300)")
    parser.add_argument("--jobs", type=int, default=2, help="mutants that are tried at once (2)")
    return parser


if __name__ == "__main__":
    main()
