"""Functions, queue, data and identity."""

import json
from typing import Any

import pytest

from manage import users_table
from tests.template.translation import Resources, accepts, deployed, of_type, template, translated
from whop_chat.cognito.user import UserRef
from whop_chat.reconcile.command import Command
from whop_chat.sync.queue import Source, SyncMessage, decode

ON_BOTH = {
    "POWERTOOLS_LOG_LEVEL",
    "POWERTOOLS_METRICS_NAMESPACE",
    "POWERTOOLS_SERVICE_NAME",
    "SYNC_QUEUE_URL",
}
ENROLMENT = ON_BOTH | {
    "USER_POOL_ID",
    "USERS_TABLE",
    "WHOP_SECRET_ARN",
    "WHOP_COMPANY_ID",
    "WHOP_BASE_URL",
    "WHOP_API_VERSION",
    "WHOP_COMPANY_FIELD",
    "ENROLMENT_EMAIL",
    "ALIAS_EMAIL_TEMPLATE",
    "TRUSTED_PROVIDERS",
    "EMAIL_REUSE",
    "PROFILE_NAME",
}
MINTING = (
    ENROLMENT
    | {"USER_POOL_CLIENT_IDS", "USER_POOL_ISSUER", "TOKEN_USE", "CHAT_FEATURES", "TOKEN_TTL_MINUTES"}
    | {
        "REQUIRED_SCOPE",
        "DENIED_GROUPS",
        "GROUP_FEATURES",
        "MINTS_PER_MINUTE",
        "TOKEN_REUSE",
        "DATA_KEY_SECRET_ARN",
    }
)
PICTURES = {"AVATAR_SOURCE", "AVATAR_QUEUE_URL"}
SYNCING = ENROLMENT | {"USER_POOL_CLIENT_IDS", "SYNC_DEAD_LETTER_QUEUE_URL", "DELETE_POLICY"} | PICTURES
CHECKING = {name for name in ENROLMENT if name.startswith(("WHOP_", "USER", "POWERTOOLS_"))} | {"USER_POOL_ISSUER"}
RECONCILING = {name for name in ENROLMENT - {"EMAIL_REUSE"} if not name.startswith("WHOP_")} | {"AVATAR_SOURCE"}
SHOWING = (CHECKING - {"USER_POOL_ISSUER"}) | PICTURES | {"AVATAR_DEAD_LETTER_QUEUE_URL", "FETCH_PICTURE_FUNCTION"}
FETCHING = (ON_BOTH - {"SYNC_QUEUE_URL"}) | {"AVATAR_SOURCE"}


@pytest.fixture(scope="module")
def resources() -> Resources:
    return deployed()


def _properties(resources: Resources, name: str) -> dict[str, Any]:
    properties: dict[str, Any] = resources[name]["Properties"]
    return properties


# ------------------------------------------------------------------------------------------------------- functions


@pytest.mark.parametrize(
    ("function", "names"),
    [
        ("MintTokenFunction", MINTING),
        ("OnSignupFunction", ON_BOTH),
        ("SyncUserFunction", SYNCING),
        ("ReconcileFunction", RECONCILING),
        ("CheckReadinessFunction", CHECKING),
        ("SyncAvatarFunction", SHOWING),
        ("FetchPictureFunction", FETCHING),
    ],
)
def test_a_function_knows_its_settings_and_no_more(function: str, names: set[str]) -> None:
    assert _properties(deployed(AvatarSource="picture"), function)["Environment"]["Variables"].keys() == names


def test_no_function_is_given_the_api_key(resources: Resources) -> None:
    everything = json.dumps(resources)

    assert "resolve:secretsmanager" not in everything
    assert _properties(resources, "WhopSecret").keys() == {"Description"}


def test_lists_reach_the_functions_as_they_were_given() -> None:
    resources = deployed(UserPoolId="us-east-1_AbCdEfGhI", UserPoolClientIds="web,ios", TrustedProviders="Google,Okta")
    variables = _properties(resources, "MintTokenFunction")["Environment"]["Variables"]

    assert variables["USER_POOL_CLIENT_IDS"] == {"Fn::Join": [",", ["web", "ios"]]}
    assert variables["TRUSTED_PROVIDERS"] == {"Fn::Join": [",", ["Google", "Okta"]]}


