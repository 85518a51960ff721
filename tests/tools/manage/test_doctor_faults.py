"""doctor: a sound stack has nothing to complain of, and each planted fault is found, alone."""

import contextlib
import email.utils
import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from manage import checks, deployment
from manage.commands import doctor
from tests.fakes import moto_aws
from tests.fakes.moto_aws import AN_HOUR, aws_at_moto
from tests.fakes.source_tree import ROOT
from tests.tools.manage.deployment import ON_SIGNUP, DeployedStack
from whop_chat.runtime.sealed import KeyRing
from whop_chat.sync.backlog import Backlog

THEIRS = "arn:aws:lambda:eu-west-1:123456789012:function:theirs"


@pytest.fixture
def sound(run: DeployedStack) -> DeployedStack:
    """The stack, in whose pool the groups of the settings are."""
    for group in ("banned", "chat", "guests"):
        with contextlib.suppress(run.cloud.cognito.exceptions.GroupExistsException):
            run.cloud.cognito.create_group(UserPoolId=run.cloud.pool_id, GroupName=group)
    return run


@pytest.fixture
def data_keys(sound: DeployedStack) -> Iterator[str]:
    """The secret of the data keys."""
    client = moto_aws.client("secretsmanager")
    secret = client.create_secret(Name="data-keys-of-doctor", SecretString="k" * 43)["ARN"]
    sound.outputs["DataKeySecretArn"] = secret
    yield secret
    client.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)


def found(run: DeployedStack) -> list[tuple[str, str]]:
    """Severity and code of all findings that ask for something."""
    done = run("--json", "doctor")
    findings = done.json["findings"]
    assert all(each["to_do"] for each in findings if each["severity"] != "info")
    has_problem = any(each["severity"] == "problem" for each in findings)
    assert (done.status, done.json["outcome"]) == ((1, "problems") if has_problem else (0, "healthy"))
    return [(each["severity"], each["code"]) for each in findings if each["severity"] != "info"]


def answer(run: DeployedStack, operation: str, value: Any) -> None:
    run.answers[operation] = lambda _: value


def test_a_sound_stack_has_nothing_to_complain_of(sound: DeployedStack, data_keys: str) -> None:
    assert found(sound) == []


def _pool(**settings: Any) -> Callable[[DeployedStack], None]:
    def plant(run: DeployedStack) -> None:
        whole = {"AutoVerifiedAttributes": ["email"], "LambdaConfig": {"PostConfirmation": ON_SIGNUP}, **settings}
        run.cloud.cognito.update_user_pool(UserPoolId=run.cloud.pool_id, **whole)

    return plant


def _mfa_off(run: DeployedStack) -> None:
    run.cloud.cognito.set_user_pool_mfa_config(UserPoolId=run.cloud.pool_id, MfaConfiguration="OFF")


def _client(**settings: Any) -> Callable[[DeployedStack], None]:
    def plant(run: DeployedStack) -> None:
        whole = {"PreventUserExistenceErrors": "ENABLED", **settings}
        made = run.cloud.cognito.create_user_pool_client(UserPoolId=run.cloud.pool_id, ClientName="other", **whole)
        _clients(run, made["UserPoolClient"]["ClientId"])

    return plant


def _clients(run: DeployedStack, client_id: str) -> None:
    """Let stack and API name this client."""
    run.outputs["UserPoolClientId"] = client_id
    answer(
        run, "apigatewayv2.GetAuthorizers", {"Items": [{"JwtConfiguration": {**run.jwt(), "Audience": [client_id]}}]}
    )


def _authorizer(**jwt: Any) -> Callable[[DeployedStack], None]:
    return lambda run: answer(
        run, "apigatewayv2.GetAuthorizers", {"Items": [{"JwtConfiguration": {**run.jwt(), **jwt}}]}
    )


def _cors(run: DeployedStack) -> None:
    answer(run, "apigatewayv2.GetApi", {"CorsConfiguration": {"AllowOrigins": ["https://one.example.test"]}})


