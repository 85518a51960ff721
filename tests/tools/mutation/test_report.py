"""What the page says of the outcomes."""

import pytest

from tools.mutation.mutants import mutants_of
from tools.mutation.report import Tried, by_operator, by_package, page, read_explained

MUTANTS = list(mutants_of("whop_chat.users.record", "def f():\n    return a == b or c == 'd|e'\n"))


@pytest.fixture
def tried() -> Tried:
    first, second, *others = MUTANTS
    outcomes = [(mutant, "killed") for mutant in others]
    return Tried("users", 50, [(first, "survived"), (second, "timed out"), *outcomes])  # type: ignore[list-item]


def test_a_mutant_that_hangs_counts_as_killed(tried: Tried) -> None:
    assert by_package([tried]).rows == [["users", "50", "5", "4", "1", "1", "80.0%"]]


def test_an_operator_has_a_row_of_its_own(tried: Tried) -> None:
    rows = {row[0].partition(":")[0]: row[1:] for row in by_operator([tried]).rows}

    assert rows["`returned`"] == ["1", "1"]
    assert rows["`comparison`"] == ["2", "0"]
    assert rows["`handler`"] == ["0", "0"]


def test_a_survivor_is_there_with_its_reason(tried: Tried) -> None:
    survivor = tried.survivors[0]

    explained = page([tried], 1, {survivor.id: "Because."})[-1].splitlines()[-1]
    unexplained = page([tried], 1, {})[-1].splitlines()[-1]

    assert explained == (
        f"| `record` `f` | `return a == b or c == 'd\\|e'` | `return None` | Because. | {survivor.id} |"
    )
    assert "| not explained |" in unexplained


def test_a_survivor_outside_of_a_function_is_there_with_its_statement() -> None:
    mutant = next(each for each in mutants_of("whop_chat.users.record", "LIMIT = 3\n") if each.after == "4")
    part = page([Tried("users", 50, [(mutant, "survived")])], 1, {})[-1]

    assert "| `record` `LIMIT = 3` | `3` | `4` |" in part


def test_a_package_without_survivors_has_no_table_of_them() -> None:
    assert len(page([Tried("users", 5, [(mutant, "killed") for mutant in MUTANTS])], 1, {})) == 4


def test_the_reasons_are_sentences() -> None:
    assert all(reason.endswith(".") for reason in read_explained().values())
