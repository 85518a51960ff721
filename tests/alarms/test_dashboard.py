"""The dashboard and the saved queries name what exists: metrics that are emitted, lines and fields that are written."""

import ast
import itertools
import json
import re
import uuid
from typing import Any

import pytest

from tests.alarms.deployed_alarms import STACK
from tests.alarms.test_alarms import ALARMS, unknown
from tests.fakes.functions import Context
from tests.fakes.source_tree import ROOT
from tests.template.translation import deployed, of_type, template
from tools.watch.alarms import resolved
from tools.watch.dashboard import metrics_of, queries_of, series_of, widgets_of
from tools.watch.draw import picture
from tools.watch.samples import Name, Samples
from whop_chat.runtime.telemetry import lambda_telemetry

WIDGETS = widgets_of(template(), STACK)
CHARTS = [each for each in WIDGETS if each["type"] == "metric"]
QUERIES = {
    each["Properties"]["Name"]["Fn::Sub"].partition("/")[2]: each["Properties"]
    for each in of_type(deployed(), "AWS::Logs::QueryDefinition").values()
}
LOGGED = [each["properties"]["query"] for each in WIDGETS if each["type"] == "log"]
TEXTS = [*(each["QueryString"] for each in QUERIES.values()), *LOGGED]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
# What the language of Logs Insights calls its own (CloudWatch, "CloudWatch Logs Insights language query syntax").
WORDS = {"fields", "filter", "stats", "sort", "limit", "by", "as", "desc", "in", "count", "count_distinct", "SOURCE"}


def title(widget: dict[str, Any]) -> str:
    return str(widget["properties"].get("title", widget["type"]))


@pytest.mark.parametrize("widget", CHARTS, ids=title)
def test_each_metric_of_a_widget_exists(widget: dict[str, Any]) -> None:
    assert metrics_of(widget) != []
    assert unknown(metrics_of(widget)) == []


@pytest.mark.parametrize("widget", CHARTS, ids=title)
def test_a_widget_can_be_read_by_somebody_who_never_saw_it(widget: dict[str, Any]) -> None:
    assert len(title(widget)) > 10
    shown = [each["Label"] for each in queries_of(widget) if each["Visible"]]
    assert all(shown)
    assert len(set(shown)) == len(shown)


def test_a_value_is_drawn_in_the_widget_that_is_for_it() -> None:
    samples = Samples()
    for outcome, count in (("failed", 1), ("minted", 3)):
        samples.add(Name.of(f"WhopChat/{STACK}", "Mints", {"outcome": outcome}), count, at=60)
    (share,) = [each for each in CHARTS if "percent" in title(each)]

    (line,) = series_of(share, samples, [0, 300], 300)
    assert line.values == [25, None]
    assert picture(WIDGETS, samples).count("<g ") == len(WIDGETS)


def test_widgets_do_not_overlap_and_fill_the_width() -> None:
    cells = [
        (column, row)
        for each in WIDGETS
        for column in range(each["x"], each["x"] + each["width"])
        for row in range(each["y"], each["y"] + each["height"])
    ]

    assert len(cells) == len(set(cells))
    assert len(cells) == 24 * (max(row for _, row in cells) + 1)


def test_the_dashboard_shows_every_alarm() -> None:
    (shown,) = [each["properties"]["alarms"] for each in WIDGETS if each["type"] == "alarm"]

    assert sorted(shown) == sorted(ALARMS)


# ------------------------------------------------------------------------------------------------------------ queries


def written() -> tuple[set[str], set[str]]:
    """The messages and the fields that the code gives to the telemetry."""
    messages, fields = set[str](), set[str]()
    for path in (ROOT / "layers" / "whop_chat" / "whop_chat").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr="event" | "warning" | "exception"), args=[*args], keywords=words):
                    messages |= {str(each.value) for each in args[:1] if isinstance(each, ast.Constant)}
                    fields |= {each.arg for each in words if each.arg}
                case ast.Call(func=ast.Name(id="logged_problem"), args=[_, ast.Constant(value=str(message)), *_]):
                    messages.add(message)
    return messages, fields


@pytest.fixture
def every_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """The fields of the lines that the telemetry writes."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"service-{uuid.uuid4()}")
    telemetry = lambda_telemetry()
    telemetry.bind_request(Context())
    telemetry.bind_user("sub-ada")
    telemetry.event("an event")
    telemetry.warning("a warning", ValueError("why"))
    try:
        raise RuntimeError
    except RuntimeError:
        telemetry.exception("a defect")
    return {name for line in capsys.readouterr().out.splitlines() for name in json.loads(line)}


@pytest.mark.parametrize("text", TEXTS, ids=[*QUERIES, "the last warnings"])
def test_each_field_and_each_message_of_a_query_is_written(text: str, every_line: set[str]) -> None:
    messages, fields = written()
    bare = re.sub(r'"[^"]*"|\'[^\']*\'', "", text)
    made = set(re.findall(r" as (\w+)", bare))
    named = set(re.findall(r"(?<![@\w])[a-zA-Z_]\w*", bare)) - WORDS - made

    assert named - every_line - fields == set()
    assert set(re.findall(r'message = "([^"]+)"', text)) <= messages


def test_a_query_reads_the_logs_of_functions() -> None:
    groups = {
        each["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
        for each in of_type(deployed(), "AWS::Lambda::Function").values()
    }

    assert QUERIES.keys() >= {"Everything about one request", "Why requests failed", "Defects"}
    for query in QUERIES.values():
        assert {each["Ref"] for each in query["LogGroupNames"]} <= groups
    everything = QUERIES["Everything about one request"]["LogGroupNames"]
    assert {each["Ref"] for each in everything} == groups


def test_the_log_widget_reads_the_log_of_every_function() -> None:
    names = {
        resolved(each["Properties"]["LogGroupName"], STACK, str)
        for each in of_type(deployed(), "AWS::Logs::LogGroup").values()
    }

    (query,) = LOGGED
    assert set(re.findall(r"SOURCE '([^']+)'", query)) == {each for each in names if each.startswith("/aws/lambda/")}


def test_the_runbook_names_queries_that_exist() -> None:
    named = set(itertools.chain.from_iterable(re.findall(r"query\s+\*([^*]+)\*", each) for each in [RUNBOOK]))

    assert named
    assert {" ".join(each.split()) for each in named} <= QUERIES.keys()
