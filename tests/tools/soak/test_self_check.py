"""The self-check: its seventeen bugs apply to the present code, and it says what nobody noticed."""

import ast
from collections.abc import Sequence
from pathlib import Path

import pytest

from soak import self_check
from soak.planted_bugs import BUGS, Bug, DoesNotApply, Edit
from soak.self_check import CHECKS, Broken, Check, failures, package_with


def test_there_are_seventeen_bugs_and_every_check_finds_one() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) == 17
    assert {bug.check for bug in BUGS} == CHECKS.keys()
    assert {check.kind for check in CHECKS.values()} == {"soak", "protocol", "model"}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_applies_to_the_present_code_and_changes_it(bug: Bug) -> None:
    with package_with(bug) as path:
        for file in {edit.file for edit in bug.edits}:
            planted = (path / "whop_chat" / file).read_text()
            assert ast.dump(ast.parse(planted)) != ast.dump(ast.parse((self_check.PACKAGE / file).read_text()))


@pytest.mark.parametrize("old", ["what nobody wrote", "import"])
def test_a_bug_whose_code_is_not_there_exactly_once_is_an_error(old: str) -> None:
    bug = Bug("", "", [Edit("users/lifecycle.py", old, "")])

    with pytest.raises(DoesNotApply), package_with(bug):
        pass


def test_a_check_that_ends_without_an_answer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Broken):
        failures(Check("protocol", ()), ["tests/no_such_file.py"], tmp_path)


@pytest.mark.parametrize(
    ("without_a_bug", "with_a_bug", "fine"), [([], ["users lost"], True), ([], [], False), (["it"], ["it"], False)]
)
def test_it_fails_for_a_bug_that_nobody_notices_and_for_a_check_that_fails_without_a_bug(
    without_a_bug: list[str],
    with_a_bug: list[str],
    fine: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def found(_check: Check, _run: Sequence[str], path: Path) -> list[str]:
        planted = "a planted bug" in (path / "whop_chat" / "__init__.py").read_text()
        return with_a_bug if planted else without_a_bug

    text = (self_check.PACKAGE / "__init__.py").read_text()
    bug = Bug("a bug", "runs", [Edit("__init__.py", text, "# a planted bug")])
    monkeypatch.setattr(self_check, "BUGS", [bug])
    monkeypatch.setattr(self_check, "failures", found)

    assert self_check.main() is fine
    assert ("nobody noticed" in capsys.readouterr().out) is not bool(with_a_bug)
