"""docs/runbook.md leads from a symptom or a problem code to commands that exist. tests/alarms holds its alarms."""

import argparse
import re
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from manage.__main__ import COMMANDS
from tests.fakes.source_tree import ROOT

DOCUMENT = (ROOT / "docs" / "runbook.md").read_text()
PARTS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))
SYMPTOMS = dict(re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", PARTS["What people say"], re.MULTILINE | re.DOTALL))
ROWS = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", PARTS["Problem codes"], re.MULTILINE)
NAMES = {each.NAME for each in COMMANDS}
each_symptom = pytest.mark.parametrize("text", SYMPTOMS.values(), ids=SYMPTOMS)


def codes(node: Any) -> set[str]:
    """Every value that a schema of docs/openapi.yaml allows for ``code``."""
    if isinstance(node, list):
        return set().union(*map(codes, node))
    if not isinstance(node, dict):
        return set()
    code = node.get("code")
    own = set(code.get("enum", [])) if isinstance(code, dict) else set()
    return own.union(*map(codes, node.values()))


def commands(text: str) -> list[str]:
    """What stands in backticks and begins with the name of a command of `manage`."""
    return [each for each in re.findall(r"`([^`\n]+)`", text) if each.split()[0] in NAMES]


def test_each_problem_code_has_a_line() -> None:
    assert sorted(code for code, _, _ in ROWS) == sorted(
        codes(yaml_parse((ROOT / "docs" / "openapi.yaml").read_text()))
    )


def test_it_begins_with_what_people_say() -> None:
    assert list(PARTS) == ["What people say", "Alarms", "Problem codes"]
    assert list(SYMPTOMS) == [
        "The chat does not load",
        "New users get no chat",
        "Everybody gets 503",
        "A name does not change",
        "Somebody sees another's name",
        "Users complain of mails from Whop",
        "The bill has risen",
    ]


@each_symptom
def test_a_symptom_takes_three_steps_and_names_a_command(text: str) -> None:
    assert re.findall(r"^(\d)\. ", text, re.MULTILINE) == ["1", "2", "3"]
    assert commands(text)


@pytest.mark.parametrize("command", sorted(set(commands(DOCUMENT))))
def test_each_command_can_be_run(command: str) -> None:
    name, *arguments = command.split()
    parser = argparse.ArgumentParser(exit_on_error=False)
    (found,) = [each for each in COMMANDS if name == each.NAME]
    found.add_arguments(parser)

    parser.parse_args(arguments)
