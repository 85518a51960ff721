"""Each exception from a check says its reason, beside what it is about."""

import re
from collections.abc import Iterator

import pytest

from tests.fakes.source_tree import ROOT
from tests.template.translation import template

SOURCES = [path for name in ("layers", "functions", "manage", "tools") for path in (ROOT / name).rglob("*.py")]


def exceptions_of_bandit() -> Iterator[tuple[str, str]]:
    for path in SOURCES:
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if "nosec" in line:
                yield f"{path.relative_to(ROOT)}:{number}", line


def exceptions_of_checkov() -> Iterator[tuple[str, dict[str, str]]]:
    for name, resource in template()["Resources"].items():
        for each in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            yield name, each


@pytest.mark.parametrize(("place", "line"), list(exceptions_of_bandit()), ids=lambda value: value.split()[0])
def test_an_exception_of_bandit_names_its_check_and_a_reason(place: str, line: str) -> None:
    assert re.search(r"# nosec B\d{3}  # \w+", line)


def test_an_exception_of_checkov_names_its_check_and_a_reason() -> None:
    found = list(exceptions_of_checkov())

    assert found
    assert all(re.fullmatch(r"CKV_AWS_\d+", each["id"]) and len(each["comment"].split()) > 5 for _, each in found)


def test_cfn_lint_has_no_exceptions() -> None:
    assert not (ROOT / ".cfnlintrc").exists()
    assert "cfn-lint" not in str(template().get("Metadata", {}))
    assert not any("cfn-lint" in str(each.get("Metadata", {})) for each in template()["Resources"].values())
