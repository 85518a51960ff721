"""clients/cases.json is what its schema says, and knows every problem code of the API."""

import json
import re
from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.clients.runner import DOCUMENT
from tests.fakes.source_tree import ROOT
from whop_chat.api.problems import KINDS

SCHEMA: dict[str, Any] = json.loads((ROOT / "clients" / "cases.schema.json").read_text())
OPENAPI: Mapping[str, Any] = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())
PROBLEMS: Mapping[str, Mapping[str, Any]] = DOCUMENT["problems"]
RETRY = {
    code: entry["retry"]
    for response in OPENAPI["components"]["responses"].values()
    for code, entry in response.get("x-problems", {}).items()
}


def test_the_cases_are_what_the_schema_says() -> None:
    validator = jsonschema_rs.Draft202012Validator(SCHEMA)

    assert [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(DOCUMENT)] == []


def test_each_case_has_a_name_of_its_own_and_its_steps_are_in_order() -> None:
    names = [case["name"] for case in DOCUMENT["cases"]]
    assert len(names) == len(set(names)) >= 40
    for case in DOCUMENT["cases"]:
        for steps in (case["events"], case["effects"]):
            times = [step["at"] for step in steps]
            assert times == sorted(times), case["name"]


@pytest.mark.parametrize("member", ["events", "effects"])
def test_every_event_and_effect_of_the_schema_occurs(member: str) -> None:
    alternatives = SCHEMA["$defs"]["case"]["properties"][member]["items"]["oneOf"]
    word = member.removesuffix("s")
    known: set[str] = set()
    for alternative in alternatives:
        rule = alternative["properties"][word]
        known |= set(rule.get("enum", [rule.get("const")]))

    assert {step[word] for case in DOCUMENT["cases"] for step in case[member]} == known


def test_every_problem_code_of_the_api_has_a_kind() -> None:
    statuses = {code: each["status"] for code, each in PROBLEMS.items()}

    assert statuses == {code: kind.status for code, kind in KINDS.items()}


@pytest.mark.parametrize("code", KINDS)
def test_a_client_repeats_what_the_document_of_the_api_says(code: str) -> None:
    problem, retry = PROBLEMS[code], RETRY[code]

    assert (problem["kind"] == "wait") == (retry == "wait")
    assert (problem.get("attempts", 1) > 2) == (retry == "back-off")


def test_the_readme_has_the_same_kinds() -> None:
    rows = re.findall(r"^\| \d{3} \| `([a-z_]+)` \| `([a-z-]+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert dict(rows) == {code: PROBLEMS[code]["kind"] for code in KINDS}


def test_the_guide_says_what_the_user_sees() -> None:
    rows = re.findall(
        r"^\| `([a-z_]+)` \| `([a-z-]+)` \| (?:`([a-z-]+)` )?\| [A-Z].*\. \|$",
        (ROOT / "docs" / "clients.md").read_text(),
        re.MULTILINE,
    )

    assert {code: (kind, show or None) for code, kind, show in rows} == {
        code: (problem["kind"], problem.get("show")) for code, problem in PROBLEMS.items()
    }
