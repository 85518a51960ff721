"""The mint_token function, composed as it is deployed."""

import dataclasses
import json
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.fakes import moto_aws, tokens
from tests.fakes.cloud import Cloud, cloud_at_moto
from tests.fakes.functions import Context, event, load_function
from tests.fakes.moto_aws import AN_HOUR, aws_at_moto
from tests.fakes.settings import COMPANY_ID
from tests.unit.test_settings import OAUTH_ENV
from whop_chat.cognito.pool import PoolUser, UserPool
from whop_chat.cognito.user import UserRef
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.version import VERSION
from whop_chat.settings import SettingsError
from whop_chat.sync.queue import Source, SyncMessage, decode
from whop_chat.users.repository import DynamoDBUserRepository
from whop_chat.whop.circuit_state import CircuitState, DynamoDBCircuitStore, Reason


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with cloud_at_moto("mint_token") as cloud:
        yield cloud


@pytest.fixture(scope="module")
def function(cloud: Cloud) -> ModuleType:
    return load_function("mint_token")


def ask(function: ModuleType, name: str, token: str | None = None) -> tuple[int, dict[str, Any]]:
    """The answer of the function to the event ``name``, with ``token`` in it."""
    request = event(name)
    if token is not None:
        request["headers"]["authorization"] = f"Bearer {token}"
    response = function.handler(request, Context())
    return response["statusCode"], json.loads(response["body"])


def token_of(user: UserRef, **changes: object) -> str:
    issuer = f"https://cognito-idp.eu-west-1.amazonaws.com/{user.pool_id}"
    mine = {"iss": issuer, "sub": user.sub, "username": user.username}
    return tokens.sign(tokens.access_claims({**mine, **changes}, now=int(time.time())))


def test_a_signed_in_user_gets_a_token_at_the_first_request_and_at_the_next(cloud: Cloud, function: ModuleType) -> None:
    ada = cloud.sign_up("ada")
    cloud.internet.requests.clear()

    first = ask(function, "mint_token", token_of(ada))
    second = ask(function, "mint_token_narrowed", token_of(ada))

    assert (first[0], first[1]["token"]) == (200, "whop-token-of-user_ada")
    assert first[1]["scopes"] == [
        "chat:message:create",
        "chat:read",
        "dms:channel:manage",
        "dms:message:manage",
        "dms:read",
    ]
    assert (second[0], second[1]["scopes"]) == (200, ["chat:message:create", "chat:read"])
    assert len(cloud.internet.bodies("/accounts")) == 1
    assert [body["account_id"] for body in cloud.internet.bodies("/access_tokens")] == [COMPANY_ID] * 2
    assert [decode(body) for body in cloud.messages(cloud.queue_url)] == [SyncMessage(ada, Source.FIRST_TOKEN)]


