"""/users/{id}: the profile in one company and the global profile."""

import pytest

from local.whop_simulator import Simulator
from tests.tools.simulator.api import COMPANY, Api

BEFORE = {"api-version-date": "2025-01-01"}


@pytest.fixture
def user(whop: Api, simulator: Simulator) -> str:
    known = simulator.add_person("jane@people.test", name="Jane Global")
    assert whop.enrol("jane@people.test") == known
    return known


def name(whop: Api, user: str, account: str | None = None) -> object:
    suffix = f"?account_id={account}" if account else ""
    return whop.call("GET", f"/users/{user}{suffix}").json()["name"]


def test_an_override_changes_the_profile_in_one_company(whop: Api, user: str) -> None:
    response = whop.call("PATCH", f"/users/{user}?account_id={COMPANY}", {"name": "Jane Here", "bio": "b"})
    assert (response.status, response.json()["name"]) == (200, "Jane Here")
    assert name(whop, user, COMPANY) == "Jane Here"
    assert name(whop, user) == "Jane Global"
    assert name(whop, user, "biz_Other") == "Jane Global"


def test_a_picture_is_the_id_of_a_file_that_exists(whop: Api, user: str) -> None:
    unknown = {"profile_picture": {"id": "file_9"}}
    assert whop.call("PATCH", f"/users/{user}?account_id={COMPANY}", unknown).status == 404
    assert whop.call("PATCH", f"/users/{user}?account_id={COMPANY}", {"profile_picture": "file_9"}).status == 400


def test_without_the_selector_an_api_key_is_refused(whop: Api, user: str) -> None:
    assert whop.call("PATCH", f"/users/{user}", {"name": "x", "account_id": COMPANY}).status == 400
    assert name(whop, user) == "Jane Global"


def test_old_versions_take_the_selector_from_the_body(whop: Api, user: str) -> None:
    whop.call("PATCH", f"/users/{user}", {"name": "Jane Here", "company_id": COMPANY}, BEFORE)
    assert (name(whop, user, COMPANY), name(whop, user)) == ("Jane Here", "Jane Global")
    old = whop.call("GET", f"/users/{user}?company_id={COMPANY}", headers=BEFORE)
    assert old.json()["name"] == "Jane Here"


def test_old_versions_ignore_the_new_selector(whop: Api, user: str) -> None:
    whop.call("PATCH", f"/users/{user}?account_id={COMPANY}", {"name": "Oops"}, BEFORE)
    assert name(whop, user) == "Oops"


@pytest.mark.parametrize("value", ["x" * 101, 7])
def test_a_name_that_is_too_long_or_not_a_string_is_a_400(whop: Api, user: str, value: object) -> None:
    assert whop.call("PATCH", f"/users/{user}?account_id={COMPANY}", {"name": value}).status == 400
    assert whop.call("PATCH", f"/users/{user}?account_id={COMPANY}", {"name": "x" * 100}).status == 200


def test_null_removes_the_override_by_default(whop: Api, simulator: Simulator, user: str) -> None:
    target = f"/users/{user}?account_id={COMPANY}"
    whop.call("PATCH", target, {"name": "Jane Here"})
    simulator.change_readings({"null_clears_override": False})
    assert whop.call("PATCH", target, {"name": None}).status == 400
    simulator.change_readings({"null_clears_override": True})
    assert whop.call("PATCH", target, {"name": None}).json()["name"] == "Jane Global"
    assert simulator.dump()["profiles"] == []


def test_unknown_ids_are_404_and_foreign_accounts_403(whop: Api, simulator: Simulator, user: str) -> None:
    simulator.add_company("biz_Foreign")
    body = {"name": "x"}
    assert whop.call("PATCH", f"/users/user_Nobody?account_id={COMPANY}", body).status == 404
    assert whop.call("PATCH", f"/users/{user}?account_id=biz_Nowhere", body).status == 404
    assert whop.call("PATCH", f"/users/{user}?account_id=biz_Foreign", body).status == 403
    assert whop.call("GET", "/users/user_Nobody").status == 404


@pytest.mark.parametrize(("reading", "status"), [("allowed", 200), ("forbidden", 403), ("not_found", 404)])
def test_the_profile_of_a_stranger_follows_the_reading(
    whop: Api, simulator: Simulator, reading: str, status: int
) -> None:
    stranger = simulator.add_person("stranger@people.test")
    simulator.change_readings({"profile_of_stranger": reading})
    assert whop.call("PATCH", f"/users/{stranger}?account_id={COMPANY}", {"name": "x"}).status == status


def test_a_user_is_public_without_the_email(whop: Api, user: str) -> None:
    public = whop.call("GET", "/users/jane", headers={"authorization": ""})
    assert (public.json()["id"], public.json()["email"]) == (user, None)


def test_me_is_for_user_tokens_only(whop: Api, user: str) -> None:
    token = str(whop.mint(user).json()["token"])
    assert Api(whop.simulator, token).call("GET", "/users/me").json()["email"] == "jane@people.test"
    assert whop.call("GET", "/users/me").status == 400
