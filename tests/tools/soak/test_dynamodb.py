"""The soak's table answers random requests of the kinds that the service makes as moto's table does."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from soak.dynamodb import Table
from soak.errors import Refused
from soak.scheduler import Scheduler
from tests.fakes import moto_aws

KEYS = st.sampled_from(["USER#p#1", "USER#p#2", "WHOP#1"])
NAMES = st.sampled_from(["attempt", "status", "count"])
TEXTS = st.sampled_from(["one", "two"]).map(lambda text: {"S": text})
NUMBERS = st.integers(0, 3).map(lambda number: {"N": str(number)})
ATTRIBUTES = st.fixed_dictionaries({}, optional={"attempt": TEXTS, "status": TEXTS, "count": NUMBERS})


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Any]:
    with mock_aws():
        client = moto_aws.client("dynamodb")
        client.create_table(
            TableName="users",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    """Conditions of the forms that the service uses, with random names and values."""
    texts = [
        "attribute_not_exists(pk)",
        "#name = :value",
        "#name <> :value",
        "attribute_not_exists(pk) OR (#name = :value AND attribute_exists(#name))",
        "attribute_not_exists(#name) OR #name < :value",
        "NOT begins_with(pk, :value) AND (#name >= :value OR attribute_not_exists(#name))",
    ]
    text = draw(st.sampled_from(texts))
    asked: dict[str, Any] = {"ConditionExpression": text}
    name = draw(NAMES if "begins_with" not in text else st.just("status"))
    if "#name" in text:
        asked["ExpressionAttributeNames"] = {"#name": name}
    if ":value" in text:
        # Moto fails where a number is compared with a text.
        asked["ExpressionAttributeValues"] = {":value": draw(NUMBERS if name == "count" else TEXTS)}
    return asked


@st.composite
def writes(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A write with or without a condition."""
    key = draw(KEYS)
    condition = draw(conditions() | st.just({}))
    kind = draw(st.sampled_from(["Put", "Delete", "Update"]))
    if kind == "Put":
        item = {"pk": {"S": key}, **draw(ATTRIBUTES)}
        return kind, {"TableName": "users", "Item": item, **condition}
    asked = {"TableName": "users", "Key": {"pk": {"S": key}}, **condition}
    if kind == "Update":
        text = draw(
            st.sampled_from(
                [
                    "SET #status = :new",
                    "SET #count = if_not_exists(#count, :none) + :one, #status = :new",
                    "ADD #count :one SET #status = :new",
                    "REMOVE #count SET #status = :new",
                ]
            )
        )
        names = {"#status": "status", **({"#count": "count"} if "#count" in text else {})}
        values = {
            ":new": {"S": "new"},
            **({":one": {"N": "1"}} if ":one" in text else {}),
            **({":none": {"N": "0"}} if ":none" in text else {}),
        }
        asked |= {
            "UpdateExpression": text,
            "ExpressionAttributeNames": {**names, **condition.get("ExpressionAttributeNames", {})},
            "ExpressionAttributeValues": {**values, **condition.get("ExpressionAttributeValues", {})},
        }
    return kind, asked


def _asked_of_moto(client: Any, operation: str, asked: dict[str, Any]) -> Any:
    try:
        answer = client._make_api_call(operation, copy.deepcopy(asked))
    except client.exceptions.ClientError as error:
        reasons = [reason["Code"] for reason in error.response.get("CancellationReasons", [])]
        return error.response["Error"]["Code"], reasons
    return {name: answer[name] for name in ("Item", "Attributes") if name in answer}


def _asked_of_ours(table: Table, operation: str, asked: dict[str, Any]) -> Any:
    try:
        answer = table.call(operation, json.loads(json.dumps(asked)))
    except Refused as error:
        return error.code, [reason["Code"] for reason in error.more.get("CancellationReasons", [])]
    return {name: answer[name] for name in ("Item", "Attributes") if name in answer}


