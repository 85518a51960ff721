"""What the operator sees before a deployment."""

import io
from datetime import UTC, datetime

import pytest
from rich.console import Console

from tools.deploy.artifacts import Version
from tools.deploy.errors import Declined, DeployError
from tools.deploy.screen import Screen
from tools.deploy.stacks import Change


class Terminal(io.StringIO):
    """Standard input of a person, or of a pipeline."""

    def __init__(self, typed: str, *, is_person: bool = True) -> None:
        super().__init__(typed)
        self._is_person = is_person

    def isatty(self) -> bool:
        """Whether a person types."""
        return self._is_person


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def _screen(out: io.StringIO, *, yes: bool = False) -> Screen:
    return Screen(Console(file=out, width=200, force_terminal=False), yes=yes)


@pytest.mark.parametrize("typed", ["n\n", "\n"])
def test_anything_but_a_yes_declines(out: io.StringIO, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))

    with pytest.raises(Declined):
        _screen(out).approve("Deploy?")


def test_a_yes_goes_ahead(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))

    _screen(out).approve("Deploy?")

    assert "Deploy?" in out.getvalue()


def test_a_pipeline_has_to_say_yes_beforehand(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal("y\n", is_person=False))

    with pytest.raises(DeployError, match="--yes"):
        _screen(out).approve("Deploy?")
    _screen(out, yes=True).approve("Deploy?")


def test_only_parameters_that_change_are_shown(out: io.StringIO) -> None:
    deployed = {"Stage": "dev", "DeniedGroups": "[banned]"}
    _screen(out).show_parameters(deployed, {"DeniedGroups": ""}, {"Stage": "dev", "DeniedGroups": ""})

    assert "Stage" not in out.getvalue()
    assert "[banned]" in out.getvalue()
    assert "before" in out.getvalue()


def test_a_new_stack_has_no_parameters_from_before(out: io.StringIO) -> None:
    _screen(out).show_parameters(None, {"Stage": "dev", "DeniedGroups": ""}, {"Stage": "local", "DeniedGroups": ""})

    assert "default" in out.getvalue()
    assert "before" not in out.getvalue()
    assert "DeniedGroups" not in out.getvalue()


def test_a_replaced_resource_is_marked(out: io.StringIO) -> None:
    kept = Change("Modify", "Queue", "AWS::SQS::Queue", "False")
    replaced = Change("Modify", "UsersTable", "AWS::DynamoDB::Table", "True")

    _screen(out).show_changes([kept, replaced])

    rows = [line.split() for line in out.getvalue().splitlines() if "Modify" in line]
    assert ["yes" in row for row in rows] == [False, True]


def test_versions_and_outputs_are_shown(out: io.StringIO) -> None:
    screen = _screen(out)

    screen.show_versions([Version("20261129T034500Z-0c935f9", datetime(2026, 11, 29, 3, 45, tzinfo=UTC))])
    screen.show_outputs({"ApiUrl": "https://chat.example.test"})

    assert "20261129T034500Z-0c935f9" in out.getvalue()
    assert "ApiUrl = https://chat.example.test\n" in out.getvalue()
