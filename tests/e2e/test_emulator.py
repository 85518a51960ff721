"""The emulator does what AWS does where the stack depends on it, and MiniStack alone does not."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import httpx
import pytest
from botocore.exceptions import ClientError, WaiterError

from local.demo.chat_app import ChatApp, User
from local.processes import wait_until
from local.stack import Deployment, LocalStack
from tests.e2e.harness import ORIGINS

_TEMPLATE = Path(__file__).with_name("emulated.yaml")


def _create(cloud: LocalStack, name: str, parameters: Mapping[str, str]) -> Deployment:
    cloud.cloudformation.create_stack(
        StackName=name,
        TemplateBody=_TEMPLATE.read_text(),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    cloud.cloudformation.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    return cloud.describe(name)


@pytest.fixture(scope="module")
def small(cloud: LocalStack) -> Deployment:
    return _create(cloud, "emulated", {"Origins": ",".join(ORIGINS)})


@pytest.fixture(scope="module")
def app(cloud: LocalStack, small: Deployment) -> ChatApp:
    return ChatApp(cloud, small)


@pytest.fixture(scope="module")
def user(app: ChatApp) -> User:
    return app.sign_up()


@pytest.fixture(scope="module")
def token(app: ChatApp, user: User) -> str:
    return app.sign_in(user).access


def _ask(cloud: LocalStack, small: Deployment, path: str = "/", body: str = "", **headers: str) -> httpx.Response:
    return cloud.http.post(f"{small.api_url}{path}", content=body, headers={"content-type": "text/plain", **headers})


def _noted(cloud: LocalStack, small: Deployment) -> set[str]:
    return {item["pk"]["S"] for item in cloud.dynamodb.scan(TableName=small["TableName"])["Items"]}


@contextmanager
def _refused(code: str) -> Iterator[None]:
    with pytest.raises(ClientError) as refusal:
        yield
    assert refusal.value.response["Error"]["Code"] == code


def test_an_api_and_its_authorizer_reach_the_function_by_its_alias(
    cloud: LocalStack, small: Deployment, token: str
) -> None:
    answer = _ask(cloud, small, Authorization=f"Bearer {token}")
    assert (answer.status_code, answer.text) == (200, "1")


def test_a_sign_up_reaches_the_trigger_and_its_queue_by_their_aliases(
    cloud: LocalStack, small: Deployment, user: User
) -> None:
    assert wait_until(lambda: "PostConfirmation_ConfirmSignUp" in _noted(cloud, small), 20)


def test_a_forgotten_password_reaches_the_trigger_with_its_own_source(
    cloud: LocalStack, small: Deployment, app: ChatApp
) -> None:
    user = app.sign_up()
    cloud.cognito.forgot_password(ClientId=app.client_id, Username=user.email)
    cloud.cognito.confirm_forgot_password(
        ClientId=app.client_id,
        Username=user.email,
        ConfirmationCode=cloud.confirmation_code(user.email),
        Password=user.password,
    )
    assert wait_until(lambda: "PostConfirmation_ConfirmForgotPassword" in _noted(cloud, small), 20)


def test_the_code_of_the_mail_and_no_other_confirms(cloud: LocalStack, app: ChatApp) -> None:
    user = app.sign_up(confirm=False)
    wrong = "1" * 6 if cloud.confirmation_code(user.email) != "1" * 6 else "2" * 6
    with _refused("CodeMismatchException"):
        cloud.cognito.confirm_sign_up(ClientId=app.client_id, Username=user.email, ConfirmationCode=wrong)
    app.confirm(user)
    found = cloud.cognito.admin_get_user(UserPoolId=app.pool_id, Username=user.email)["UserAttributes"]
    assert {"Name": "email_verified", "Value": "true"} in found


def test_a_confirmed_user_cannot_be_confirmed_again(cloud: LocalStack, app: ChatApp, user: User) -> None:
    with _refused("NotAuthorizedException"):
        cloud.cognito.admin_confirm_sign_up(UserPoolId=app.pool_id, Username=user.email)


def test_a_wrong_password_does_not_sign_in(app: ChatApp, user: User) -> None:
    with _refused("NotAuthorizedException"):
        app.sign_in(User(user.email, user.sub, "not the password"))


def test_a_user_made_by_an_administrator_signs_in_and_can_be_deleted(cloud: LocalStack, app: ChatApp) -> None:
    user = app.create_by_admin()
    app.sign_in(user)
    cloud.cognito.admin_delete_user(UserPoolId=app.pool_id, Username=user.email)
    with _refused("UserNotFoundException"):
        cloud.cognito.admin_get_user(UserPoolId=app.pool_id, Username=user.email)


def test_a_shell_and_a_dotenv_file_leave_the_url_of_an_api_alone(small: Deployment) -> None:
    assert "$" not in small.api_url


def test_a_request_without_a_token_is_challenged(cloud: LocalStack, small: Deployment) -> None:
    answer = _ask(cloud, small)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("origin", ORIGINS)
def test_every_origin_of_a_list_parameter_passes_the_preflight(
    cloud: LocalStack, small: Deployment, origin: str
) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    answer = cloud.http.options(f"{small.api_url}/", headers=headers)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, origin)


def test_another_origin_does_not(cloud: LocalStack, small: Deployment) -> None:
    headers = {"Origin": "https://evil.example.test", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in cloud.http.options(f"{small.api_url}/", headers=headers).headers


def test_cors_headers_of_a_function_are_replaced(cloud: LocalStack, small: Deployment) -> None:
    answer = _ask(cloud, small, "/open", Origin=ORIGINS[0])
    assert answer.headers.get_list("access-control-allow-origin") == [ORIGINS[0]]
    assert answer.headers["x-mine"] == "kept"


@pytest.mark.parametrize("body", ["fail", "forbidden", "secret"])
def test_a_function_that_fails_is_a_500_that_says_nothing(cloud: LocalStack, small: Deployment, body: str) -> None:
    """It raises, its role does not allow the call, or the secret has no value yet."""
    answer = _ask(cloud, small, "/open", body)
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal Server Error"})


def test_a_role_reads_the_items_whose_keys_it_may_and_no_others(cloud: LocalStack, small: Deployment) -> None:
    assert _ask(cloud, small, "/open", "item MINE#1").status_code == 200
    assert _ask(cloud, small, "/open", "item YOURS#1").status_code == 500


def test_a_queue_that_refuses_plain_http_takes_it_from_nobody(cloud: LocalStack, small: Deployment) -> None:
    assert _ask(cloud, small, "/open", "https").status_code == 200
    assert _ask(cloud, small, "/open", "http").status_code == 500


def test_an_error_that_a_function_answers_is_its_own(cloud: LocalStack, small: Deployment) -> None:
    answer = _ask(cloud, small, "/open", "unavailable")
    assert (answer.status_code, answer.text) == (502, "mine")


def test_every_line_of_a_function_is_in_the_log(cloud: LocalStack, small: Deployment) -> None:
    _ask(cloud, small, "/open", "a line to find")
    assert wait_until(lambda: any(line.endswith("asked for a line to find") for line in cloud.function_log()), 5)


def test_a_trigger_that_does_not_admit_cognito_fails_the_call(cloud: LocalStack) -> None:
    deployment = _create(cloud, "without-permission", {"Origins": ORIGINS[0], "Permission": "absent"})
    with _refused("UnexpectedLambdaException"):
        ChatApp(cloud, deployment).sign_up()


def test_a_queue_that_hides_messages_for_less_than_the_function_runs_is_refused(cloud: LocalStack) -> None:
    with pytest.raises(WaiterError):
        _create(cloud, "too-short", {"Origins": ORIGINS[0], "Visibility": "3"})


def test_rules_are_checked_before_anything_is_made(cloud: LocalStack) -> None:
    with pytest.raises(ClientError, match="Environment must be test or other"):
        _create(cloud, "no-such-environment", {"Origins": ORIGINS[0], "Environment": "third"})


def test_a_change_set_has_no_resource_whose_condition_does_not_hold(cloud: LocalStack) -> None:
    queue = {"Type": "AWS::SQS::Queue"}
    template = {
        "Parameters": {"Both": {"Type": "String"}},
        "Conditions": {"WantsBoth": {"Fn::Equals": [{"Ref": "Both"}, "yes"]}},
        "Resources": {"First": queue, "Second": queue | {"Condition": "WantsBoth"}},
    }

    def changes(kind: Literal["CREATE", "UPDATE"], both: str) -> dict[str, str]:
        name = f"both-{both}"
        cloud.cloudformation.create_change_set(
            StackName="conditional",
            ChangeSetName=name,
            ChangeSetType=kind,
            TemplateBody=json.dumps(template),
            Parameters=[{"ParameterKey": "Both", "ParameterValue": both}],
        )
        found = cloud.cloudformation.describe_change_set(StackName="conditional", ChangeSetName=name)["Changes"]
        cloud.cloudformation.execute_change_set(StackName="conditional", ChangeSetName=name)
        waiter = cloud.cloudformation.get_waiter(
            "stack_create_complete" if kind == "CREATE" else "stack_update_complete"
        )
        waiter.wait(StackName="conditional", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        return {each["ResourceChange"]["LogicalResourceId"]: each["ResourceChange"]["Action"] for each in found}

    assert changes("CREATE", "no") == {"First": "Add"}
    assert changes("UPDATE", "yes") == {"Second": "Add"}
    assert changes("UPDATE", "never") == {"Second": "Remove"}


def test_an_update_of_a_pool_resets_what_it_does_not_name(cloud: LocalStack) -> None:
    pool_id = cloud.cognito.create_user_pool(
        PoolName="reset", AutoVerifiedAttributes=["email"], UserPoolTags={"team": "chat"}
    )["UserPool"]["Id"]
    cloud.cognito.update_user_pool(UserPoolId=pool_id, UserPoolTags={"team": "chat"})
    pool = cloud.cognito.describe_user_pool(UserPoolId=pool_id)["UserPool"]
    assert (pool.get("AutoVerifiedAttributes"), pool["UserPoolTags"]) == ([], {"team": "chat"})


def test_a_table_has_the_settings_of_its_template(cloud: LocalStack, small: Deployment) -> None:
    name = small["TableName"]

    ttl = cloud.dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    backups = cloud.dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert ttl == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ttl"}
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def test_a_stack_of_the_same_name_gets_another_table(cloud: LocalStack) -> None:
    names = []
    for _ in range(2):
        names.append(_create(cloud, "short-lived", {"Origins": ORIGINS[0]})["TableName"])
        cloud.cloudformation.delete_stack(StackName="short-lived")
        cloud.cloudformation.get_waiter("stack_delete_complete").wait(
            StackName="short-lived", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )

    assert len(set(names)) == 2


def test_a_pool_with_tags_of_cloudformation_can_be_updated(cloud: LocalStack, small: Deployment) -> None:
    template = _TEMPLATE.read_text().replace("AutoVerifiedAttributes: [email]", "AutoVerifiedAttributes: []")
    tags = cloud.cognito.describe_user_pool(UserPoolId=small["UserPoolId"])["UserPool"]["UserPoolTags"]
    cloud.cloudformation.update_stack(
        StackName=small.name,
        TemplateBody=template,
        Parameters=[{"ParameterKey": "Origins", "UsePreviousValue": True}],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    cloud.cloudformation.get_waiter("stack_update_complete").wait(
        StackName=small.name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )

    pool = cloud.cognito.describe_user_pool(UserPoolId=small["UserPoolId"])["UserPool"]
    assert (pool.get("AutoVerifiedAttributes", []), pool["UserPoolTags"]) == ([], tags)
    assert "aws:cloudformation:stack-name" in tags


_EVIL = "https://evil.example.test"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/_ministack/reset", {"origin": _EVIL}),
        ("/_ministack/reset", {"host": "evil.example.test"}),
        ("/_local/switches", {"origin": _EVIL}),
        ("/2015-03-31/functions", {"origin": _EVIL}),
        ("/2015-03-31/functions", {"origin": "http://evil.example.test", "host": "evil.example.test"}),
        ("/", {"origin": _EVIL, "x-amz-target": "DynamoDB_20120810.ListTables"}),
        (
            "/",
            {
                "origin": _EVIL,
                "x-amz-target": "AWSCognitoIdentityProviderService.ListUserPools",
                "authorization": "AWS4-HMAC-SHA256 Credential=test/20261129/us-east-1/cognito-idp/aws4_request",
            },
        ),
    ],
)
def test_a_web_page_cannot_use_what_needs_keys_at_aws(cloud: LocalStack, path: str, headers: dict[str, str]) -> None:
    assert cloud.http.post(f"{cloud.emulator_url}{path}", json={}, headers=headers).status_code == 403


def test_a_web_page_can_use_a_user_pool(cloud: LocalStack, app: ChatApp) -> None:
    target = {"x-amz-target": "AWSCognitoIdentityProviderService.InitiateAuth", "origin": ORIGINS[0]}
    body = {"AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": app.client_id, "AuthParameters": {"REFRESH_TOKEN": "none"}}

    answer = cloud.http.post(cloud.emulator_url, json=body, headers=target)

    assert answer.json()["__type"] == "NotAuthorizedException"


def test_the_gateway_s_401_is_readable_only_with_the_switch(cloud: LocalStack, small: Deployment) -> None:
    def allowed() -> list[str]:
        answer = _ask(cloud, small, authorization="Bearer none", origin=ORIGINS[0])
        assert answer.status_code == 401
        return answer.headers.get_list("access-control-allow-origin")

    cloud.switch(readable_401=True)
    readable = allowed()
    cloud.switch(readable_401=False)

    assert (readable, allowed()) == ([ORIGINS[0]], [])
