"""What AvatarSource adds to a stack, and what it may do."""

import re
from typing import Any

import pytest

from local.whop_simulator import versions
from tests.template.test_permissions import (
    LOGS,
    QUEUE,
    READ_POOL,
    SECRET,
    TABLE,
    WITHOUT_RESOURCE,
    allowed,
    as_list,
    items,
    pool_arn,
    statements,
)
from tests.template.translation import Resources, accepts, deployed, holds, of_type, parameter_values, template
from whop_chat.avatars.worker import FETCH_SECONDS, SECONDS_PER_PICTURE

BUCKET = "s3://my-pictures/avatars/{sub}"
AVATAR_QUEUE = {"Fn::GetAtt": ["AvatarQueue", "Arn"]}
AVATAR_DEAD_LETTERS = {"Fn::GetAtt": ["AvatarDeadLetterQueue", "Arn"]}
FETCH_PICTURE = {"Fn::GetAtt": ["FetchPictureFunction", "Arn"]}
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234"


@pytest.fixture(scope="module", params=["picture", BUCKET])
def resources(request: pytest.FixtureRequest) -> Resources:
    return deployed(AvatarSource=request.param)


def test_without_pictures_nothing_of_them_exists() -> None:
    added = deployed(AvatarSource="picture").keys() - deployed().keys()

    assert not [name for name in deployed() if re.search("Avatar|Picture|Pillow", name)]
    assert {re.sub("(Policy|LogGroup|Role|Function|[0-9a-f]{10})+$", "", name) for name in added} == {
        *("AvatarQueue", "AvatarDeadLetterQueue", "SyncAvatar", "SyncAvatarFunctionPictures"),
        *("FetchPicture", "PillowLayer"),
    }


def test_outputs_about_pictures_exist_with_them_only() -> None:
    conditions = {name: each["Condition"] for name, each in template()["Outputs"].items() if "Condition" in each}

    assert {name for name in conditions if re.search("Avatar", name)} == {
        *("AvatarQueueUrl", "AvatarDeadLetterQueueUrl", "SyncAvatarFunctionName")
    }


def test_who_decodes_files_of_strangers_may_log_and_nothing_else() -> None:
    actions = {
        action
        for each in statements(deployed(AvatarSource="picture")["FetchPictureRole"])
        for action in as_list(each["Action"])
    }

    assert actions == LOGS


def test_who_decodes_files_of_a_bucket_reads_that_prefix_and_nothing_else() -> None:
    resources = deployed(AvatarSource=BUCKET)
    actions = {action for each in statements(resources["FetchPictureRole"]) for action in as_list(each["Action"])}
    (reading,) = [each for each in statements(resources["FetchPictureRole"]) if each["Sid"] == "ReadPictures"]
    text, names = reading["Resource"]["Fn::Sub"]

    assert actions == {"s3:GetObject", *LOGS}
    assert text == "arn:${AWS::Partition}:s3:::${Prefix}*"
    assert joined(names["Prefix"]) == "my-pictures/avatars/"
    assert reading["Action"] == "s3:GetObject"


