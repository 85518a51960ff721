"""create-oauth-app: the app at Whop has the callback of the stack, and the operator hears what to store."""

import secrets

import pytest

from local.whop_simulator import DEFAULT_COMPANY, Fault, Simulator
from local.whop_simulator.oauth_state import App
from local.whop_simulator.state import CHAT_SCOPES
from tests.tools.manage.deployment import OPERATOR, DeployedStack
from tests.tools.manage.run import Run

CALLBACK = "https://api.team.test/oauth/whop/callback"
SDK_URI = "com.team.app://oauth/callback"
SECRET_ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:client-secret"


@pytest.fixture
def key(run: DeployedStack, whop: Simulator) -> str:
    """An API key of the company that may change apps, and nothing else."""
    run.parameters |= {
        "WhopCompanyId": DEFAULT_COMPANY,
        "WhopBaseUrl": "https://api.whop.com",
        "WhopApiVersion": "2026-10-15-1",
    }
    run.outputs["ApiUrl"] = "https://api.team.test"
    key = secrets.token_urlsafe(24)
    whop.add_key(
        key, company_id=DEFAULT_COMPANY, permissions=frozenset({"developer:create_app", "developer:update_app"})
    )
    return key


def create(run: DeployedStack, key: str, *arguments: str) -> Run:
    done = run("--json", "create-oauth-app", *arguments, pipe=f"{key}\n")
    assert not key or key not in done.out + done.err
    return done


def apps(whop: Simulator) -> list[App]:
    return [*whop.oauth_apps()]


def test_a_stack_gets_an_app_with_its_callback(run: DeployedStack, whop: Simulator, key: str) -> None:
    done = create(run, key)

    assert (done.status, done.json["outcome"]) == (0, "created"), done.err
    (app,) = apps(whop)
    assert (app.name, app.company_id, app.redirect_uris) == ("chat", DEFAULT_COMPANY, (CALLBACK,))
    assert done.json["parameters"] == {"OAuthClientId": app.client_id, "OAuthRedirectUri": CALLBACK}
    assert run.acts() == [(OPERATOR, "create-oauth-app", f"created {app.client_id}")]


def test_a_second_run_changes_nothing(run: DeployedStack, whop: Simulator, key: str) -> None:
    create(run, key)
    before = apps(whop)

    assert create(run, key).json["outcome"] == "unchanged"
    assert apps(whop) == before


def test_more_redirect_uris_come_to_those_that_are_there(run: DeployedStack, whop: Simulator, key: str) -> None:
    whop.add_oauth_app("app_Theirs", ["https://else.test/callback"])

    done = create(run, key, "--app", "app_Theirs", "--redirect-uri", SDK_URI)

    assert done.json["outcome"] == "updated"
    assert apps(whop)[0].redirect_uris == ("https://else.test/callback", CALLBACK, SDK_URI)


def test_the_app_of_the_stack_is_not_created_again(run: DeployedStack, whop: Simulator, key: str) -> None:
    whop.add_oauth_app("app_Theirs", [])
    run.parameters["OAuthClientId"] = "app_Theirs"

    assert create(run, key).json["parameters"]["OAuthClientId"] == "app_Theirs"
    assert len(apps(whop)) == 1


def test_scopes_that_the_app_does_not_request_are_named(run: DeployedStack, whop: Simulator, key: str) -> None:
    run.parameters["ChatFeatures"] = "channels, dms"
    whop.add_oauth_app("app_Theirs", [], permissions=CHAT_SCOPES - {"dms:read"})

    done = create(run, key, "--app", "app_Theirs")

    assert done.json["scopes_not_requested"] == ["dms:read"]


def test_only_a_confidential_app_has_a_secret_to_store(run: DeployedStack, whop: Simulator, key: str) -> None:
    run.outputs["OAuthClientSecretArn"] = SECRET_ARN
    secret = secrets.token_urlsafe(24)
    for name, app_secret in (("app_Public", None), ("app_Confidential", secret)):
        whop.add_oauth_app(name, [], secret=app_secret)
        done = run("create-oauth-app", "--app", name, pipe=key)
        assert (SECRET_ARN in done.out) == (app_secret is not None)
        assert secret not in done.out + done.err


@pytest.mark.parametrize(
    ("permissions", "company"),
    [
        (set[str](), DEFAULT_COMPANY),
        ({"developer:create_app"}, DEFAULT_COMPANY),
        ({"developer:update_app"}, "biz_Other"),
    ],
)
def test_what_whop_refuses_is_told_and_nothing_is_changed(
    run: DeployedStack, whop: Simulator, key: str, permissions: set[str], company: str
) -> None:
    other = secrets.token_urlsafe(24)
    whop.add_key(other, company_id=company, permissions=frozenset(permissions))
    whop.add_oauth_app("app_Theirs", ["https://else.test/callback"])
    before = apps(whop)

    done = create(run, other, "--app", "app_Theirs")

    assert (done.status, done.json["outcome"]) == (1, "refused")
    assert "Whop refuses with 40" in done.json["error"]
    assert apps(whop) == before


def test_two_apps_of_the_name_are_not_guessed_between(run: DeployedStack, whop: Simulator, key: str) -> None:
    for name in ("app_One", "app_Two"):
        whop.add_oauth_app(name, [])

    done = create(run, key, "--name", "Team chat")

    assert (done.status, "--app" in done.json["error"]) == (1, True)


@pytest.mark.parametrize("text", ["", "two words"])
def test_without_a_key_nothing_is_changed(run: DeployedStack, whop: Simulator, key: str, text: str) -> None:
    assert create(run, text).status == 1
    assert (apps(whop), run.acts()) == ([], [])


def test_an_app_whose_creation_got_no_answer_is_found_by_the_next_run(
    run: DeployedStack, whop: Simulator, key: str
) -> None:
    whop.add_fault(Fault("apps.create", "drop_after"))

    assert create(run, key).status == 1
    assert create(run, key).json["outcome"] == "unchanged"
    assert len(apps(whop)) == 1