def _emptied(client: Any) -> None:
    for item in client.scan(TableName="users")["Items"]:
        client.delete_item(TableName="users", Key={"pk": item["pk"]})


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.lists(writes(), min_size=1, max_size=3), max_size=8), st.sampled_from(["NONE", "ALL_OLD", "ALL_NEW"])
)
def test_writes_and_transactions_have_the_same_outcome(
    dynamodb: Any, requests: list[list[tuple[str, dict[str, Any]]]], shown: str
) -> None:
    _emptied(dynamodb)
    table = Table(Scheduler(0))
    for actions in requests:
        keys = {(asked.get("Key") or asked["Item"])["pk"]["S"] for _, asked in actions}
        if len(actions) == 1:
            kind, asked = actions[0]
            operation = f"{kind}Item"
            if kind == "Update" or (kind == "Put" and shown != "ALL_NEW"):
                asked = {**asked, "ReturnValues": shown}
        elif len(keys) == len(actions):
            operation, asked = "TransactWriteItems", {"TransactItems": [dict([action]) for action in actions]}
        else:
            continue
        assert _asked_of_ours(table, operation, asked) == _asked_of_moto(dynamodb, operation, asked), (operation, asked)
    there = {item["pk"]["S"]: item for item in dynamodb.scan(TableName="users")["Items"]}
    assert table.items == there


def test_a_scan_applies_filter_and_projection(dynamodb: Any) -> None:
    _emptied(dynamodb)
    table = Table(Scheduler(0))
    for number in range(7):
        item = {"pk": {"S": f"USER#p#{number}"}, "status": {"S": "deleted" if number % 2 else "linked"}}
        if number == 1:
            item["cleaned_at"] = {"N": "1"}
        dynamodb.put_item(TableName="users", Item=item)
        table.call("PutItem", {"TableName": "users", "Item": item})
    asked: dict[str, Any] = {
        "TableName": "users",
        "Limit": 3,
        "ProjectionExpression": "pk",
        "FilterExpression": "begins_with(pk, :prefix) AND (#status <> :deleted OR attribute_not_exists(#done))",
        "ExpressionAttributeNames": {"#status": "status", "#done": "cleaned_at"},
        "ExpressionAttributeValues": {":prefix": {"S": "USER#p#"}, ":deleted": {"S": "deleted"}},
    }

    def all_pages(scan: Any) -> list[str]:
        found: list[str] = []
        start: dict[str, Any] = {}
        while True:
            answer = scan({**asked, **start})
            found += [item["pk"]["S"] for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return sorted(found)
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    ours = all_pages(lambda request: table.call("Scan", request))
    assert ours == all_pages(lambda request: dynamodb.scan(**request))
    assert len(ours) == 6


def test_a_transaction_with_a_token_that_counts_is_done_once() -> None:
    scheduler = Scheduler(0)
    table = Table(scheduler)
    put = {"Put": {"TableName": "users", "Item": {"pk": {"S": "a"}}, "ConditionExpression": "attribute_not_exists(pk)"}}
    transaction = {"TransactItems": [put], "ClientRequestToken": "token"}
    table.call("TransactWriteItems", transaction)
    table.call("TransactWriteItems", transaction)

    scheduler.now += 601

    with pytest.raises(Refused, match="TransactionCanceledException"):
        table.call("TransactWriteItems", transaction)


@pytest.mark.parametrize("expression", ["pk = ", "pk = :other", "#name = :value", "nonsense(pk)"])
def test_a_condition_that_makes_no_sense_is_refused(expression: str) -> None:
    table = Table(Scheduler(0))
    asked = {
        "TableName": "users",
        "Item": {"pk": {"S": "a"}},
        "ConditionExpression": expression,
        "ExpressionAttributeValues": {":value": {"S": "a"}},
    }
    with pytest.raises(Refused, match="ValidationException"):
        table.call("PutItem", asked)


@pytest.mark.parametrize(
    "expression", ["SET status = other", "SET status = :other", "SET pk = :value", "CHANGE status"]
)
def test_an_update_that_makes_no_sense_is_refused(expression: str) -> None:
    table = Table(Scheduler(0))
    asked = {
        "TableName": "users",
        "Key": {"pk": {"S": "a"}},
        "UpdateExpression": expression,
        "ExpressionAttributeValues": {":value": {"S": "a"}},
    }
    with pytest.raises(Refused, match="ValidationException"):
        table.call("UpdateItem", asked)
