"""docs/operations.md names what is logged and counted; here the code is held to it."""

import ast
import re

import pytest

from tests.fakes.source_tree import ROOT
from whop_chat.runtime.metrics import ALL, Metric

DOCUMENT = (ROOT / "docs" / "operations.md").read_text()
REPORTING = {"event", "warning", "exception"}
# The trigger makes these of two words each.
MADE = {"sign-up not enqueued", "sign-up enqueued", "sign-in not enqueued", "sign-in enqueued"}


def _literals() -> set[str]:
    """Every message that a call of the telemetry has as a text, and those that are made of several."""
    found = set(MADE)
    for path in (ROOT / "layers" / "whop_chat" / "whop_chat").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in REPORTING:
                found |= {
                    each.value
                    for each in node.args[:1]
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                }
    return found


def _findings() -> set[str]:
    """The code of every finding of a check of ``doctor``."""
    return {
        node.args[1].value
        for path in (ROOT / "manage").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Finding"
        and isinstance(node.args[1], ast.Constant)
        and isinstance(node.args[1].value, str)
    }


def test_every_finding_of_doctor_is_in_the_document() -> None:
    found = _findings()
    assert {"not_checked", "other_issuer"} <= found
    assert [code for code in sorted(found) if f"`{code}`" not in DOCUMENT] == []


def test_there_is_something_to_look_for() -> None:
    assert {"token minted", "sync not enqueued"} <= _literals()


@pytest.mark.parametrize("literal", sorted(_literals()))
def test_what_is_logged_or_counted_stands_in_the_document(literal: str) -> None:
    assert re.search(rf"`{re.escape(literal)}`", DOCUMENT)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_every_metric_and_its_dimension_values_stand_in_the_document(metric: Metric) -> None:
    (row,) = re.findall(rf"^\| `{metric.name}` \|.*$", DOCUMENT, re.MULTILINE)
    for name, values in metric.values.items():
        assert f"`{name}`" in row
        if name in ("outcome", "status"):
            assert [value for value in values if f"`{value}`" not in row] == []