@pytest.mark.parametrize(("given", "kind"), [({}, "ORIGINAL"), ({"UserPoolIssuer": "updated"}, "UPDATED")], ids=str)
def test_a_pool_made_here_has_the_issuer_of_the_parameter(given: dict[str, str], kind: str) -> None:
    resources = deployed(**given)

    variables = _properties(resources, "MintTokenFunction")["Environment"]["Variables"]
    assert _properties(resources, "UserPool")["IssuerConfiguration"] == {"Type": kind}
    assert variables["USER_POOL_ISSUER"] == kind.lower()


def test_the_functions_run_where_their_wheels_are_for() -> None:
    resources = deployed(Architecture="arm64", AvatarSource="picture")

    for function in of_type(resources, "AWS::Lambda::Function").values():
        assert function["Properties"]["Architectures"] == ["arm64"]
        assert function["Properties"]["Runtime"] == "python3.13"
    for layer in of_type(resources, "AWS::Lambda::LayerVersion").values():
        assert layer["Properties"]["CompatibleArchitectures"] == ["arm64"]


def test_the_sign_up_trigger_ends_before_cognito_stops_waiting(resources: Resources) -> None:
    assert _properties(resources, "OnSignupFunction")["Timeout"] < 5


def test_cloudformation_names_the_functions_and_the_outputs_tell_the_names(resources: Resources) -> None:
    """A function's name has at most 64 characters (AWS, CreateFunction), a stack's up to 128."""
    functions = of_type(resources, "AWS::Lambda::Function")
    outputs = template()["Outputs"]

    assert [name for name, each in functions.items() if "FunctionName" in each["Properties"]] == []
    assert {outputs[f"{name}Name"]["Value"]["Ref"] for name in functions} == functions.keys()


def test_the_arn_that_pools_name_stays(resources: Resources) -> None:
    """User pools of teams name the alias. Its ARN has the function's name, which has the logical id of the function.

    Another logical id, or a property that replaces the function, breaks the sign-up of every pool that is attached.
    """
    function, alias = resources["OnSignupFunction"], resources["OnSignupFunctionAliaslive"]

    assert template()["Outputs"]["OnSignupFunctionArn"]["Value"] == {"Ref": "OnSignupFunction.Alias"}
    assert (alias["Properties"]["Name"], alias["Properties"]["FunctionName"]) == ("live", {"Ref": "OnSignupFunction"})
    assert function["Type"] == "AWS::Lambda::Function"
    assert not {"FunctionName", "PackageType", "TenancyConfig"} & function["Properties"].keys()


@pytest.mark.parametrize(
    ("kind", "name", "most"),
    [
        ("AWS::Logs::LogGroup", "LogGroupName", 512),
        ("AWS::Lambda::LayerVersion", "LayerName", 140),
        ("AWS::Cognito::UserPool", "UserPoolName", 128),
        ("AWS::Logs::QueryDefinition", "Name", 255),
    ],
)
def test_a_stack_name_of_any_length_fits_into_every_name(resources: Resources, kind: str, name: str, most: int) -> None:
    for each in of_type(resources, kind).values():
        named = each["Properties"][name]
        text = named["Fn::Sub"] if "Fn::Sub" in named else "${" + named["Ref"] + "}"
        assert len(text.replace("${AWS::StackName}", "x" * 128)) <= most


def test_no_other_resource_has_a_name_of_ours(resources: Resources) -> None:
    """A name of our own limits the stack's name, or collides with another stack's."""
    named = {
        each["Type"]
        for each in resources.values()
        if {"Name", "RoleName", "QueueName", "TableName", "LayerName", "LogGroupName", "UserPoolName"}
        & each.get("Properties", {}).keys()
    }

    assert named <= {
        "AWS::Cognito::UserPool",
        "AWS::Lambda::Alias",
        "AWS::Lambda::LayerVersion",
        "AWS::Logs::LogGroup",
        "AWS::Logs::QueryDefinition",
    }


def test_only_the_function_that_a_pool_names_has_versions_and_an_alias(resources: Resources) -> None:
    """AWS runs a new value of a parameter at once, unless callers go by a version."""
    for kind in ("AWS::Lambda::Version", "AWS::Lambda::Alias"):
        (made,) = of_type(resources, kind).values()
        assert made["Properties"]["FunctionName"] == {"Ref": "OnSignupFunction"}


def test_no_parameter_that_is_missing_in_the_layer_hash_reaches_the_function_with_the_alias() -> None:
    """SAM hashes the name of a parameter and not its value, so another value would publish no version."""
    function = translated({})["Resources"]["OnSignupFunction"]

    assert _parameters_in(function["Properties"]) == {"Architecture"}