def _permission(**changes: Any) -> Callable[[DeployedStack], None]:
    return lambda run: answer(
        run, "lambda.GetPolicy", {"Policy": json.dumps({"Statement": [{**run.permission(), **changes}]})}
    )


def _other_environment(run: DeployedStack) -> None:
    run.cloud.environment["TOKEN_TTL_MINUTES"] = "90"


def _subscriptions(*arns: str) -> Callable[[DeployedStack], None]:
    subscriptions = [{"SubscriptionArn": arn, "Protocol": "email"} for arn in arns]
    return lambda run: answer(run, "sns.ListSubscriptionsByTopic", {"Subscriptions": subscriptions})


def _no_alarms_in_prod(run: DeployedStack) -> None:
    run.parameters["Stage"] = "prod"
    del run.outputs["AlarmTopicArn"]


def _any_origin_in_prod(run: DeployedStack) -> None:
    run.parameters |= {"Stage": "prod", "AllowedOrigins": "*"}
    answer(run, "apigatewayv2.GetApi", {"CorsConfiguration": {"AllowOrigins": ["*"]}})


def _old_message(run: DeployedStack) -> None:
    points = [{"Timestamp": datetime.now(UTC), "Maximum": 7200.0}]
    answer(run, "cloudwatch.GetMetricStatistics", {"Datapoints": points})


def _old_backlog(run: DeployedStack) -> None:
    Backlog(aws_at_moto(), "users", run.cloud.pool_id).report(time.time() - 7200, deadline=AN_HOUR)


def _event_sources(*states: str) -> Callable[[DeployedStack], None]:
    mappings = {"EventSourceMappings": [{"State": state} for state in states]}
    return lambda run: answer(run, "lambda.ListEventSourceMappings", mappings)


def _dead_letter(run: DeployedStack) -> None:
    run.cloud.sqs.send_message(QueueUrl=run.cloud.dead_letter_queue_url, MessageBody="x")


def _undelivered_event(run: DeployedStack) -> None:
    run.outputs["EventDeadLetterQueueUrl"] = run.cloud.dead_letter_queue_url
    del run.outputs["SyncDeadLetterQueueUrl"]
    _dead_letter(run)


def _no_key_set(run: DeployedStack) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404) if "jwks" in request.url.path else run.cloud.internet(request)

    run.answer_with(answer)


def _wrong_clock(run: DeployedStack) -> None:
    answer(
        run,
        "sts.GetCallerIdentity",
        {
            **run.answers["sts.GetCallerIdentity"](None),
            "ResponseMetadata": {
                "HTTPStatusCode": 200,
                "HTTPHeaders": {"date": email.utils.formatdate(time.time() - 90, usegmt=True)},
            },
        },
    )


FAULTS: list[tuple[str, str, Callable[[DeployedStack], None]]] = [
    ("warning", "email_not_verified", _pool(AutoVerifiedAttributes=[])),
    ("warning", "trigger_missing", _pool(LambdaConfig={})),
    ("problem", "trigger_not_permitted", _pool(LambdaConfig={"PostConfirmation": ON_SIGNUP.removesuffix(":live")})),
    ("problem", "trigger_not_permitted", _permission(Resource=THEIRS)),
    ("problem", "trigger_not_permitted", _permission(Effect="Deny")),
    ("problem", "trigger_not_permitted", _permission(Condition={"ArnLike": {"AWS:SourceArn": "arn:aws:x:other"}})),
    ("warning", "mfa_off", _mfa_off),
    ("warning", "users_can_be_guessed", _client(PreventUserExistenceErrors="LEGACY")),
    ("warning", "trusted_attribute_writable", _client(WriteAttributes=["name", "email_verified"])),
    ("problem", "app_client_missing", lambda run: _clients(run, "gone")),
    ("problem", "other_authorizer_issuer", _authorizer(Issuer="https://cognito-idp.eu-west-1.amazonaws.com/other")),
    ("problem", "other_authorizer_clients", _authorizer(Audience=["another"])),
    ("problem", "other_origins", _cors),
    ("problem", "any_origin", _any_origin_in_prod),
    ("problem", "other_environment", _other_environment),
    ("problem", "key_set_unreadable", _no_key_set),
    ("problem", "queue_late", _old_message),
    ("problem", "queue_late", _old_backlog),
    ("problem", "queue_not_read", _event_sources("Disabled")),
    ("problem", "queue_not_read", _event_sources()),
    ("warning", "dead_letters", _dead_letter),
    ("warning", "dead_letters", _undelivered_event),
    ("problem", "alarms_unheard", _subscriptions("PendingConfirmation")),
    ("problem", "alarms_unheard", _subscriptions()),
    ("problem", "alarms_unheard", _subscriptions("Deleted")),
    ("warning", "no_alarms", _no_alarms_in_prod),
    ("warning", "clock_wrong", _wrong_clock),
]


