"""`AuthModes`: what a stack has for users with Whop accounts of their own, and what it then does without."""

from typing import Any

import pytest

from tests.template.test_permissions import DATA_KEY, allowed, items
from tests.template.translation import accepts, deployed, holds, of_type, parameter_values, template

APP = {
    "OAuthClientId": "app_Team",
    "OAuthRedirectUri": "https://api.team.test/oauth/whop/callback",
    "OAuthReturnUrls": "https://app.team.test/linked,com.team.app://linked",
}
LINKING = {"GET /oauth/whop/callback", "POST /oauth/whop/link", "POST /oauth/whop/complete", "DELETE /oauth/whop/link"}


def routes(**given: str) -> dict[str, Any]:
    """The routes of the API, by method and path."""
    paths = deployed(**given)["HttpApi"]["Properties"]["Body"]["paths"]
    return {f"{method.upper()} {path}": each for path, methods in paths.items() for method, each in methods.items()}


@pytest.mark.parametrize("mode", ["oauth", "both"])
def test_linking_has_routes_of_which_only_the_callback_is_open(mode: str) -> None:
    found = routes(AuthModes=mode, **APP)
    assert set(found) >= LINKING
    opened = {name for name, each in found.items() if each.get("security") in (None, [{"NONE": []}])}
    assert opened == {"GET /oauth/whop/callback", "GET /health", "GET /health/ready"}


def test_without_oauth_there_is_nothing_of_it() -> None:
    resources = deployed()
    assert not LINKING & set(routes())
    assert not [name for name in resources if "oauth" in name.lower() or name == "DataKeySecret"]
    for function in of_type(resources, "AWS::Lambda::Function").values():
        assert not [name for name in function["Properties"]["Environment"]["Variables"] if name.startswith("OAUTH_")]


def test_with_oauth_alone_there_is_no_trigger_queue_reconcile_or_api_key() -> None:
    watched = {"PoolTriggers": "sign-up-and-sign-in", "WatchCloudTrail": "true", "AlarmEmail": "ops@team.test"}
    resources = deployed(AuthModes="oauth", **watched, **APP)
    functions = {"MintTokenFunction", "WhopOauthFunction", "CheckReadinessFunction"}
    assert set(of_type(resources, "AWS::Lambda::Function")) == functions
    assert of_type(resources, "AWS::Lambda::EventSourceMapping") == {}
    # It keeps the schedule of the readiness check that could not be delivered.
    assert set(of_type(resources, "AWS::SQS::Queue")) == {"EventDeadLetterQueue"}
    assert set(of_type(resources, "AWS::Events::Rule")) == {"CheckReadinessFunctionScheduled"}
    assert set(of_type(resources, "AWS::SecretsManager::Secret")) == {"DataKeySecret", "OAuthClientSecret"}
    assert resources["UserPool"]["Properties"]["LambdaConfig"] == {}
    for name in ("MintTokenFunction", "CheckReadinessFunction"):
        assert resources[name]["Properties"]["Handler"] == "own_accounts.handler"


def test_with_oauth_alone_the_alarms_are_those_of_what_there_is() -> None:
    alarms = of_type(deployed(AuthModes="oauth", AlarmEmail="ops@team.test", **APP), "AWS::CloudWatch::Alarm")
    assert {"KeyRefusedAlarm", "MintFailuresAlarm", "ApiFailuresAlarm", "FunctionErrorsAlarm"} <= set(alarms)
    assert not {"QueueAgeAlarm", "DeadLettersAlarm", "EnrolmentFailuresAlarm"} & set(alarms)


@pytest.mark.parametrize(
    "given", [{"AuthModes": "oauth", **APP}, {"AuthModes": "both", **APP}, {"TokenReuse": "always"}]
)
def test_the_data_keys_exist_wherever_tokens_are_kept_and_outlive_the_stack(given: dict[str, str]) -> None:
    secret = deployed(**given)["DataKeySecret"]
    assert (secret["DeletionPolicy"], secret["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_the_linking_function_knows_users_and_links_and_no_api_key() -> None:
    resources = deployed(AuthModes="both", **APP)
    assert items(resources, "WhopOauthRole") == {"USER", "WHOP", "OAUTH", "REVOKE", "STATE", "LINKING"}
    assert allowed(resources, "WhopOauthRole", DATA_KEY) == {"secretsmanager:GetSecretValue"}
    assert allowed(resources, "WhopOauthRole", {"Ref": "OAuthClientSecret"}) == {"secretsmanager:GetSecretValue"}
    assert not allowed(resources, "WhopOauthRole", {"Ref": "WhopSecret"})


@pytest.mark.parametrize("role", ["MintTokenRole", "SyncUserRole"])
def test_who_refreshes_and_revokes_knows_the_links_and_not_the_attempts(role: str) -> None:
    found = items(deployed(AuthModes="both", **APP), role)
    assert found >= {"OAUTH", "REVOKE"}
    assert not found & {"STATE", "LINKING"}


@pytest.mark.parametrize("missing", [*APP])
def test_oauth_needs_its_app(missing: str) -> None:
    given = {name: value for name, value in APP.items() if name != missing}
    assert _assertions(AuthModes="both", **APP)
    assert not _assertions(AuthModes="both", **given)


def _assertions(**given: str) -> bool:
    rule = template()["Rules"]["OAuthNeedsAnApp"]
    return all(holds(each["Assert"], parameter_values(**given)) for each in rule["Assertions"])


@pytest.mark.parametrize(
    "url",
    ["https://app.team.test", "https://app.team.test:8443/a?b=c", "com.team.app://linked", "com.team.app:/linked"],
)
def test_urls_that_users_may_return_to(url: str) -> None:
    assert accepts("OAuthReturnUrls", url)


@pytest.mark.parametrize(
    "url",
    [
        "http://app.team.test",
        "http://127.0.0.1.evil.test/",
        "https://app.team.test/#here",
        "https://*.team.test",
        "https://me@team.test/",
        "myapp://linked",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://app.team.test/a b",
    ],
)
def test_urls_that_nobody_may_be_sent_to(url: str) -> None:
    assert not accepts("OAuthReturnUrls", url)