def _parameters_in(node: Any) -> set[str]:
    if isinstance(node, list):
        return {name for each in node for name in _parameters_in(each)}
    if not isinstance(node, dict):
        return set()
    if node.keys() == {"Ref"}:
        return {node["Ref"]} & set(template()["Parameters"])
    return _parameters_in(list(node.values()))


@pytest.mark.parametrize(
    ("given", "reserved"), [({}, None), ({"MintConcurrency": "0"}, None), ({"MintConcurrency": "50"}, "50")]
)
def test_instances_are_reserved_for_the_function_that_mints_only_if_asked_for(
    given: dict[str, str], reserved: str | None
) -> None:
    functions = of_type(deployed(**given), "AWS::Lambda::Function")

    found = {name: each["Properties"].get("ReservedConcurrentExecutions") for name, each in functions.items()}
    assert found.pop("MintTokenFunction") == reserved
    assert set(found.values()) == {None}


def test_every_log_is_deleted_after_the_days_that_were_asked_for() -> None:
    resources = deployed(LogRetentionDays="7")
    groups = of_type(resources, "AWS::Logs::LogGroup")

    assert {each["Properties"]["RetentionInDays"] for each in groups.values()} == {"7"}
    logged = {
        each["Properties"]["LoggingConfig"]["LogGroup"]["Ref"]
        for each in of_type(resources, "AWS::Lambda::Function").values()
    }
    stage = _properties(resources, "HttpApiApiGatewayDefaultStage")
    assert {*logged, stage["AccessLogSettings"]["DestinationArn"]["Fn::GetAtt"][0]} == set(groups)


# ------------------------------------------------------------------------------------------------------------ queue


def test_a_message_stays_hidden_while_the_function_may_still_be_at_it(resources: Resources) -> None:
    """Six times the timeout: AWS, "Configuring a queue to use with Lambda"."""
    visibility = _properties(resources, "SyncQueue")["VisibilityTimeout"]

    assert visibility >= 6 * _properties(resources, "SyncUserFunction")["Timeout"]


def test_an_outage_of_a_day_makes_no_dead_letters(resources: Resources) -> None:
    """`tests/unit/sync/test_worker.py` counts fewer deliveries within a day."""
    assert _properties(resources, "SyncQueue")["RedrivePolicy"]["maxReceiveCount"] == 500


def test_a_message_reaches_the_dead_letter_queue_before_it_would_be_forgotten(resources: Resources) -> None:
    queue = _properties(resources, "SyncQueue")
    longest = queue["RedrivePolicy"]["maxReceiveCount"] * 900

    assert longest < queue["MessageRetentionPeriod"] < 14 * 86400
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["SyncDeadLetterQueue", "Arn"]}
    assert _properties(resources, "SyncDeadLetterQueue")["MessageRetentionPeriod"] == 14 * 86400


def test_a_failed_message_does_not_hold_up_its_neighbours(resources: Resources) -> None:
    source = _properties(resources, "SyncUserFunctionSync")

    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"] == {"MaximumConcurrency": 3}
    assert source["FunctionName"] == {"Ref": "SyncUserFunction"}


def test_messages_are_encrypted(resources: Resources) -> None:
    queues = of_type(resources, "AWS::SQS::Queue").values()

    assert all(each["Properties"]["SqsManagedSseEnabled"] is True for each in queues)


def test_what_eventbridge_cannot_deliver_is_kept() -> None:
    """Every rule retries, and then puts the event on the queue of undelivered events."""
    resources = deployed(WatchCloudTrail="true")
    rules = of_type(resources, "AWS::Events::Rule")
    targets = [target for rule in rules.values() for target in rule["Properties"]["Targets"]]

    assert rules.keys() == {
        "CheckReadinessFunctionScheduled",
        "ReconcileFunctionScheduled",
        "ReconcileFunctionTick",
        "UserChangeRule",
    }
    for target in targets:
        assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["EventDeadLetterQueue", "Arn"]}}
        # The bounds of EventBridge.
        assert 60 <= target["RetryPolicy"]["MaximumEventAgeInSeconds"] <= 86400
        assert 0 < target["RetryPolicy"]["MaximumRetryAttempts"] <= 185


# -------------------------------------------------------------------------------------------------------- reconcile


def _rule(resources: Resources, name: str) -> dict[str, Any]:
    (target,) = _properties(resources, name)["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": ["ReconcileFunction", "Arn"]}
    order: dict[str, Any] = json.loads(target["Input"])
    return order


