"""doctor: findings, problems first, with an exit status for CI."""

import pytest

from manage.checks.finding import Finding, Severity
from manage.commands import doctor
from manage.errors import Refused
from tests.tools.manage.deployment import DeployedStack

WARNING = Finding(Severity.WARNING, "a_warning", "Something may not be wanted.")
PROBLEM = Finding(Severity.PROBLEM, "a_problem", "Something does not work.", "Mend it.")


def test_problems_come_first_and_fail_the_command(run: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (lambda _: [WARNING], lambda _: [PROBLEM]))
    done = run("doctor")
    assert done.status == 1
    assert done.out.splitlines() == [
        "problem: Something does not work.",
        "  → Mend it.",
        "warning: Something may not be wanted.",
    ]


def test_a_warning_does_not_fail_the_command(run: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (lambda _: [WARNING],))
    done = run("--json", "doctor")
    assert (done.status, done.json["outcome"]) == (0, "healthy")
    assert [each["code"] for each in done.json["findings"]] == ["a_warning"]


def test_a_check_that_cannot_be_made_does_not_hide_the_others(
    run: DeployedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object) -> list[Finding]:
        raise Refused("there is no such thing")

    monkeypatch.setattr(doctor, "CHECKS", (refused, lambda _: [WARNING]))
    done = run("--json", "doctor")
    assert done.status == 1
    assert [each["code"] for each in done.json["findings"]] == ["not_checked", "a_warning"]
