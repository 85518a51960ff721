"""Each alarm: what makes it ring, what does not, and that all it names exists."""

import itertools
import json
import re
from collections.abc import Iterable
from typing import Any

import pytest

from tests.alarms.deployed_alarms import EMAIL, NAMESPACE, alarms
from tests.fakes.source_tree import ROOT
from tests.template.translation import deployed, of_type, template
from tools.watch.alarms import Alarm
from tools.watch.samples import Name, Samples
from whop_chat.runtime.metrics import ALL

ALARMS = alarms()
NOW = 1_800_000_000.0 // 900 * 900 + 450
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()

# Metrics of AWS and their dimensions (Lambda, "Types of metrics for Lambda functions"; SQS, "Available CloudWatch
# metrics"; API Gateway, "Monitor HTTP API metrics").
OF_AWS = {
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"): ("QueueName",),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): ("QueueName",),
    ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible"): ("QueueName",),
    ("AWS/Lambda", "Errors"): ("FunctionName",),
    ("AWS/Lambda", "Throttles"): ("FunctionName",),
    ("AWS/ApiGateway", "5xx"): ("ApiId",),
    ("AWS/ApiGateway", "Count"): ("ApiId",),
}


def ours(metric: str, **dimensions: str) -> Name:
    return Name.of(NAMESPACE, metric, dimensions)


def mints(outcome: str) -> Name:
    return ours("Mints", outcome=outcome)


def enrolments(service: str, outcome: str) -> Name:
    return ours("Enrolments", service=service, outcome=outcome)


def sqs(metric: str, queue: str) -> Name:
    return Name.of("AWS/SQS", metric, {"QueueName": queue})


def in_lambda(metric: str, function: str) -> Name:
    return Name.of("AWS/Lambda", metric, {"FunctionName": function})


def api(metric: str) -> Name:
    return Name.of("AWS/ApiGateway", metric, {"ApiId": "HttpApi"})


type Quarter = Iterable[tuple[Name, float]]


def rings(alarm: str, *quarters: Quarter) -> bool:
    """Whether the alarm rings after these quarters of an hour. The last of them is now."""
    samples = Samples()
    for back, quarter in enumerate(reversed(quarters)):
        for name, value in quarter:
            samples.add(name, value, at=NOW - back * 900)
    return ALARMS[alarm].is_in_alarm(samples, now=NOW)


FIVE_OF_TEN = [(mints("failed"), 3), (mints("wait"), 2), (mints("minted"), 5)]
RINGING: list[tuple[str, tuple[Quarter, ...]]] = [
    ("KeyRefusedAlarm", ([(ours("KeyRefused"), 1)],)),
    ("MintFailuresAlarm", (FIVE_OF_TEN, [], FIVE_OF_TEN)),
    ("MintFailuresAlarm", ([(mints("wait"), 5)], [(mints("failed"), 5), (mints("minted"), 19)])),
    (
        "EnrolmentFailuresAlarm",
        ([(enrolments("sync_user", "failed"), 5)], [(enrolments("mint_token", "failed"), 5)]),
    ),
    ("SignUpsNotEnqueuedAlarm", ([(ours("SignUpsNotEnqueued"), 1)],)),
    ("QueueAgeAlarm", ([(ours("SyncAge"), 3601), (ours("SyncAge"), 1)],)),
    ("QueueAgeAlarm", ([(sqs("ApproximateAgeOfOldestMessage", "SyncQueue"), 3601)],)),
    ("DeadLettersAlarm", ([(sqs("ApproximateNumberOfMessagesVisible", "SyncDeadLetterQueue"), 1)],)),
    ("DeadLettersAlarm", ([(sqs("ApproximateNumberOfMessagesVisible", "AvatarDeadLetterQueue"), 1)],)),
    ("UndeliveredEventsAlarm", ([(sqs("ApproximateNumberOfMessagesVisible", "EventDeadLetterQueue"), 1)],)),
    *(
        (f"Function{metric}Alarm", ([(in_lambda(metric, f"{function}Function"), 1)],))
        for metric, function in itertools.product(
            ("Errors", "Throttles"), ("MintToken", "OnSignup", "SyncUser", "Reconcile", "CheckReadiness")
        )
    ),
    ("FunctionErrorsAlarm", ([(ours("Defects"), 1)],)),
    ("ApiFailuresAlarm", ([(api("5xx"), 5), (api("Count"), 5)], [(api("5xx"), 5), (api("Count"), 24)])),
    ("ReconcileUnfinishedAlarm", ([(ours("ReconcilesUnfinished"), 1)],)),
    ("NotReadyAlarm", ([(ours("NotReady"), 1)], [(ours("NotReady"), 1)])),
    ("NotReadyAlarm", ([(ours("NotReady"), 1)], [], [(ours("NotReady"), 2)])),
]
QUIET: list[tuple[str, tuple[Quarter, ...]]] = [
    *((alarm, ()) for alarm in ALARMS),
    ("KeyRefusedAlarm", ([(ours("KeyRefused", service="sync_user"), 1)],)),
    ("KeyRefusedAlarm", ([(ours("KeyRefused"), 1)], [])),
    ("MintFailuresAlarm", (FIVE_OF_TEN,)),
    ("MintFailuresAlarm", (FIVE_OF_TEN, FIVE_OF_TEN, [], [])),
    ("MintFailuresAlarm", ([(mints("failed"), 4)],) * 3),
    ("MintFailuresAlarm", ([(mints("failed"), 5), (mints("minted"), 20)],) * 3),
    ("MintFailuresAlarm", ([(mints("denied"), 50), (mints("refused"), 50)],) * 3),
    ("EnrolmentFailuresAlarm", ([(enrolments("sync_user", "refused"), 50)],) * 3),
    ("QueueAgeAlarm", ([(ours("SyncAge"), 3600)],)),
    ("ApiFailuresAlarm", ([(api("5xx"), 5), (api("Count"), 25)],) * 3),
    ("NotReadyAlarm", ([(ours("NotReady"), 1)],)),
    ("NotReadyAlarm", ([(ours("NotReady"), 1)], [(ours("NotReady"), 1)], [], [])),
    ("UndeliveredEventsAlarm", ([(sqs("ApproximateNumberOfMessagesVisible", "SyncDeadLetterQueue"), 1)],)),
]


