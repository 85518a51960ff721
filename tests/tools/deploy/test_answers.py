"""Which questions are asked, and where the answers are kept."""

import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fakes.source_tree import ROOT
from tools.deploy import template
from tools.deploy.answers import Overlay, checked, complete
from tools.deploy.errors import DeployError
from tools.deploy.template import Parameter

PARAMETERS = template.parameters(ROOT / "template.yaml")
REQUIRED = {"AllowedOrigins": "https://app.example.test", "WhopCompanyId": "biz_0123456789"}


class Person:
    """Answers from a list, the questions noted."""

    def __init__(self, answers: Mapping[str, list[str]]) -> None:
        self._answers = {name: iter(given) for name, given in answers.items()}
        self.asked: list[tuple[str, str | None]] = []

    def __call__(self, parameter: Parameter, problem: str | None) -> str:
        self.asked.append((parameter.name, problem))
        return next(self._answers.get(parameter.name, iter([""])))


def test_a_first_deployment_asks_and_a_pool_of_its_own_has_no_clients_to_name() -> None:
    person = Person({name: [value] for name, value in REQUIRED.items()})

    answers = complete(PARAMETERS, {}, person)

    assert answers == REQUIRED | {name: "" for name, _ in person.asked if name not in REQUIRED}
    assert [name for name, _ in person.asked][:3] == ["AllowedOrigins", "WhopCompanyId", "UserPoolId"]
    assert "UserPoolClientIds" not in answers


def test_a_pool_is_asked_for_with_its_clients() -> None:
    person = Person({"UserPoolId": ["us-east-1_AbCdEfGhI"], "UserPoolClientIds": ["web, ios"]})

    answers = complete(PARAMETERS, REQUIRED, person)

    assert answers["UserPoolId"] == "us-east-1_AbCdEfGhI"
    assert answers["UserPoolClientIds"] == "web,ios"


def test_an_answer_that_does_not_suit_is_asked_for_again_with_the_reason() -> None:
    person = Person({"AllowedOrigins": ["app.example.test", "https://app.example.test"]})

    answers = complete(PARAMETERS, {"WhopCompanyId": "biz_0123456789", "UserPoolId": ""}, person)

    assert answers["AllowedOrigins"] == "https://app.example.test"
    assert [problem is None for name, problem in person.asked if name == "AllowedOrigins"] == [True, False]


def test_what_is_known_is_not_asked() -> None:
    person = Person({})
    known = dict.fromkeys(("UserPoolId", "UserPoolClientIds", "AlarmEmail"), "")

    assert complete(PARAMETERS, REQUIRED | known, person) == {}
    assert person.asked == []


def test_with_nobody_to_ask_a_default_stays_and_another_question_is_an_error() -> None:
    assert complete(PARAMETERS, REQUIRED, None) == {}
    with pytest.raises(DeployError, match="WhopCompanyId"):
        complete(PARAMETERS, {"AllowedOrigins": "*"}, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AllowedOrigin", "https://app.example.test"),
        ("Stage", "test"),
        ("DeniedGroups", "banned,"),
        ("ChatFeatures", "channels,video"),
        ("UserPoolId", "AbCdEfGhI"),
    ],
)
def test_a_value_that_cloudformation_would_refuse_is_named(name: str, value: str) -> None:
    with pytest.raises(DeployError, match=name):
        checked(PARAMETERS, {name: value})


def test_white_space_around_the_members_of_a_list_is_dropped_and_within_them_kept() -> None:
    assert checked(PARAMETERS, {"DeniedGroups": " banned , people we block"}) == {
        "DeniedGroups": "banned,people we block"
    }


@pytest.mark.parametrize("value", ['quo"ted', "back\\slash", "line\nbreak", "straße 🎉", ""])
def test_an_answer_comes_back_as_it_was_given(tmp_path: Path, value: str) -> None:
    overlay = Overlay(tmp_path / "answers" / "dev.toml")
    assert overlay.read() == {}

    overlay.write({"DeniedGroups": value})

    assert overlay.read() == {"DeniedGroups": value}


def test_only_its_owner_reads_the_answers_also_after_a_change(tmp_path: Path) -> None:
    path = tmp_path / "answers" / "dev.toml"
    for value in ("one", "two"):
        Overlay(path).write({"DeniedGroups": value})

        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_somebody_broke_is_named(tmp_path: Path) -> None:
    (tmp_path / "dev.toml").write_text("AllowedOrigins = https://app.example.test")

    with pytest.raises(DeployError, match=r"dev\.toml"):
        Overlay(tmp_path / "dev.toml").read()


def test_git_ignores_the_answers() -> None:
    assert "/.deploy/" in (ROOT / ".gitignore").read_text().splitlines()
