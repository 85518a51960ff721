"""doctor: the API key, what it may do, the version of Whop's API, and where the stack calls Whop."""

import secrets
from typing import Any

import httpx
import pytest

from local.whop_simulator import Simulator, as_httpx_transport
from local.whop_simulator.state import DEFAULT_PERMISSIONS
from tests.fakes.settings import API_KEY, COMPANY_ID
from tests.tools.manage.deployment import DeployedStack

CODES = {
    "api_key_unusable",
    "api_key_refused",
    "sandbox_key",
    "sandbox_in_prod",
    "api_version_refused",
    "other_company",
    "permission_missing",
    "permissions_unknown",
    "not_checked",
}


def findings(run: DeployedStack) -> list[tuple[str, str]]:
    """Code and meaning of what this check found."""
    done = run("--json", "doctor")
    assert API_KEY not in done.out + done.err
    return [(each["code"], each["meaning"]) for each in done.json["findings"] if each["code"] in CODES]


def codes(run: DeployedStack) -> list[str]:
    return [code for code, _ in findings(run)]


def give(run: DeployedStack, whop: Simulator, **key: Any) -> None:
    """Put another key into the secret, with these properties."""
    secret = secrets.token_urlsafe(24)
    whop.add_key(secret, **{"company_id": COMPANY_ID, **key})
    run.put_secret(secret)


def test_a_key_that_may_do_all_that_is_needed_is_right(run: DeployedStack, whop: Simulator) -> None:
    assert codes(run) == []


@pytest.mark.parametrize("text", ["", "a key", "{}"])
def test_a_secret_without_a_usable_key_is_a_problem(run: DeployedStack, whop: Simulator, text: str) -> None:
    run.put_secret(text or " ")
    assert codes(run) == ["api_key_unusable"]
    assert 'docs/deploy.md, "The key"' in run("doctor").out


def test_a_key_that_whop_refuses_is_a_problem(run: DeployedStack, whop: Simulator) -> None:
    whop.revoke_key(API_KEY)
    assert codes(run) == ["api_key_refused"]


def test_a_key_of_the_sandbox_is_told_from_one_that_nobody_knows(
    run: DeployedStack, whop: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox = Simulator()
    sandbox.add_key(API_KEY)
    answer = as_httpx_transport(sandbox).handle_request
    monkeypatch.setitem(run.cloud.internet.hosts, "sandbox-api.whop.com", answer)
    whop.revoke_key(API_KEY)
    assert codes(run) == ["sandbox_key"]


def test_the_sandbox_in_production_is_a_problem(
    run: DeployedStack, whop: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = run.cloud.internet.hosts
    monkeypatch.setitem(hosts, "sandbox-api.whop.com", hosts["api.whop.com"])
    run.cloud.environment["WHOP_BASE_URL"] = "https://sandbox-api.whop.com"
    assert codes(run) == []

    run.parameters["Stage"] = "prod"
    assert codes(run) == ["sandbox_in_prod"]


def test_a_version_that_whop_does_not_know_is_a_problem(run: DeployedStack, whop: Simulator) -> None:
    run.cloud.environment["WHOP_API_VERSION"] = "2031-01-01"
    assert codes(run) == ["api_version_refused"]


def test_a_key_of_another_company_is_a_problem(run: DeployedStack, whop: Simulator) -> None:
    give(run, whop, company_id="biz_Other")
    assert codes(run) == ["other_company"]


@pytest.mark.parametrize(
    ("permission", "needed_by"),
    [
        ("company:create_child", "the enrolment of users"),
        ("user:profile:update", "the enrolment of users"),
        ("company:basic:read", "the enrolment of users"),
        ("dms:channel:manage", "the feature dms"),
        ("company:delete_child", "DeletePolicy=delete-account"),
    ],
)
def test_each_permission_that_the_key_lacks_is_named_with_what_needs_it(
    run: DeployedStack, whop: Simulator, permission: str, needed_by: str
) -> None:
    run.parameters |= {"ChatFeatures": "channels, dms", "DeletePolicy": "delete-account"}
    give(run, whop, permissions=DEFAULT_PERMISSIONS - {permission})
    assert findings(run) == [("permission_missing", f"The API key lacks {permission}, which {needed_by} needs.")]


@pytest.mark.parametrize("permission", ["support_chat:read", "company:delete_child"])
def test_a_permission_that_no_setting_needs_is_not_missed(run: DeployedStack, whop: Simulator, permission: str) -> None:
    run.parameters["ChatFeatures"] = "channels,dms"
    give(run, whop, permissions=DEFAULT_PERMISSIONS - {permission})
    assert codes(run) == []


def test_a_whop_that_does_not_tell_the_permissions_is_a_warning(
    run: DeployedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404 if request.url.path.endswith("permissions") else 200, json={"data": None})

    monkeypatch.setitem(run.cloud.internet.hosts, "api.whop.com", answer)
    assert codes(run) == ["permissions_unknown"]


def test_a_whop_that_does_not_answer_says_nothing_about_the_key(
    run: DeployedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(run.cloud.internet.hosts, "api.whop.com", lambda _: httpx.Response(503))
    assert codes(run) == ["not_checked"]
