"""doctor, run as an operator runs it: a sound stack, and the same stack with one fault at a time.

tests/tools/manage/test_doctor_faults.py has the faults that cannot be planted here: those of stage prod, of a clock,
and of what an account or a pool no longer has.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local.sam import FAKE_KEYS, REGION
from local.stack import Deployment, LocalStack
from local.whop_simulator import Fault as SimulatorFault
from local.whop_simulator.state import DEFAULT_PERMISSIONS
from manage.pool_settings import UserPool
from tests.e2e.confidential import Confidential
from tests.e2e.harness import SyncLane, configuration, deploy_with, manage
from whop_chat.runtime.sealed import KeyRing

# Of every stack, because they are choices.
_TOLD = ("list", "mint_concurrency_unbounded")


@dataclass(frozen=True)
class Examined:
    """A stack for this module alone, because its faults would disturb others."""

    cloud: LocalStack
    deployment: Deployment

    def client(self, service: str) -> Any:
        """AWS, with root's permissions."""
        session = boto3.Session(
            aws_access_key_id=FAKE_KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=FAKE_KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )
        return session.client(service, endpoint_url=self.cloud.emulator_url, config=Config(proxies={}))  # type: ignore[call-overload]

    def found(self) -> list[str]:
        """The codes of what ``doctor`` finds, without what it tells of each stack. They agree with the exit status."""
        done = manage(self.cloud, self.deployment.name, "doctor")
        findings = json.loads(done.stdout)["findings"]
        has_problem = any(each["severity"] == "problem" for each in findings)
        assert done.returncode == int(has_problem), done.stderr
        return [each["code"] for each in findings if each["code"] not in _TOLD]

    @property
    def api_id(self) -> str:
        """The id of the API."""
        found = self.cloud.cloudformation.describe_stack_resource(
            StackName=self.deployment.name, LogicalResourceId="HttpApi"
        )
        return found["StackResourceDetail"]["PhysicalResourceId"]


