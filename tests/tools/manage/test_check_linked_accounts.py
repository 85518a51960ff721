"""doctor: users who link Whop accounts of their own, and a stack that has nothing else."""

import pytest

from tests.tools.manage.deployment import DeployedStack
from tests.unit.test_settings import OAUTH_ENV

API = "https://api.team.test"


def codes(run: DeployedStack) -> list[str]:
    """The codes of the problems and warnings about linked accounts, and of checks that were not made."""
    wanted = {"other_redirect_uri", "settings_unusable", "not_checked"}
    return [each["code"] for each in run("--json", "doctor").json["findings"] if each["code"] in wanted]


@pytest.fixture(params=["both", "oauth"])
def linking(run: DeployedStack, request: pytest.FixtureRequest) -> DeployedStack:
    """A stack whose users link their own accounts."""
    run.parameters |= {"AuthModes": request.param}
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


def test_a_redirect_uri_that_leads_elsewhere_is_noticed(linking: DeployedStack) -> None:
    linking.cloud.environment["OAUTH_REDIRECT_URI"] = "https://old.team.test/oauth/whop/callback"
    assert codes(linking) == ["other_redirect_uri"]


def test_a_return_url_that_the_function_refuses_is_a_problem(linking: DeployedStack) -> None:
    linking.cloud.environment["OAUTH_RETURN_URLS"] = "myapp://linked"
    assert codes(linking) == ["settings_unusable"]


def test_a_stack_that_links_nobody_is_not_asked_for_it(run: DeployedStack) -> None:
    assert "other_redirect_uri" not in codes(run)


def test_a_user_is_denied_and_allowed_with_or_without_a_queue(linking: DeployedStack) -> None:
    user = linking.cloud.sign_up("ann")
    assert linking("deny", user.sub).status == 0
    assert linking("allow", user.sub).status == 0