def test_the_scheduled_run_writes_to_nobody() -> None:
    """A backfill makes Whop write to every address that it enrols."""
    resources = deployed(ReconcileSchedule="rate(6 hours)")
    rule = _properties(resources, "ReconcileFunctionScheduled")

    assert Command.of(_rule(resources, "ReconcileFunctionScheduled")) == Command("start", scheduled=True)
    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(6 hours)", "ENABLED")


def test_without_a_schedule_no_run_begins_by_itself() -> None:
    rule = _properties(deployed(ReconcileSchedule=""), "ReconcileFunctionScheduled")

    assert rule["State"] == "DISABLED"
    assert accepts("ReconcileSchedule", rule["ScheduleExpression"]), "EventBridge takes no rule without a schedule"


def test_a_run_on_demand_also_goes_on_when_none_are_scheduled() -> None:
    """By a schedule, not by a call of the function to itself, which Lambda would stop."""
    resources = deployed(ReconcileSchedule="")

    assert Command.of(_rule(resources, "ReconcileFunctionTick")) == Command("continue")
    assert _properties(resources, "ReconcileFunctionTick").get("State", "ENABLED") == "ENABLED"
    assert _properties(resources, "ReconcileFunctionTick")["ScheduleExpression"] == "rate(1 minute)"


# ------------------------------------------------------------------------------------------------- data and identity


def test_the_users_table_outlives_mistakes(resources: Resources) -> None:
    table = resources["UsersTable"]

    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert table["Properties"]["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["Properties"]["DeletionProtectionEnabled"] is True
    assert table["Properties"]["SSESpecification"] == {"SSEEnabled": True}


def test_the_users_table_is_one_key_and_a_time_to_live(resources: Resources) -> None:
    table = _properties(resources, "UsersTable")

    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert table["AttributeDefinitions"] == [{"AttributeName": "pk", "AttributeType": "S"}]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"


KEPT = {"UsersTableName": "kept", "UserPoolId": "us-east-1_AbCdEfGhI", "UserPoolClientIds": "web"}


def test_the_tags_of_the_table_say_whose_it_is(resources: Resources) -> None:
    """By them the next deployment finds a table that outlived its stack."""
    named = _properties(deployed(UserPoolId=KEPT["UserPoolId"], UserPoolClientIds="web"), "UsersTable")["Tags"]
    created = _properties(resources, "UsersTable")["Tags"]

    (stack_key, _), (pool_key, _) = users_table.tags("stack", "pool").items()

    for tags, pool in ((named, KEPT["UserPoolId"]), (created, {"Ref": "UserPool"})):
        assert tags == [
            {"Key": stack_key, "Value": {"Ref": "AWS::StackName"}},
            {"Key": pool_key, "Value": pool},
        ]


@pytest.mark.parametrize(("given", "table"), [({}, {"Ref": "UsersTable"}), (KEPT, "kept")])
def test_a_kept_table_is_used_and_none_created(given: dict[str, str], table: object) -> None:
    resources = deployed(**given)
    functions = of_type(resources, "AWS::Lambda::Function").values()
    variables = [each["Properties"]["Environment"]["Variables"] for each in functions]

    assert ("UsersTable" in resources) == (not given)
    assert [each["USERS_TABLE"] for each in variables if "USERS_TABLE" in each] == [table] * 4


def test_the_output_names_the_table_in_use() -> None:
    table = template()["Outputs"]["UsersTableName"]["Value"]

    assert table == {"Fn::If": ["CreateUsersTable", {"Ref": "UsersTable"}, {"Ref": "UsersTableName"}]}


@pytest.mark.parametrize("given", [{}, KEPT])
def test_everything_that_is_named_is_created(given: dict[str, str]) -> None:
    """CloudFormation refuses a reference to a resource whose condition is false."""
    resources = deployed(**given)
    pseudo = {"AWS::AccountId", "AWS::Partition", "AWS::Region", "AWS::StackName", "AWS::URLSuffix"}

    assert _named_in(resources) - pseudo <= resources.keys() | template()["Parameters"].keys()


def _named_in(node: Any) -> set[str]:
    """The logical ids and parameters that ``Ref`` and ``Fn::GetAtt`` name."""
    if isinstance(node, list):
        return {name for each in node for name in _named_in(each)}
    if not isinstance(node, dict):
        return set()
    match node:
        case {"Ref": str(name)}:
            return {name}
        case {"Fn::GetAtt": [str(name), *_]}:
            return {name}
    return _named_in(list(node.values()))


def test_the_pool_of_the_stack_outlives_it(resources: Resources) -> None:
    for name in ("UserPool", "UserPoolClient"):
        assert (resources[name]["DeletionPolicy"], resources[name]["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert _properties(resources, "UserPool")["DeletionProtection"] == "ACTIVE"


def test_people_sign_in_with_a_verified_address_in_any_case(resources: Resources) -> None:
    pool = _properties(resources, "UserPool")

    assert pool["UsernameAttributes"] == ["email"]
    assert pool["UsernameConfiguration"] == {"CaseSensitive": False}
    assert pool["AutoVerifiedAttributes"] == ["email"]
    assert pool["UserAttributeUpdateSettings"] == {"AttributesRequireVerificationBeforeUpdate": ["email"]}


def test_the_client_is_one_for_apps(resources: Resources) -> None:
    client = _properties(resources, "UserPoolClient")

    assert client["GenerateSecret"] is False
    assert set(client["ExplicitAuthFlows"]) == {"ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"}
    assert client["PreventUserExistenceErrors"] == "ENABLED"
    assert (client["AccessTokenValidity"], client["TokenValidityUnits"]["AccessToken"]) == (30, "minutes")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, ["PostConfirmation"]),
        ({"PoolTriggers": "none"}, []),
        ({"PoolTriggers": "sign-up-and-sign-in"}, ["PostConfirmation", "PostAuthentication"]),
    ],
)
def test_the_pool_sends_what_the_team_wants(given: dict[str, str], sent: list[str]) -> None:
    function = {"Ref": "OnSignupFunctionAliaslive"}

    assert _properties(deployed(**given), "UserPool")["LambdaConfig"] == dict.fromkeys(sent, function)


