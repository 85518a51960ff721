"""Users who sign in to Whop themselves, on the real template: link, chat as oneself, refresh, unlink."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx
import pytest

from local.demo.chat_app import User, made_up_email
from local.processes import wait_until
from local.stack import Deployment, LocalStack
from local.whop_simulator import Fault
from local.whop_simulator.control import SimulatorControl
from tests.e2e.confidential import Confidential
from tests.e2e.harness import TeamApp, assert_problem, deploy_again, deploy_with, invoke, say

_CLIENT_ID = "app_E2e"
_REDIRECT_URI = "http://127.0.0.1:3000/oauth/whop/callback"
_RETURN_TO = "http://127.0.0.1:3000/linked"
_APP_SCHEME = "com.team.app://linked"
_CHANNEL = "chat_feed_tokens"


class Linking:
    """A team's app whose users link their own Whop accounts, and the browser they do it in."""

    def __init__(self, cloud: LocalStack, app: TeamApp, confidential: Confidential) -> None:
        self._cloud = cloud
        self._confidential = confidential
        self.app = app

    def call(self, method: str, path: str, token: str | None, body: object = None) -> httpx.Response:
        """One request of the app."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        url = f"{self.app.deployment.api_url}{path}"
        return self._cloud.http.request(method, url, headers=headers, json=body)

    def begin(self, token: str, return_to: str = _RETURN_TO) -> str:
        """The URL at Whop."""
        answer = self.call("POST", "/oauth/whop/link", token, {"return_to": return_to})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["authorize_url"])

    def consent(self, url: str, email: str, decision: str = "allow") -> Mapping[str, str]:
        """Decide on the page at Whop; the query with which the browser is sent back."""
        self._confidential.email(email)
        form = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        answer = self._cloud.http.post(
            urljoin(url, "/oauth/authorize"), data={**form, "email": email, "decision": decision}
        )
        query = parse_qs(urlsplit(answer.headers["location"]).query)
        for name in ("code", "state"):
            self._confidential.secret(name, query.get(name, ["absent" * 6])[0])
        return {name: values[0] for name, values in query.items()}

    def callback(self, query: Mapping[str, str]) -> httpx.Response:
        """What the browser gets that comes back."""
        return self.call("GET", f"/oauth/whop/callback?{urlencode(query)}", None)

    def result(self, token: str, email: str) -> str:
        """The result of a link, as the app reads it from the fragment."""
        location = self.callback(self.consent(self.begin(token), email)).headers["location"]
        assert location.startswith(f"{_RETURN_TO}#result=")
        result = parse_qs(urlsplit(location).fragment)["result"][0]
        self._confidential.secret("result", result)
        return result

    def complete(self, token: str, result: str) -> httpx.Response:
        """What the app gets for the result."""
        return self.call("POST", "/oauth/whop/complete", token, {"result": result})

    def link(self, token: str, email: str) -> str:
        """Link the account of ``email``; its Whop user."""
        answer = self.complete(token, self.result(token, email))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["whop_user"]["id"])

    def user(self) -> tuple[User, str]:
        """A user who has signed in, and their access token."""
        user = self.app.sign_up()
        return user, self.app.sign_in(user).access


def _parameters(cloud: LocalStack, mode: str) -> dict[str, str]:
    cloud.whop.add_oauth_app(_CLIENT_ID, [_REDIRECT_URI])
    return {
        "AuthModes": mode,
        "OAuthClientId": _CLIENT_ID,
        "OAuthRedirectUri": _REDIRECT_URI,
        "OAuthReturnUrls": f"{_RETURN_TO},{_APP_SCHEME}",
        "OAuthIssuer": cloud.whop_url,
        "MintsPerMinute": "600",
    }


@pytest.fixture(scope="module")
def both(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> Linking:
    """A stack whose users are enrolled, and may link their own accounts."""
    app = deploy_with(cloud, stack, confidential, "both", **_parameters(cloud, "both"))
    return Linking(cloud, app, confidential)


@pytest.fixture(scope="module")
def alone(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> Linking:
    """A stack whose users link their own accounts, without an API key."""
    deployment = deploy_again(cloud, stack, "alone", _parameters(cloud, "oauth"))
    return Linking(cloud, TeamApp(cloud, deployment, confidential), confidential)


@pytest.fixture(params=["both", "alone"])
def linking(request: pytest.FixtureRequest) -> Linking:
    found: Linking = request.getfixturevalue(request.param)
    return found


def _consents(whop: SimulatorControl, user_id: str) -> list[Any]:
    return [grant for grant in whop.state()["oauth"][0]["grants"] if grant["user_id"] == user_id]


def test_a_user_links_chats_as_themselves_and_unlinks(
    cloud: LocalStack, linking: Linking, whop: SimulatorControl
) -> None:
    _, token = linking.user()
    own = linking.link(token, made_up_email())
    answer = linking.app.mint(token)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"token", "expires_at", "refresh_after", "scopes"}
    assert say(cloud, answer.json()["token"], _CHANNEL).json()["user"]["id"] == own
    assert linking.app.mint(token).json() == answer.json()

    assert linking.call("DELETE", "/oauth/whop/link", token).json() == {"unlinked": True}
    assert _consents(whop, own) == []
    assert linking.call("DELETE", "/oauth/whop/link", token).json() == {"unlinked": False}


def test_after_unlinking_a_user_is_who_they_were_before(cloud: LocalStack, both: Linking) -> None:
    user, token = both.user()
    enrolled = both.app.mint(token)
    own = both.link(token, made_up_email())
    assert say(cloud, both.app.mint(token).json()["token"], _CHANNEL).json()["user"]["id"] == own
    both.call("DELETE", "/oauth/whop/link", token)
    company = cloud.user_record(both.app.deployment, user.sub)["whop_user_id"]
    assert enrolled.status_code == 200
    assert say(cloud, both.app.mint(token).json()["token"], _CHANNEL).json()["user"]["id"] == company != own


def test_with_oauth_alone_a_user_has_to_link_first(alone: Linking) -> None:
    _, token = alone.user()
    assert_problem(alone.app.mint(token), "link_required")
    assert alone.app.health().json()["status"] == "ok"
    assert "WhopSecretArn" not in alone.app.deployment.outputs


def test_a_token_is_refreshed_when_five_minutes_are_left(
    cloud: LocalStack, linking: Linking, whop: SimulatorControl
) -> None:
    whop.change_readings(oauth_access_seconds=240)
    _, token = linking.user()
    own = linking.link(token, made_up_email())
    tokens = {linking.app.mint(token).json()["token"] for _ in range(3)}
    assert len(tokens) == 3
    assert len(_consents(whop, own)) == 1
    for each in tokens:
        assert say(cloud, each, _CHANNEL).json()["user"]["id"] == own


def test_a_consent_that_was_ended_at_whop_is_link_expired_and_no_other_account(
    linking: Linking, whop: SimulatorControl
) -> None:
    whop.change_readings(oauth_access_seconds=240)
    _, token = linking.user()
    own = linking.link(token, made_up_email())
    whop.end_consents(own)
    for _ in range(2):
        assert_problem(linking.app.mint(token), "link_expired")


def test_a_request_for_less_than_was_linked_is_refused(linking: Linking) -> None:
    _, token = linking.user()
    linking.link(token, made_up_email())
    assert_problem(linking.app.mint(token, {"features": ["channels"]}), "feature_not_allowed")


def test_nobody_completes_for_another_user(linking: Linking) -> None:
    (_, ada), (_, ben) = linking.user(), linking.user()
    result = linking.result(ada, made_up_email())
    linking.begin(ben)
    assert_problem(linking.complete(ben, result), "link_failed")
    assert linking.complete(ada, result).status_code == 200
    assert_problem(linking.complete(ada, result), "link_failed")


def test_an_account_is_one_users_only(linking: Linking) -> None:
    (_, ada), (_, ben) = linking.user(), linking.user()
    email = made_up_email()
    linking.link(ada, email)
    assert_problem(linking.complete(ben, linking.result(ben, email)), "identity_conflict")


def test_a_callback_is_good_once_and_a_made_up_one_leads_nowhere(linking: Linking) -> None:
    _, token = linking.user()
    query = linking.consent(linking.begin(token), made_up_email())
    first = linking.callback(query)
    assert (first.status_code, first.headers["referrer-policy"]) == (303, "no-referrer")
    for bad in (query, {**query, "state": "made-up"}, {}):
        answer = linking.callback(bad)
        assert (answer.status_code, "location" in answer.headers) == (400, False)
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_an_app_scheme_gets_a_page_with_a_link_and_a_refusal_gets_there(linking: Linking) -> None:
    _, token = linking.user()
    answer = linking.callback(linking.consent(linking.begin(token, _APP_SCHEME), made_up_email(), "deny"))
    assert (answer.status_code, "location" in answer.headers) == (200, False)
    assert f'<a href="{_APP_SCHEME}#error=access_denied">' in answer.text


@pytest.mark.parametrize("return_to", [f"{_RETURN_TO}/", "https://evil.test", "myapp://linked", 1, None])
def test_nobody_is_sent_anywhere_else(linking: Linking, return_to: object) -> None:
    _, token = linking.user()
    answer = linking.call("POST", "/oauth/whop/link", token, {"return_to": return_to})
    assert_problem(answer, "invalid_request")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/oauth/whop/link"), ("POST", "/oauth/whop/complete"), ("DELETE", "/oauth/whop/link")]
)
def test_without_a_cognito_token_nothing_happens(linking: Linking, method: str, path: str) -> None:
    assert linking.call(method, path, None, {"return_to": _RETURN_TO}).status_code == 401


def test_while_whop_is_down_nobody_is_linked_and_the_answer_says_wait(linking: Linking, whop: SimulatorControl) -> None:
    _, token = linking.user()
    result = linking.result(token, made_up_email())
    whop.add_fault(Fault("oauth.token", "unreachable", count=None))
    assert_problem(linking.complete(token, result), "whop_unavailable", wait=2)


def test_a_failed_revocation_is_done_by_the_queue(both: Linking, whop: SimulatorControl) -> None:
    _, token = both.user()
    own = both.link(token, made_up_email())
    whop.add_fault(Fault("oauth.revoke", "unreachable"))
    assert both.call("DELETE", "/oauth/whop/link", token).json() == {"unlinked": True}
    assert wait_until(lambda: _consents(whop, own) == [], 30.0)


def test_a_deleted_user_leaves_no_consent(
    cloud: LocalStack, both: Linking, whop: SimulatorControl, reconcile: Callable[[Deployment], None]
) -> None:
    user, token = both.user()
    own = both.link(token, made_up_email())
    both.app.mint(token)
    cloud.cognito.admin_delete_user(UserPoolId=both.app.pool_id, Username=user.email)
    reconcile(both.app.deployment)
    assert wait_until(lambda: _consents(whop, own) == [], 30.0)
    assert "own_whop_user_id" not in cloud.user_record(both.app.deployment, user.sub)


@pytest.fixture
def reconcile(cloud: LocalStack) -> Callable[[Deployment], None]:
    """Run reconcile over the pool of a deployment."""

    def run(deployment: Deployment) -> None:
        invoke(cloud, deployment["ReconcileFunctionName"], {"command": "start"})

    return run
