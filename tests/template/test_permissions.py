"""Who may do what: one role a function, and no wildcard where AWS has a name."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.template.translation import Resource, Resources, deployed, of_type
from whop_chat.runtime.sealed import MIN_CHARACTERS

# Actions that AWS defines without a resource (Service Authorization Reference, "AWS X-Ray").
WITHOUT_RESOURCE = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}

TABLE = {"Fn::GetAtt": ["UsersTable", "Arn"]}
QUEUE = {"Fn::GetAtt": ["SyncQueue", "Arn"]}
DEAD_LETTER_QUEUE = {"Fn::GetAtt": ["SyncDeadLetterQueue", "Arn"]}
SECRET = {"Ref": "WhopSecret"}
DATA_KEY = {"Ref": "DataKeySecret"}
POOL_ARN = "arn:${AWS::Partition}:cognito-idp:${AWS::Region}:${AWS::AccountId}:userpool/${PoolId}"
USERS = {"GetItem", "PutItem", "DeleteItem"}
READ_POOL = {"cognito-idp:AdminGetUser", "cognito-idp:ListUsers"}
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}


@pytest.fixture(scope="module")
def resources() -> Resources:
    return deployed()


def statements(role: Resource) -> Iterator[dict[str, Any]]:
    for policy in role["Properties"]["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allowed(resources: Resources, role: str, resource: Any) -> set[str]:
    found = [each for each in statements(resources[role]) if resource in as_list(each["Resource"])]
    return {action for each in found for action in as_list(each["Action"])}


def items(resources: Resources, role: str, actions: set[str] | None = None) -> set[str]:
    """What the role may do ``actions`` with, or anything at all, by the first part of the keys."""
    return {
        key.partition("#")[0]
        for each in statements(resources[role])
        if each["Resource"] == TABLE and (actions is None or actions & set(as_list(each["Action"])))
        for key in _leading_keys(each)
    }


def _leading_keys(statement: dict[str, Any]) -> list[str]:
    tests = [statement["Condition"].get(f"For{which}:StringLike", {}) for which in ("AllValues", "AnyValue")]
    return [key for each in tests for key in each.get("dynamodb:LeadingKeys", [])]


def pool_arn(reference: Any) -> dict[str, Any]:
    return {"Fn::Sub": [POOL_ARN, {"PoolId": reference}]}


def test_every_function_has_a_role_of_its_own(resources: Resources) -> None:
    roles = {
        name: each["Properties"]["Role"]["Fn::GetAtt"][0]
        for name, each in of_type(resources, "AWS::Lambda::Function").items()
    }

    assert len(set(roles.values())) == len(roles)
    assert set(roles.values()) == set(of_type(resources, "AWS::IAM::Role"))


def test_a_role_is_for_lambda_and_borrows_no_managed_policy(resources: Resources) -> None:
    for role in of_type(resources, "AWS::IAM::Role").values():
        (trust,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}
        assert "ManagedPolicyArns" not in role["Properties"]


def test_no_statement_is_wider_than_aws_makes_it(resources: Resources) -> None:
    for role in of_type(resources, "AWS::IAM::Role").values():
        for statement in statements(role):
            actions, named = set(as_list(statement["Action"])), as_list(statement["Resource"])
            assert not any("*" in action for action in actions)
            if named == ["*"]:
                assert actions <= WITHOUT_RESOURCE
            else:
                assert not any("*" in str(resource) for resource in named)


def test_minting_knows_the_users_reads_the_key_and_the_pool_and_asks_for_syncs(resources: Resources) -> None:
    assert allowed(resources, "MintTokenRole", TABLE) == {f"dynamodb:{action}" for action in USERS | {"UpdateItem"}}
    assert allowed(resources, "MintTokenRole", SECRET) == {"secretsmanager:GetSecretValue"}
    assert allowed(resources, "MintTokenRole", pool_arn({"Ref": "UserPool"})) == {"cognito-idp:AdminGetUser"}
    assert allowed(resources, "MintTokenRole", QUEUE) == {"sqs:SendMessage"}
    assert allowed(resources, "MintTokenRole", DEAD_LETTER_QUEUE) == set()


def test_no_function_deletes_a_record_or_reads_a_count(resources: Resources) -> None:
    for role in of_type(resources, "AWS::IAM::Role"):
        assert items(resources, role, {"dynamodb:DeleteItem"}) <= {"WHOP", "REFUSED"}
        assert "RATE" not in items(resources, role, {"dynamodb:GetItem", "dynamodb:BatchGetItem"})


def test_a_condition_on_all_values_demands_a_value(resources: Resources) -> None:
    """ForAllValues is also true of a request that has none (IAM, "Multivalued context keys")."""
    for role in of_type(resources, "AWS::IAM::Role").values():
        for statement in statements(role):
            keys = {
                key
                for operator, condition in statement.get("Condition", {}).items()
                if operator.startswith("ForAllValues:")
                for key in condition
            }
            assert statement.get("Condition", {}).get("Null", {}) == dict.fromkeys(keys, "false")


def test_minting_counts_mints_on_users_and_calls_of_whop(resources: Resources) -> None:
    assert items(resources, "MintTokenRole", {"dynamodb:UpdateItem"}) == {"USER", "RATE", "CIRCUIT"}


def test_syncing_works_through_the_queue_as_well(resources: Resources) -> None:
    assert items(resources, "SyncUserRole", {"dynamodb:PutItem"}) == {"USER", "WHOP", "RUN"}
    assert items(resources, "SyncUserRole", {"dynamodb:BatchGetItem"}) == {"RUN"}
    assert items(resources, "SyncUserRole", {"dynamodb:DeleteItem"}) == {"WHOP", "REFUSED"}
    assert allowed(resources, "SyncUserRole", TABLE) == {
        f"dynamodb:{action}" for action in USERS | {"UpdateItem", "BatchGetItem"}
    }
    assert allowed(resources, "SyncUserRole", SECRET) == {"secretsmanager:GetSecretValue"}
    assert allowed(resources, "SyncUserRole", pool_arn({"Ref": "UserPool"})) == READ_POOL
    assert allowed(resources, "SyncUserRole", QUEUE) == {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueAttributes",
    }
    assert allowed(resources, "SyncUserRole", DEAD_LETTER_QUEUE) == {"sqs:SendMessage"}


def test_the_readiness_check_sees_no_user_and_writes_its_result(resources: Resources) -> None:
    assert items(resources, "CheckReadinessRole", {"dynamodb:PutItem"}) == {"READY"}
    assert items(resources, "CheckReadinessRole", {"dynamodb:GetItem"}) == {"BACKLOG", "CIRCUIT"}
    assert items(resources, "CheckReadinessRole") == {"READY", "BACKLOG", "CIRCUIT", "RATE"}
    assert allowed(resources, "CheckReadinessRole", SECRET) == {"secretsmanager:GetSecretValue"}
    assert allowed(resources, "CheckReadinessRole", QUEUE) == set()
    assert allowed(resources, "CheckReadinessRole", pool_arn({"Ref": "UserPool"})) == set()


def test_the_sign_up_trigger_may_put_messages_on_the_queue_and_nothing_else(resources: Resources) -> None:
    actions = {action for each in statements(resources["OnSignupRole"]) for action in as_list(each["Action"])}

    assert actions == {"sqs:SendMessage", *LOGS, *WITHOUT_RESOURCE}
    assert allowed(resources, "OnSignupRole", QUEUE) == {"sqs:SendMessage"}


def test_reconcile_reads_users_asks_for_syncs_and_changes_nobody(resources: Resources) -> None:
    """AdminGetUser would make every user of the pool count as active for billing."""
    assert allowed(resources, "ReconcileRole", pool_arn({"Ref": "UserPool"})) == {"cognito-idp:ListUsers"}
    assert allowed(resources, "ReconcileRole", QUEUE) == {"sqs:SendMessage", "sqs:GetQueueAttributes"}
    assert allowed(resources, "ReconcileRole", SECRET) == set()
    assert items(resources, "ReconcileRole", {"dynamodb:PutItem"}) == {"RECONCILE", "LISTED", "REPORT", "RUN"}
    assert items(resources, "ReconcileRole", {"dynamodb:BatchGetItem"}) == {"USER", "LISTED", "RUN"}
    assert items(resources, "ReconcileRole", {"dynamodb:GetItem"}) == {"RECONCILE", "RUN"}
    assert items(resources, "ReconcileRole", {"dynamodb:UpdateItem"}) == {"RUN"}


def test_a_scan_sees_whose_records_there_are_and_not_what_is_in_them(resources: Resources) -> None:
    (scanning,) = [
        each
        for role in of_type(resources, "AWS::IAM::Role").values()
        for each in statements(role)
        if "dynamodb:Scan" in as_list(each["Action"])
    ]

    assert scanning["Action"] == "dynamodb:Scan"
    assert scanning["Condition"] == {
        "ForAllValues:StringEquals": {"dynamodb:Attributes": ["pk", "status", "cleaned_at"]},
        "Null": {"dynamodb:Attributes": "false"},
        "StringEquals": {"dynamodb:Select": "SPECIFIC_ATTRIBUTES"},
    }


@pytest.mark.parametrize("mode", ["on-error", "always"])
def test_only_minting_reads_cached_tokens_and_their_data_key(mode: str) -> None:
    resources = deployed(TokenReuse=mode)
    roles = of_type(resources, "AWS::IAM::Role")

    assert {name for name in roles if "TOKEN" in items(resources, name)} == {"MintTokenRole"}
    assert {name for name in roles if allowed(resources, name, DATA_KEY)} == {"MintTokenRole"}
    assert allowed(resources, "MintTokenRole", DATA_KEY) == {"secretsmanager:GetSecretValue"}
    assert resources["DataKeySecret"]["Properties"]["GenerateSecretString"]["PasswordLength"] >= MIN_CHARACTERS


KEY = "arn:aws:kms:us-east-1:123456789012:key/1234"


def test_a_key_of_the_team_encrypts_all_that_is_stored_and_every_role_may_use_it() -> None:
    resources = deployed(KmsKeyArn=KEY, TokenReuse="always")

    def properties(kind: str) -> list[dict[str, Any]]:
        return [each["Properties"] for each in of_type(resources, kind).values()]

    table = resources["UsersTable"]["Properties"]["SSESpecification"]
    assert table == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY}
    assert all(each["KmsKeyId"] == KEY for each in properties("AWS::SecretsManager::Secret"))
    assert all(each["KmsKeyId"] == KEY for each in properties("AWS::Logs::LogGroup"))
    assert all(each["KmsMasterKeyId"] == KEY for each in properties("AWS::SQS::Queue"))
    assert not any("SqsManagedSseEnabled" in each for each in properties("AWS::SQS::Queue"))
    assert all("kms:Decrypt" in allowed(resources, role, KEY) for role in of_type(resources, "AWS::IAM::Role"))
    assert allowed(resources, "OnSignupRole", KEY) == {"kms:Decrypt", "kms:GenerateDataKey"}


def test_no_version_of_the_trigger_depends_on_the_key() -> None:
    """A new key publishes no version of it, and an old version must start after the old key is gone."""
    functions = of_type(deployed(KmsKeyArn=KEY), "AWS::Lambda::Function")

    assert {name for name, each in functions.items() if "KmsKeyArn" not in each["Properties"]} == {"OnSignupFunction"}


def test_a_boundary_is_on_every_role_if_there_is_one() -> None:
    arn = "arn:aws:iam::123456789012:policy/boundary"

    for resources, boundary in ((deployed(PermissionsBoundaryArn=arn), arn), (deployed(), None)):
        for role in of_type(resources, "AWS::IAM::Role").values():
            assert role["Properties"].get("PermissionsBoundary") == boundary


def test_minting_remembers_refusals_and_only_syncing_takes_them_back(resources: Resources) -> None:
    roles = of_type(resources, "AWS::IAM::Role")
    by_action = {
        action: {name for name in roles if "REFUSED" in items(resources, name, {f"dynamodb:{action}"})}
        for action in ("GetItem", "PutItem", "DeleteItem", "UpdateItem")
    }
    assert by_action == {
        "GetItem": {"MintTokenRole"},
        "PutItem": {"MintTokenRole"},
        "DeleteItem": {"SyncUserRole"},
        "UpdateItem": set(),
    }


@pytest.mark.parametrize("role", ["MintTokenRole", "SyncUserRole"])
def test_who_calls_whop_counts_the_calls_and_shares_the_waits(resources: Resources, role: str) -> None:
    assert {"RATE", "CIRCUIT"} <= items(resources, role, {"dynamodb:UpdateItem"})
    assert "CIRCUIT" in items(resources, role, {"dynamodb:GetItem"})
    assert not {"RATE", "CIRCUIT"} & items(resources, role, {"dynamodb:PutItem", "dynamodb:DeleteItem"})


def test_syncing_changes_no_user_in_part(resources: Resources) -> None:
    assert items(resources, "SyncUserRole", {"dynamodb:UpdateItem"}) == {"RATE", "CIRCUIT", "RUN", "BACKLOG"}


def test_where_no_token_is_kept_nobody_may_keep_one_and_there_is_no_data_key(resources: Resources) -> None:
    assert "DataKeySecret" not in resources
    assert items(resources, "MintTokenRole") == {"USER", "WHOP", "RATE", "CIRCUIT", "REFUSED", "READY"}
    variables = resources["MintTokenFunction"]["Properties"]["Environment"]["Variables"]
    assert variables["DATA_KEY_SECRET_ARN"] == ""


def test_every_permission_on_the_table_says_which_items() -> None:
    for role in of_type(deployed(TokenReuse="always"), "AWS::IAM::Role").values():
        for each in statements(role):
            if each["Resource"] == TABLE and each["Action"] != "dynamodb:Scan":
                assert _leading_keys(each)
                assert all(key.endswith("#*") for key in _leading_keys(each))


@pytest.mark.parametrize("name", ["MintToken", "OnSignup", "SyncUser", "Reconcile", "CheckReadiness"])
def test_a_function_writes_to_its_own_log_only(resources: Resources, name: str) -> None:
    assert allowed(resources, f"{name}Role", {"Fn::GetAtt": [f"{name}LogGroup", "Arn"]}) == LOGS
    logged = [each for each in statements(resources[f"{name}Role"]) if LOGS & set(as_list(each["Action"]))]
    assert len(logged) == 1


def test_permissions_follow_a_named_pool() -> None:
    resources = deployed(UserPoolId="us-east-1_AbCdEfGhI", UserPoolClientIds="web")

    pool = pool_arn("us-east-1_AbCdEfGhI")
    assert allowed(resources, "MintTokenRole", pool) == {"cognito-idp:AdminGetUser"}
    assert allowed(resources, "SyncUserRole", pool) == READ_POOL


def test_permissions_follow_a_kept_table() -> None:
    """The same statements, for this table of this account alone."""
    own_pool = {"UserPoolId": "us-east-1_AbCdEfGhI", "UserPoolClientIds": "web", "TokenReuse": "always"}
    created, kept = deployed(**own_pool), deployed(UsersTableName="kept", **own_pool)
    arn = {"Fn::Sub": "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${UsersTableName}"}

    for role in of_type(kept, "AWS::IAM::Role"):
        expected = [
            each | {"Resource": arn if each["Resource"] == TABLE else each["Resource"]}
            for each in statements(created[role])
        ]
        assert list(statements(kept[role])) == expected


@pytest.mark.parametrize(
    ("given", "pool"),
    [
        ({}, {"Ref": "UserPool"}),
        ({"UserPoolId": "us-east-1_AbCdEfGhI", "UserPoolClientIds": "web"}, "us-east-1_AbCdEfGhI"),
    ],
)
def test_cognito_may_call_the_trigger_for_this_pool_of_this_account_only(given: dict[str, str], pool: Any) -> None:
    permission = deployed(**given)["SignUpPermission"]["Properties"]

    assert permission == {
        "Action": "lambda:InvokeFunction",
        "FunctionName": {"Ref": "OnSignupFunctionAliaslive"},
        "Principal": "cognito-idp.amazonaws.com",
        "SourceAccount": {"Ref": "AWS::AccountId"},
        "SourceArn": pool_arn(pool),
    }


def _queue_policies(**given: str) -> dict[str, list[dict[str, Any]]]:
    """The statements about each queue. A queue has one policy: a second resource would replace the first."""
    resources = deployed(**given)
    policies = [each["Properties"] for each in of_type(resources, "AWS::SQS::QueuePolicy").values()]
    found = {each["Queues"][0]["Ref"]: each["PolicyDocument"]["Statement"] for each in policies}
    assert all(len(each["Queues"]) == 1 for each in policies)
    assert len(found) == len(policies)
    return found


def test_every_queue_refuses_plain_http(resources: Resources) -> None:
    policies = _queue_policies()

    assert policies.keys() == of_type(resources, "AWS::SQS::Queue").keys()
    for queue, (first, *_) in policies.items():
        assert first == {
            "Sid": "RefusePlainHttp",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "sqs:*",
            "Resource": {"Fn::GetAtt": [queue, "Arn"]},
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }


@pytest.mark.parametrize("watching", ["true", "false"])
def test_nobody_but_the_rules_may_put_messages_on_the_queues_from_outside(watching: str) -> None:
    allowed = {
        queue: [each for each in statements if each["Effect"] == "Allow"]
        for queue, statements in _queue_policies(WatchCloudTrail=watching).items()
    }
    changes = ["UserChangeRule"] if watching == "true" else []

    assert allowed == {
        "SyncQueue": [_from_rules("ReportChanges", "SyncQueue", changes[0])] if changes else [],
        "SyncDeadLetterQueue": [],
        "EventDeadLetterQueue": [
            _from_rules(
                "KeepWhatCouldNotBeDelivered",
                "EventDeadLetterQueue",
                ["ReconcileFunctionScheduled", "ReconcileFunctionTick", "CheckReadinessFunctionScheduled", *changes],
            )
        ],
    }


def _from_rules(sid: str, queue: str, rules: str | list[str]) -> dict[str, Any]:
    names = [rules] if isinstance(rules, str) else rules
    sources = [{"Fn::GetAtt": [name, "Arn"]} for name in names]
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": {"Fn::GetAtt": [queue, "Arn"]},
        "Condition": {"ArnEquals": {"aws:SourceArn": sources[0] if isinstance(rules, str) else sources}},
    }


def test_every_permission_to_call_a_function_names_its_source(resources: Resources) -> None:
    for permission in of_type(resources, "AWS::Lambda::Permission").values():
        assert permission["Properties"]["SourceArn"]