@pytest.mark.parametrize(("severity", "code", "plant"), FAULTS, ids=[code for _, code, _ in FAULTS])
def test_a_planted_fault_is_found_alone(
    sound: DeployedStack, severity: str, code: str, plant: Callable[[DeployedStack], None]
) -> None:
    plant(sound)
    assert found(sound) == [(severity, code)]


def test_data_keys_that_cannot_be_used_are_found_alone(sound: DeployedStack, data_keys: str) -> None:
    moto_aws.client("secretsmanager").put_secret_value(SecretId=data_keys, SecretString="short")
    assert found(sound) == [("problem", "data_keys_unusable")]


def test_an_unfinished_rotation_is_told(sound: DeployedStack, data_keys: str) -> None:
    ring = KeyRing.from_secret("k" * 43).with_new_key().to_secret()
    moto_aws.client("secretsmanager").put_secret_value(SecretId=data_keys, SecretString=ring)
    assert found(sound) == []
    assert "data_key_rotation_unfinished" in sound("--json", "doctor").out


def test_a_function_of_the_team_is_no_fault(sound: DeployedStack) -> None:
    _pool(LambdaConfig={"PostConfirmation": THEIRS})(sound)
    assert found(sound) == []
    assert "trigger_of_another" in sound("--json", "doctor").out


def test_a_stack_without_triggers_misses_none(sound: DeployedStack) -> None:
    sound.parameters["PoolTriggers"] = "none"
    _pool(LambdaConfig={})(sound)
    assert found(sound) == []


def test_sign_ins_need_a_trigger_of_their_own(sound: DeployedStack) -> None:
    sound.parameters["PoolTriggers"] = "sign-up-and-sign-in"
    assert found(sound) == [("warning", "trigger_missing")]


def test_a_value_of_the_environment_is_not_shown(sound: DeployedStack) -> None:
    sound.cloud.environment["TOKEN_TTL_MINUTES"] = "120"
    out = sound("doctor").out
    assert "TOKEN_TTL_MINUTES" in out
    assert "120" not in out


def test_no_key_set_is_taken_from_another_host(sound: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"AWS_ENDPOINT_URL": "https://cognito.example.test"}
    monkeypatch.setattr(deployment, "os", SimpleNamespace(environ=environ))
    findings = sound("--json", "doctor").json["findings"]
    assert "The check key_set was not made" in "".join(each["meaning"] for each in findings)


def test_a_template_that_is_told_as_yaml_is_not_compared(sound: DeployedStack) -> None:
    answer(sound, "cloudformation.GetTemplate", {"TemplateBody": "Resources: {}"})
    assert found(sound) == [("problem", "not_checked")]


def test_every_check_is_made_and_every_finding_documented() -> None:
    modules = {path.stem for path in Path(checks.__file__).parent.glob("*.py")} - {"__init__", "finding"}
    assert {check.__module__.rpartition(".")[2] for check in doctor.CHECKS} == modules
    sources = "".join(path.read_text() for path in Path(checks.__file__).parent.glob("*.py"))
    document = (ROOT / "docs" / "operations.md").read_text()
    rows = document.partition("## What `doctor` finds")[2].partition("\n## ")[0]
    codes = set(re.findall(r'Severity\.\w+(?: if \w+ else Severity\.\w+)?,\s+"(\w+)"', sources))
    assert len(codes) > 30
    assert {code for code in codes if f"`{code}`" not in rows} == set()