@pytest.mark.parametrize(("alarm", "quarters"), RINGING, ids=itertools.count())
def test_an_alarm_rings_for_what_it_is_for(alarm: str, quarters: tuple[Quarter, ...]) -> None:
    assert rings(alarm, *quarters)


@pytest.mark.parametrize(("alarm", "quarters"), QUIET, ids=itertools.count())
def test_an_alarm_is_quiet_about_everything_else(alarm: str, quarters: tuple[Quarter, ...]) -> None:
    assert not rings(alarm, *quarters)


def test_each_alarm_rings_in_a_test() -> None:
    assert {alarm for alarm, _ in RINGING} == ALARMS.keys()


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=ALARMS)
def test_an_alarm_tells_the_topic_why_it_rings_and_where_to_read_on(alarm: Alarm) -> None:
    assert alarm.properties["AlarmActions"] == alarm.properties["OKActions"] == ["AlarmTopic"]
    assert alarm.properties["TreatMissingData"] == "notBreaching"
    reason, anchor = re.fullmatch(
        r"(.{40,}\.) Runbook: docs/runbook\.md#([a-z-]+)", alarm.properties["AlarmDescription"]
    ).groups()  # type: ignore[union-attr]
    assert reason[0].isupper()
    assert anchor in anchors()


def anchors() -> list[str]:
    entries = RUNBOOK.partition("\n## Alarms\n")[2].partition("\n## ")[0]
    return [title.lower().replace(" ", "-") for title in re.findall(r"^### (.+)$", entries, re.MULTILINE)]


def test_each_alarm_has_an_entry_of_its_own_and_each_entry_an_alarm() -> None:
    named = [each.properties["AlarmDescription"].partition("#")[2] for each in ALARMS.values()]

    assert sorted(named) == sorted(anchors())


def unknown(names: Iterable[Name]) -> list[Name]:
    """The names that neither our code nor AWS gives to a metric."""
    declared = {
        ours(metric.name, **dict(zip(keys, values, strict=True)))
        for metric in ALL
        for keys in metric.sets
        for values in itertools.product(*(metric.values[key] for key in keys))
    }
    return [
        name
        for name in names
        if name not in declared
        and tuple(key for key, _ in name.dimensions) != OF_AWS.get((name.namespace, name.metric))
    ]


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=ALARMS)
def test_each_metric_of_an_alarm_exists(alarm: Alarm) -> None:
    assert alarm.metrics != []
    assert unknown(alarm.metrics) == []


def test_a_metric_that_nobody_emits_is_found() -> None:
    names = [
        ours("Mints"),
        ours("Mints", outcome="lost"),
        ours("KeyRefused", outcome="failed"),
        sqs("Age", "SyncQueue"),
    ]

    assert unknown(names) == names


def test_without_an_address_there_is_no_topic_no_alarm_and_no_dashboard() -> None:
    with_address, without = deployed(AlarmEmail=EMAIL), deployed()
    watching = {each["Type"] for name, each in with_address.items() if name not in without}

    assert watching == {
        "AWS::SNS::Topic",
        "AWS::SNS::TopicPolicy",
        "AWS::SNS::Subscription",
        "AWS::CloudWatch::Alarm",
        "AWS::CloudWatch::Dashboard",
    }
    assert not watching & {each["Type"] for each in without.values()}


def test_alarms_reach_the_address_and_whoever_else_subscribes() -> None:
    resources = deployed(AlarmEmail=EMAIL)
    (subscription,) = of_type(resources, "AWS::SNS::Subscription").values()
    (policy,) = of_type(resources, "AWS::SNS::TopicPolicy").values()
    output = template()["Outputs"]["AlarmTopicArn"]

    assert subscription["Properties"] == {"TopicArn": {"Ref": "AlarmTopic"}, "Protocol": "email", "Endpoint": EMAIL}
    assert (output["Condition"], output["Value"]) == ("Watch", {"Ref": "AlarmTopic"})
    refused, allowed = policy["Properties"]["PolicyDocument"]["Statement"]
    assert (refused["Effect"], refused["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert (allowed["Principal"], allowed["Action"]) == ({"Service": "cloudwatch.amazonaws.com"}, "sns:Publish")
    assert allowed["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


def test_the_topic_is_encrypted_with_the_key_of_the_team() -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/1"
    topic: dict[str, Any] = deployed(AlarmEmail=EMAIL, KmsKeyArn=key)["AlarmTopic"]["Properties"]

    assert topic == {"KmsMasterKeyId": key}


def test_an_alarm_has_at_most_ten_metrics() -> None:
    """CloudWatch, "CloudWatch service quotas"."""
    assert all(len(alarm.metrics) <= 10 for alarm in ALARMS.values())
    assert json.dumps(template()).count("AWS::CloudWatch::Alarm") == len(ALARMS)