def test_changes_are_watched_only_if_the_team_says_so() -> None:
    assert "UserChangeRule" not in deployed()
    assert "UserChangeRule" in deployed(WatchCloudTrail="true")


def test_a_change_becomes_a_message_about_the_pool_s_user() -> None:
    given = {"WatchCloudTrail": "true", "UserPoolId": "us-east-1_AbCdEfGhI", "UserPoolClientIds": "web"}
    (target,) = _properties(deployed(**given), "UserChangeRule")["Targets"]
    template, names = target["InputTransformer"]["InputTemplate"]["Fn::Sub"]
    body = template.replace("${PoolId}", names["PoolId"]).replace("<sub>", '"0a1b2c3d-4e5f-6789-abcd-ef0123456789"')

    assert target["Arn"] == {"Fn::GetAtt": ["SyncQueue", "Arn"]}
    assert target["InputTransformer"]["InputPathsMap"] == {"sub": "$.detail.additionalEventData.sub"}
    sub = "0a1b2c3d-4e5f-6789-abcd-ef0123456789"
    user = UserRef(pool_id="us-east-1_AbCdEfGhI", sub=sub, username=sub)
    assert decode(body) == SyncMessage(user, Source.CHANGE)


def test_a_named_pool_is_used_and_none_created() -> None:
    resources = deployed(UserPoolId="us-east-1_AbCdEfGhI", UserPoolClientIds="web")

    assert not {"UserPool", "UserPoolClient"} & resources.keys()
    assert (
        _properties(resources, "MintTokenFunction")["Environment"]["Variables"]["USER_POOL_ID"] == "us-east-1_AbCdEfGhI"
    )


def test_the_outputs_are_what_an_app_and_an_operator_need() -> None:
    outputs = template()["Outputs"]

    assert outputs.keys() == {
        "ApiUrl",
        "ApiDomainTarget",
        "ApiDomainHostedZoneId",
        "UserPoolId",
        "UserPoolClientId",
        "WhopSecretArn",
        "UsersTableName",
        "SyncQueueUrl",
        "SyncDeadLetterQueueUrl",
        "EventDeadLetterQueueUrl",
        "MintTokenFunctionName",
        "OnSignupFunctionName",
        "OnSignupFunctionArn",
        "SyncUserFunctionName",
        "ReconcileFunctionName",
        "DataKeySecretArn",
        "OAuthClientSecretArn",
        "WhopOauthFunctionName",
        "CheckReadinessFunctionName",
        "AlarmTopicArn",
        "DashboardName",
        "AvatarQueueUrl",
        "AvatarDeadLetterQueueUrl",
        "SyncAvatarFunctionName",
    }
    assert all(each["Description"] for each in outputs.values())