@pytest.mark.parametrize(
    ("source", "prefix"), [("s3://b-1/{sub}", "b-1/"), ("s3://b.c/a/b/{sub}", "b.c/a/b/"), ("picture", "picture")]
)
def test_the_prefix_is_what_stands_before_the_sub(source: str, prefix: str) -> None:
    role = template()["Resources"]["FetchPictureRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]
    expression = role["Fn::If"][2]["Resource"]["Fn::Sub"][1]["Prefix"]

    assert joined(expression, {"AvatarSource": source}) == prefix


def joined(node: Any, values: dict[str, str] | None = None) -> Any:
    """What Select, Split and Join come to."""
    if isinstance(node, list):
        return [joined(each, values) for each in node]
    if not isinstance(node, dict):
        return node
    ((function, argument),) = node.items()
    if function == "Ref":
        return (values or {})[argument]
    first, second = joined(argument, values)
    return {
        "Fn::Select": lambda: second[int(first)],
        "Fn::Split": lambda: second.split(first),
        "Fn::Join": lambda: first.join(second),
    }[function]()


def test_who_decodes_files_of_strangers_has_no_secret_no_table_and_no_network_of_ours(resources: Resources) -> None:
    function = resources["FetchPictureFunction"]["Properties"]

    assert function["Environment"]["Variables"].keys() == {
        *("POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL", "AVATAR_SOURCE")
    }
    assert "VpcConfig" not in function
    assert not [name for name in ("SECRET", "TABLE", "QUEUE") if name in str(function)]
    callers = [name for name in of_type(resources, "AWS::IAM::Role") if allowed(resources, name, FETCH_PICTURE)]
    assert callers == ["SyncAvatarRole"]
    assert not [each for each in of_type(resources, "AWS::Lambda::Permission").values() if "FetchPicture" in str(each)]


def test_only_that_function_has_the_layer_that_decodes(resources: Resources) -> None:
    with_pillow = {
        name
        for name, each in of_type(resources, "AWS::Lambda::Function").items()
        if "PillowLayer" in str(each["Properties"]["Layers"])
    }

    assert with_pillow == {"FetchPictureFunction"}


def test_who_shows_pictures_writes_them_to_users_and_asks_for_files(resources: Resources) -> None:
    role = "SyncAvatarRole"

    assert items(resources, role, {"dynamodb:GetItem"}) == {"USER", "WHOP", "CIRCUIT"}
    assert items(resources, role, {"dynamodb:PutItem"}) == {"USER"}
    assert items(resources, role, {"dynamodb:UpdateItem"}) == {"RATE", "CIRCUIT"}
    assert items(resources, role, {"dynamodb:DeleteItem"}) == set()
    assert allowed(resources, role, TABLE) == {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"}
    assert allowed(resources, role, SECRET) == {"secretsmanager:GetSecretValue"}
    assert allowed(resources, role, pool_arn({"Ref": "UserPool"})) == READ_POOL
    assert allowed(resources, role, FETCH_PICTURE) == {"lambda:InvokeFunction"}
    assert allowed(resources, role, QUEUE) == set()
    assert allowed(resources, role, AVATAR_QUEUE) == {
        *("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes")
    }
    assert allowed(resources, role, AVATAR_DEAD_LETTERS) == {"sqs:SendMessage"}


def test_only_syncing_asks_for_pictures(resources: Resources) -> None:
    senders = {
        name
        for name in of_type(resources, "AWS::IAM::Role")
        if "sqs:SendMessage" in allowed(resources, name, AVATAR_QUEUE)
    }

    assert senders == {"SyncUserRole"}


def test_no_statement_about_pictures_is_wider_than_aws_makes_it(resources: Resources) -> None:
    for role in of_type(resources, "AWS::IAM::Role").values():
        for statement in statements(role):
            assert not any("*" in action for action in as_list(statement["Action"]))
            if statement["Resource"] == "*":
                assert set(as_list(statement["Action"])) <= WITHOUT_RESOURCE


@pytest.mark.parametrize("name", ["SyncAvatar", "FetchPicture"])
def test_a_function_for_pictures_writes_to_its_own_log_only(resources: Resources, name: str) -> None:
    assert allowed(resources, f"{name}Role", {"Fn::GetAtt": [f"{name}LogGroup", "Arn"]}) == LOGS


def test_the_queue_is_as_that_of_the_sync(resources: Resources) -> None:
    ours, syncs = (resources[name]["Properties"] for name in ("AvatarQueue", "SyncQueue"))
    redrive = {"deadLetterTargetArn": AVATAR_DEAD_LETTERS, "maxReceiveCount": syncs["RedrivePolicy"]["maxReceiveCount"]}

    assert ours == {**syncs, "RedrivePolicy": redrive}
    assert resources["AvatarDeadLetterQueue"]["Properties"] == resources["SyncDeadLetterQueue"]["Properties"]
    assert ours["VisibilityTimeout"] >= 6 * resources["SyncAvatarFunction"]["Properties"]["Timeout"]


def test_the_queues_refuse_plain_http(resources: Resources) -> None:
    for queue in ("AvatarQueue", "AvatarDeadLetterQueue"):
        policy = resources[f"{queue}Policy"]["Properties"]
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert policy["Queues"] == [{"Ref": queue}]
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert (statement["Effect"], statement["Action"]) == ("Deny", "sqs:*")
        assert statement["Resource"] == {"Fn::GetAtt": [queue, "Arn"]}


def test_a_key_of_the_team_encrypts_messages_about_pictures_too() -> None:
    resources = deployed(KmsKeyArn=KEY, AvatarSource="picture")
    queues = [resources[name]["Properties"] for name in ("AvatarQueue", "AvatarDeadLetterQueue")]

    assert all(each["KmsMasterKeyId"] == KEY and "SqsManagedSseEnabled" not in each for each in queues)
    assert "kms:Decrypt" in allowed(resources, "SyncAvatarRole", KEY)
    assert allowed(resources, "FetchPictureRole", KEY) == set()


def test_a_boundary_is_on_the_new_roles_too() -> None:
    arn = "arn:aws:iam::123456789012:policy/boundary"
    roles = of_type(deployed(AvatarSource="picture", PermissionsBoundaryArn=arn), "AWS::IAM::Role")

    assert {each["Properties"]["PermissionsBoundary"] for each in roles.values()} == {arn}


def test_a_message_has_the_time_that_its_steps_take(resources: Resources) -> None:
    ours, fetching = (resources[name]["Properties"] for name in ("SyncAvatarFunction", "FetchPictureFunction"))

    assert fetching["Timeout"] < FETCH_SECONDS < SECONDS_PER_PICTURE < ours["Timeout"] - 2


@pytest.mark.parametrize("source", ["off", "picture", "s3://my-bucket/avatars/{sub}", "s3://bucket/{sub}"])
def test_a_source_as_it_should_be_is_accepted(source: str) -> None:
    assert accepts("AvatarSource", source)


@pytest.mark.parametrize(
    "source",
    [
        *("", "on", "email", "https://pictures.example/{sub}", "s3://bucket/prefix/", "s3://bucket/{sub}.png"),
        *("s3://bucket/{username}", "s3://bucket/*/{sub}", "s3://*/{sub}", "s3://bucket/../{sub}/..", "s3:///{sub}"),
        "s3://bucket/{sub}\ns3://other/{sub}",
    ],
)
def test_any_other_source_is_refused(source: str) -> None:
    assert not accepts("AvatarSource", source)


@pytest.mark.parametrize("version", versions.KNOWN)
def test_pictures_need_a_version_of_whop_that_has_files(version: str) -> None:
    (assertion,) = template()["Rules"]["PicturesNeedFiles"]["Assertions"]
    enough = versions.at_least(version, "2026-08-21-1")

    assert holds(assertion["Assert"], parameter_values(WhopApiVersion=version)) is enough


@pytest.mark.parametrize(("source", "asked"), [("off", False), ("picture", True), (BUCKET, True)])
def test_a_stack_without_pictures_may_have_any_version(source: str, asked: bool) -> None:
    condition = template()["Rules"]["PicturesNeedFiles"]["RuleCondition"]

    assert holds(condition, parameter_values(AvatarSource=source)) is asked