def test_a_refused_user_costs_cognito_one_call(
    cloud: Cloud, function: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    mallory = cloud.sign_up("mallory")
    cloud.cognito.admin_disable_user(UserPoolId=cloud.pool_id, Username=mallory.username)
    calls: list[UserRef] = []
    real = UserPool.admin_get

    def counted(self: UserPool, user: UserRef, *, deadline: Deadline) -> PoolUser:
        calls.append(user)
        return real(self, user, deadline=deadline)

    monkeypatch.setattr(UserPool, "admin_get", counted)
    answers = [ask(function, "mint_token", token_of(mallory)) for _ in range(20)]

    assert {(status, body["code"]) for status, body in answers} == {(403, "user_disabled")}
    assert calls == [mallory]


def test_keys_and_api_key_are_there_before_the_first_request(cloud: Cloud) -> None:
    cloud.internet.requests.clear()
    fresh = load_function("mint_token")
    asked = [request.url.path for request in cloud.internet.requests]
    cloud.internet.requests.clear()
    ask(fresh, "mint_token", token_of(cloud.sign_up("early")))

    assert asked == [f"/{cloud.pool_id}/.well-known/jwks.json"]
    assert not [request for request in cloud.internet.requests if request.url.path.endswith("jwks.json")]


def test_whoever_shows_no_good_token_costs_no_call_to_aws(cloud: Cloud) -> None:
    fay, fresh = cloud.sign_up("fay"), load_function("mint_token")
    fresh._circuit_states._read_at = None  # as when a second has passed
    cloud.internet.aws.clear()
    codes = [ask(fresh, name, token)[0] for name, token in (("health", None), ("mint_token", token_of(fay)[:-8]))]

    assert (codes, cloud.internet.aws) == ([200, 401], [])
    assert ask(fresh, "mint_token", token_of(fay))[0] == 200
    assert {"GetItem CIRCUIT", "UpdateItem USER"} <= set(cloud.internet.aws)


def test_a_function_whose_head_start_fails_starts_all_the_same(
    cloud: Cloud, function: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHOP_SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:none")
    fresh = load_function("mint_token")

    assert ask(fresh, "health") == (200, {"status": "ok", "version": VERSION})
    assert ask(fresh, "mint_token", token_of(cloud.sign_up("keyless")))[1]["code"] == "not_configured"


def test_the_lines_of_a_request_bear_its_id(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Powertools keeps one logger for each service, with the output of its first use.
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", f"service-{uuid.uuid4()}")
    load_function("mint_token").handler(event("mint_token"), Context())

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["correlation_id"] for line in lines if "message" in line] == ["JKJaXmPLvHcESHA="]


def test_what_another_function_was_told_stops_a_token_before_it_is_asked_for(cloud: Cloud) -> None:
    told = DynamoDBCircuitStore(moto_aws.aws_at_moto(), "users", COMPANY_ID)
    told.extend("mint_token", CircuitState(time.time() + 60, Reason.LIMITED), deadline=moto_aws.AN_HOUR)
    zoe = cloud.sign_up("zoe")
    fresh = load_function("mint_token")
    cloud.internet.requests.clear()
    answer = ask(fresh, "mint_token", token_of(zoe))
    moto_aws.client("dynamodb").delete_item(TableName="users", Key={"pk": {"S": f"CIRCUIT#{COMPANY_ID}"}})

    assert answer[1]["code"] == "whop_rate_limited"
    assert answer[1]["retry_after"] >= 58
    assert cloud.internet.bodies("/access_tokens") == []


def test_the_circuit_states_are_read_concurrently(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever verifies and reads the user needs no answer about waits; it is there before Whop is called."""
    fresh = load_function("mint_token")
    fresh._circuit_states._read_at = None
    names: list[str] = []
    load = DynamoDBCircuitStore.load

    def noted(self: DynamoDBCircuitStore, *, deadline: Deadline) -> dict[str, CircuitState]:
        names.append(threading.current_thread().name)
        return load(self, deadline=deadline)

    monkeypatch.setattr(DynamoDBCircuitStore, "load", noted)

    assert ask(fresh, "mint_token", token_of(cloud.sign_up("yan")))[0] == 200
    assert len(names) == 1
    assert names[0] != threading.main_thread().name


def test_health_needs_nothing(cloud: Cloud, function: ModuleType) -> None:
    cloud.internet.requests.clear()

    assert ask(function, "health") == (200, {"status": "ok", "version": VERSION})
    assert cloud.internet.requests == []


def test_the_placeholder_in_the_event_is_no_token(function: ModuleType) -> None:
    status, body = ask(function, "mint_token")

    assert (status, body["code"]) == (401, "invalid_token")


@pytest.mark.parametrize(
    "changes",
    [{"client_id": tokens.OTHER_CLIENT_ID}, {"token_use": "id"}, {"exp": 1}],
    ids=["client", "use", "expired"],
)
def test_what_the_environment_says_is_what_is_checked(
    cloud: Cloud, function: ModuleType, changes: dict[str, object]
) -> None:
    bob = UserRef(pool_id=cloud.pool_id, sub="sub-bob", username="bob")

    assert ask(function, "mint_token", token_of(bob, **changes))[1]["code"] == "invalid_token"


def test_what_the_function_writes_names_neither_user_nor_token(
    cloud: Cloud, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "mint_token_written")
    eve = cloud.sign_up("eve")
    token = token_of(eve)

    status, body = ask(load_function("mint_token"), "mint_token", token)

    written = capsys.readouterr().out
    assert status == 200
    assert eve.sub in written
    assert all(
        secret not in written for secret in (token, body["token"], "eve@example.test", '"eve"', "unit-test-api-key")
    )


def test_a_wrong_environment_is_told_at_the_start(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("USERS_TABLE")
    monkeypatch.setenv("CHAT_FEATURES", "")

    with pytest.raises(SettingsError, match=r"USERS_TABLE is missing; CHAT_FEATURES is empty"):
        load_function("mint_token")


def test_in_alias_mode_nobody_is_enrolled_under_an_address_of_their_own(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENROLMENT_EMAIL", "alias")
    monkeypatch.setenv("ALIAS_EMAIL_TEMPLATE", "chat+{sub}@team.example.test")
    dan = cloud.sign_up("dan")
    cloud.internet.requests.clear()

    assert ask(load_function("mint_token"), "mint_token", token_of(dan))[0] == 200
    assert [body["email"] for body in cloud.internet.bodies("/accounts")] == [f"chat+{dan.sub}@team.example.test"]


def test_groups_are_those_of_the_token_and_not_those_of_the_event(cloud: Cloud, function: ModuleType) -> None:
    gil = cloud.sign_up("gil")

    # The claims in the event, which the authorizer wrote, name the group "chat", which is denied.
    assert ask(function, "mint_token", token_of(gil))[0] == 200
    assert ask(function, "mint_token", token_of(gil, **{"cognito:groups": ["banned"]}))[1]["code"] == "group_denied"
    narrowed = ask(function, "mint_token", token_of(gil, **{"cognito:groups": ["guests"]}))
    assert narrowed[1]["scopes"] == ["chat:message:create", "chat:read"]


def test_a_token_is_kept_and_answered_again_where_the_team_says_so(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = moto_aws.client("secretsmanager").create_secret(Name="data-key", SecretString="x1Y2" * 16)
    monkeypatch.setenv("DATA_KEY_SECRET_ARN", secret["ARN"])
    monkeypatch.setenv("TOKEN_REUSE", "always")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "mint_token_reusing")
    ivy = cloud.sign_up("ivy")
    reusing = load_function("mint_token")
    cloud.internet.requests.clear()

    answers = [ask(reusing, "mint_token", token_of(ivy)) for _ in range(3)]

    assert answers == [answers[0]] * 3
    assert answers[0][0] == 200
    assert len(cloud.internet.bodies("/access_tokens")) == 1
    assert '"because": "fresh"' in capsys.readouterr().out


def test_a_required_scope_is_asked_for(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUIRED_SCOPE", "chat/use")
    hal = UserRef(pool_id=cloud.pool_id, sub="sub-hal", username="hal")

    assert ask(load_function("mint_token"), "mint_token", token_of(hal))[1]["code"] == "insufficient_scope"


def test_where_accounts_can_be_linked_a_mint_for_anybody_else_imports_nothing_of_it(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in sys.modules if each.startswith(("whop_chat.oauth", "joserfc"))]:
        monkeypatch.delitem(sys.modules, name)
    for name, value in OAUTH_ENV.items():
        monkeypatch.setenv(name, value)
    fresh = load_function("mint_token")
    assert ask(fresh, "mint_token", token_of(cloud.sign_up("enrolled")))[0] == 200
    assert not [each for each in sys.modules if each.startswith(("whop_chat.oauth", "joserfc"))]


def test_a_linked_user_gets_no_token_of_the_company_if_their_own_is_gone(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in OAUTH_ENV.items():
        monkeypatch.setenv(name, value)
    fresh, user = load_function("mint_token"), cloud.sign_up("linker")
    assert ask(fresh, "mint_token", token_of(user))[0] == 200
    cloud.internet.requests.clear()
    users = DynamoDBUserRepository(aws_at_moto(), cloud.environment["USERS_TABLE"])
    record = users.get(user, deadline=AN_HOUR)
    assert record is not None
    users.put(user, dataclasses.replace(record, own_whop_user_id="user_Own"), expected=record, deadline=AN_HOUR)
    status, body = ask(fresh, "mint_token", token_of(user))
    assert (status, body["code"]) == (403, "link_required")
    assert cloud.internet.bodies("/access_tokens") == []
