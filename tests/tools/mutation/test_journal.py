"""A run resumes from what it wrote."""

from pathlib import Path

import pytest

from tools.mutation.journal import Journal, Version, digest
from tools.mutation.mutants import Mutant, mutants_of
from tools.mutation.trial import Outcome, Result

OUTCOMES: list[Outcome] = ["killed", "timed out", "survived"]
VERSION = Version("module as it is", "tests as they are")


def some_mutant() -> Mutant:
    return next(mutants_of("module", "a == b"))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_result_is_there_after_a_restart(tmp_path: Path, outcome: Outcome) -> None:
    Journal(tmp_path / "new" / "journal").add(some_mutant(), VERSION, Result(outcome, "test"), seed=1)

    assert Journal(tmp_path / "new" / "journal").get(some_mutant(), VERSION) == Result(outcome, "test")


def test_nothing_is_known_of_a_mutant_that_was_not_tried(tmp_path: Path) -> None:
    assert Journal(tmp_path / "journal").get(some_mutant(), VERSION) is None


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_result_is_forgotten_once_the_module_changes(tmp_path: Path, outcome: Outcome) -> None:
    journal = Journal(tmp_path / "journal")
    journal.add(some_mutant(), VERSION, Result(outcome), seed=1)

    assert journal.get(some_mutant(), Version("changed", VERSION.tests)) is None


@pytest.mark.parametrize(("outcome", "stays"), list(zip(OUTCOMES, [True, True, False], strict=True)))
def test_only_a_survivor_is_forgotten_once_the_tests_change(tmp_path: Path, outcome: Outcome, stays: bool) -> None:
    journal = Journal(tmp_path / "journal")
    journal.add(some_mutant(), VERSION, Result(outcome), seed=1)

    assert (journal.get(some_mutant(), Version(VERSION.module, "changed")) is not None) is stays


def test_the_last_result_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.add(some_mutant(), VERSION, Result("survived"), seed=1)
    journal.add(some_mutant(), VERSION, Result("killed"), seed=1)

    assert Journal(tmp_path / "journal").get(some_mutant(), VERSION) == Result("killed")


def test_a_digest_is_of_what_the_files_contain(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("a")
    other.write_text("b")

    before = digest([one, other])
    assert before == digest([other, one])
    other.write_text("c")
    assert before != digest([one, other])