@pytest.fixture(scope="module")
def examined(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> Examined:
    """A stack with alarms and data keys, whose groups exist, protected as `make deploy` and `attach` protect it."""
    parameters = {"DeniedGroups": "banned", "GroupFeatures": "", "AlarmEmail": "ops@example.test"}
    app = deploy_with(cloud, stack, confidential, "examined", TokenReuse="on-error", **parameters)
    cloud.cognito.create_group(UserPoolId=app.pool_id, GroupName="banned")
    cloud.cloudformation.update_termination_protection(StackName="examined", EnableTerminationProtection=True)
    return Examined(cloud, app.deployment)


def test_a_sound_stack_has_nothing_to_complain_of(examined: Examined) -> None:
    assert examined.found() == []


type Fault = Callable[[Examined], Iterator[None]]
"""Plants a fault up to its ``yield``, and undoes it after that."""


def _secret(output: str, make: Callable[[Examined], str]) -> Fault:
    def planted(examined: Examined) -> Iterator[None]:
        client, secret = examined.client("secretsmanager"), examined.deployment[output]
        before = client.get_secret_value(SecretId=secret)["SecretString"]
        client.put_secret_value(SecretId=secret, SecretString=make(examined))
        yield
        client.put_secret_value(SecretId=secret, SecretString=before)

    return planted


def _key(**properties: Any) -> Callable[[Examined], str]:
    def make(examined: Examined) -> str:
        key = f"apik_{secrets.token_urlsafe(24)}"
        examined.cloud.whop.add_key(key, **properties)
        return key

    return make


def _whop(fault: SimulatorFault) -> Fault:
    def planted(examined: Examined) -> Iterator[None]:
        examined.cloud.whop.add_fault(fault)
        yield
        examined.cloud.whop.clear_faults()

    return planted


def _ring_of_two(examined: Examined) -> str:
    client, secret = examined.client("secretsmanager"), examined.deployment["DataKeySecretArn"]
    before = client.get_secret_value(SecretId=secret)["SecretString"]
    return KeyRing.from_secret(before).with_new_key().to_secret()


def _environment(examined: Examined) -> Iterator[None]:
    client, function = examined.client("lambda"), examined.deployment["MintTokenFunctionName"]
    before = configuration(examined.cloud, function)["Environment"]["Variables"]
    changed = {**before, "TOKEN_TTL_MINUTES": "179"}
    client.update_function_configuration(FunctionName=function, Environment={"Variables": changed})
    yield
    client.update_function_configuration(FunctionName=function, Environment={"Variables": before})


def _authorizer(**changes: Any) -> Fault:
    def planted(examined: Examined) -> Iterator[None]:
        client = examined.client("apigatewayv2")
        (before,) = client.get_authorizers(ApiId=examined.api_id)["Items"]
        name = {"ApiId": examined.api_id, "AuthorizerId": before["AuthorizerId"]}
        jwt = before["JwtConfiguration"]
        client.update_authorizer(**name, JwtConfiguration={**jwt, **changes})
        yield
        client.update_authorizer(**name, JwtConfiguration=jwt)

    return planted


def _origins(examined: Examined) -> Iterator[None]:
    client = examined.client("apigatewayv2")
    before = client.get_api(ApiId=examined.api_id)["CorsConfiguration"]
    other = {**before, "AllowOrigins": ["https://other.example.test"]}
    client.update_api(ApiId=examined.api_id, CorsConfiguration=other)
    yield
    client.update_api(ApiId=examined.api_id, CorsConfiguration=before)


def _no_mfa(examined: Examined) -> Iterator[None]:
    client, pool_id = examined.cloud.cognito, examined.deployment["UserPoolId"]
    client.set_user_pool_mfa_config(UserPoolId=pool_id, MfaConfiguration="OFF")
    yield
    client.set_user_pool_mfa_config(
        UserPoolId=pool_id, MfaConfiguration="OPTIONAL", SoftwareTokenMfaConfiguration={"Enabled": True}
    )


def _pool(**changes: Any) -> Fault:
    def planted(examined: Examined) -> Iterator[None]:
        pool = UserPool(examined.cloud.cognito, examined.deployment["UserPoolId"])
        before = pool.read().settings
        pool.write({**before, **changes})
        yield
        pool.write(before)

    return planted


def _app_client(**changes: Any) -> Fault:
    sound: Any = {"PreventUserExistenceErrors": "ENABLED", "WriteAttributes": []}

    def planted(examined: Examined) -> Iterator[None]:
        client, outputs = examined.cloud.cognito, examined.deployment.outputs
        name: Any = {"UserPoolId": outputs["UserPoolId"], "ClientId": outputs["UserPoolClientId"]}
        client.update_user_pool_client(**name, **{**sound, **changes})
        yield
        client.update_user_pool_client(**name, **sound)

    return planted


def _no_group(examined: Examined) -> Iterator[None]:
    name: Any = {"UserPoolId": examined.deployment["UserPoolId"], "GroupName": "banned"}
    examined.cloud.cognito.delete_group(**name)
    yield
    examined.cloud.cognito.create_group(**name)


def _no_permission(examined: Examined) -> Iterator[None]:
    client, function = examined.client("lambda"), examined.deployment["OnSignupFunctionName"]
    policy = json.loads(client.get_policy(FunctionName=function, Qualifier="live")["Policy"])
    (statement,) = policy["Statement"]
    client.remove_permission(FunctionName=function, Qualifier="live", StatementId=statement["Sid"])
    yield
    client.add_permission(
        FunctionName=function,
        Qualifier="live",
        StatementId=statement["Sid"],
        Action=statement["Action"],
        Principal=statement["Principal"]["Service"],
        SourceArn=statement["Condition"]["ArnLike"]["AWS:SourceArn"],
    )


def _unprotected(examined: Examined) -> Iterator[None]:
    change = examined.cloud.cloudformation.update_termination_protection
    change(StackName="examined", EnableTerminationProtection=False)
    yield
    change(StackName="examined", EnableTerminationProtection=True)


def _unsafe_table(examined: Examined) -> Iterator[None]:
    client, table = examined.cloud.dynamodb, examined.deployment["UsersTableName"]
    client.update_table(TableName=table, DeletionProtectionEnabled=False)
    yield
    client.update_table(TableName=table, DeletionProtectionEnabled=True)


def _late_queue(examined: Examined) -> Iterator[None]:
    table, now = examined.deployment["UsersTableName"], int(time.time())
    key: Any = {"pk": {"S": f"BACKLOG#{examined.deployment['UserPoolId']}"}}
    times: Any = {"sent_at": {"N": str(now - 7200)}, "reported_at": {"N": str(now)}}
    examined.cloud.dynamodb.put_item(TableName=table, Item={**key, **times})
    yield
    examined.cloud.dynamodb.delete_item(TableName=table, Key=key)


def _dead_letter(examined: Examined) -> Iterator[None]:
    queue = examined.deployment["SyncDeadLetterQueueUrl"]
    examined.cloud.sqs.send_message(QueueUrl=queue, MessageBody="nobody can read this")
    yield
    examined.cloud.sqs.purge_queue(QueueUrl=queue)


def _switched_off(examined: Examined) -> Iterator[None]:
    lane = SyncLane(examined.cloud, examined.deployment)
    with lane.paused():
        yield


def _unsubscribed(examined: Examined) -> Iterator[None]:
    client, topic = examined.client("sns"), examined.deployment["AlarmTopicArn"]
    (before,) = client.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    client.unsubscribe(SubscriptionArn=before["SubscriptionArn"])
    yield
    client.subscribe(TopicArn=topic, Protocol=before["Protocol"], Endpoint=before["Endpoint"])


_ANOTHER_FUNCTION = f"arn:aws:lambda:{REGION}:000000000000:function:another"

FAULTS: dict[str, Fault] = {
    "api_key_unusable": _secret("WhopSecretArn", lambda _: "{}"),
    "api_key_refused": _secret("WhopSecretArn", lambda _: f"apik_{secrets.token_urlsafe(24)}"),
    "permission_missing": _secret("WhopSecretArn", _key(permissions=DEFAULT_PERMISSIONS - {"dms:read"})),
    "other_company": _secret("WhopSecretArn", _key(company_id="biz_Other")),
    "api_version_refused": _whop(SimulatorFault("accounts.list", "status", status=400, count=None)),
    "permissions_unknown": _whop(SimulatorFault("permissions.list", "status", status=404, count=None)),
    "data_keys_unusable": _secret("DataKeySecretArn", lambda _: "short"),
    "data_key_rotation_unfinished": _secret("DataKeySecretArn", _ring_of_two),
    "other_environment": _environment,
    "other_authorizer_issuer": _authorizer(Issuer="https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Another"),
    "other_authorizer_clients": _authorizer(Audience=["another"]),
    "other_origins": _origins,
    "mfa_off": _no_mfa,
    "email_not_verified": _pool(AutoVerifiedAttributes=[]),
    "other_issuer": _pool(IssuerConfiguration={"Type": "UPDATED"}),
    "trigger_missing": _pool(LambdaConfig={}),
    "trigger_of_another": _pool(LambdaConfig={"PostConfirmation": _ANOTHER_FUNCTION}),
    "users_can_be_guessed": _app_client(PreventUserExistenceErrors="LEGACY"),
    "trusted_attribute_writable": _app_client(WriteAttributes=["email_verified"]),
    "queue_late": _late_queue,
    "queue_not_read": _switched_off,
    "group_missing": _no_group,
    "trigger_not_permitted": _no_permission,
    "not_protected": _unprotected,
    "users_table_unsafe": _unsafe_table,
    "dead_letters": _dead_letter,
    "alarms_unheard": _unsubscribed,
}


@pytest.mark.parametrize("code", FAULTS)
def test_a_planted_fault_is_found_alone_until_it_is_undone(examined: Examined, code: str) -> None:
    fault = FAULTS[code](examined)
    next(fault)
    try:
        assert examined.found() == [code]
    finally:
        next(fault, None)


def test_after_all_of_them_the_stack_is_sound(examined: Examined) -> None:
    assert examined.found() == []
