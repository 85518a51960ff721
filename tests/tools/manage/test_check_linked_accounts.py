"""doctor: users who link Whop accounts of their own, and a stack that has nothing else."""

import pytest

from local.whop_simulator import Fault, Simulator
from local.whop_simulator.state import CHAT_SCOPES
from manage.whop_api import WhopApi
from tests.tools.manage.deployment import DeployedStack
from tests.unit.test_settings import OAUTH_ENV

API = "https://api.team.test"
CLIENT_ID, CALLBACK = OAUTH_ENV["OAUTH_CLIENT_ID"], OAUTH_ENV["OAUTH_REDIRECT_URI"]


def codes(run: DeployedStack) -> list[str]:
    """The codes of the problems and warnings about linked accounts, and of checks that were not made."""
    wanted = {
        "link_refused",
        "not_checked",
        "other_redirect_uri",
        "redirect_uri_refused",
        "scopes_refused",
        "settings_unusable",
    }
    return [each["code"] for each in run("--json", "doctor").json["findings"] if each["code"] in wanted]


@pytest.fixture(params=["both", "oauth"])
def linking(run: DeployedStack, whop: Simulator, request: pytest.FixtureRequest) -> DeployedStack:
    """A stack whose users link their own accounts."""
    run.parameters |= {
        "AuthModes": request.param,
        "WhopApiVersion": "2026-10-15-1",
        "WhopBaseUrl": "https://api.whop.com",
    }
    whop.add_oauth_app(CLIENT_ID, [CALLBACK])
    run.outputs |= {"ApiUrl": API, "WhopOauthFunctionName": "chat-whop-oauth"}
    run.cloud.environment |= OAUTH_ENV
    if request.param == "oauth":
        for output in ("SyncQueueUrl", "SyncDeadLetterQueueUrl", "SyncUserFunctionName", "OnSignupFunctionArn"):
            del run.outputs[output]
        for name in ("WHOP_SECRET_ARN", "SYNC_QUEUE_URL"):
            run.cloud.environment[name] = ""
    return run


def test_a_stack_whose_callback_is_registered_has_nothing_to_complain_of(linking: DeployedStack) -> None:
    assert codes(linking) == []


def test_a_redirect_uri_that_leads_elsewhere_is_noticed(linking: DeployedStack, whop: Simulator) -> None:
    elsewhere = "https://old.team.test/oauth/whop/callback"
    linking.cloud.environment["OAUTH_REDIRECT_URI"] = elsewhere
    whop.add_oauth_app(CLIENT_ID, [elsewhere])
    assert codes(linking) == ["other_redirect_uri"]


def test_a_return_url_that_the_function_refuses_is_a_problem(linking: DeployedStack) -> None:
    linking.cloud.environment["OAUTH_RETURN_URLS"] = "myapp://linked"
    assert codes(linking) == ["settings_unusable"]


@pytest.mark.parametrize("client_id", [CLIENT_ID, "app_Other"])
def test_a_redirect_uri_that_whop_does_not_know_is_a_problem(
    linking: DeployedStack, whop: Simulator, client_id: str
) -> None:
    whop.add_oauth_app(CLIENT_ID, [f"{CALLBACK}/"])
    linking.cloud.environment["OAUTH_CLIENT_ID"] = client_id
    assert codes(linking) == ["redirect_uri_refused"]


def test_a_scope_that_the_app_may_not_ask_for_is_a_problem(linking: DeployedStack, whop: Simulator) -> None:
    whop.add_oauth_app(CLIENT_ID, [CALLBACK], permissions=CHAT_SCOPES - {"dms:read"})
    assert codes(linking) == ["scopes_refused"]


def test_a_scope_of_a_feature_that_is_off_is_not_missed(linking: DeployedStack, whop: Simulator) -> None:
    linking.parameters["ChatFeatures"] = "channels"
    whop.add_oauth_app(CLIENT_ID, [CALLBACK], permissions=["chat:read", "chat:message:create"])
    assert codes(linking) == []


def test_another_error_is_told_by_its_name(linking: DeployedStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WhopApi, "authorization_error", lambda *_: "unauthorized_client")
    assert codes(linking) == ["link_refused"]
    assert "unauthorized_client" in linking("doctor").out


def test_a_whop_that_does_not_answer_proves_nothing(linking: DeployedStack, whop: Simulator) -> None:
    whop.add_fault(Fault("oauth.authorize", "unreachable"))
    assert codes(linking) == ["not_checked"]


def test_nobody_is_signed_in_by_the_check(linking: DeployedStack, whop: Simulator) -> None:
    linking("doctor")
    assert [call.operation for call in whop.calls() if call.operation.startswith("oauth.")] == ["oauth.authorize"]


def test_a_stack_that_links_nobody_is_not_asked_for_it(run: DeployedStack) -> None:
    assert "other_redirect_uri" not in codes(run)


def test_a_user_is_denied_and_allowed_with_or_without_a_queue(linking: DeployedStack) -> None:
    user = linking.cloud.sign_up("ann")
    assert linking("deny", user.sub).status == 0
    assert linking("allow", user.sub).status == 0
