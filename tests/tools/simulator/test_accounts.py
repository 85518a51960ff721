"""/accounts: creation, look-up, the list, updates and deletion."""

import secrets
from typing import Any

import pytest

from local.whop_simulator import Simulator
from tests.tools.simulator.api import COMPANY, Api, Clock, ids, message, owner


def test_creation_makes_a_child_account_and_its_person(whop: Api) -> None:
    response = whop.create("Jane@people.test", "pool:1", title="Jane", metadata={"tier": "gold"})
    account: Any = response.json()
    assert response.status == 201
    assert account["owner"]["username"] == "jane"
    assert account["parent_account"]["id"] == COMPANY
    assert (account["external_id"], account["metadata"]) == ("pool:1", {"tier": "gold"})
    assert (account["email"], account["status"]) == ("jane@people.test", None)


def test_the_other_reading_returns_the_email_as_sent(whop: Api, simulator: Simulator) -> None:
    simulator.change_readings({"email_returned": "as_sent"})
    assert whop.create("Jane@people.test").json()["email"] == "Jane@people.test"


@pytest.mark.parametrize("body", [{}, {"email": None}, {"email": "nobody"}, {"email": 5}])
def test_creation_without_a_usable_email_is_a_400(whop: Api, body: object) -> None:
    assert whop.call("POST", "/accounts", body).status == 400


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({"title": "T", "metadata": {"external_id": "m"}}, "T"),
        ({"metadata": {"external_id": "m"}}, "m"),
        ({}, "a@b.test"),
    ],
)
def test_the_title_defaults_to_metadata_then_to_the_email(whop: Api, fields: Any, title: str) -> None:
    assert whop.create("a@b.test", **fields).json()["title"] == title


def test_a_new_external_id_creates_an_account_of_the_same_user(whop: Api) -> None:
    first, second = whop.create("a@people.test", "one"), whop.create("A@people.test", "two")
    assert (first.status, second.status) == (201, 201)
    assert first.json()["id"] != second.json()["id"]
    assert owner(first) == owner(second)


def test_an_account_for_a_person_whop_knows_keeps_that_person(whop: Api, simulator: Simulator) -> None:
    stranger = simulator.add_person("known@people.test", name="Known")
    assert whop.enrol("known@people.test", "one") == stranger


def test_the_same_pair_returns_the_existing_account_unchanged(whop: Api) -> None:
    first = whop.create("a@people.test", "one", title="First", metadata={"n": 1})
    again = whop.create("a@people.test", "one", title="Second", metadata={"n": 2})
    assert again.status == 200
    assert again.json() == first.json()


def test_other_readings_answer_201_and_update_the_account(whop: Api, simulator: Simulator) -> None:
    simulator.change_readings({"existing_account_status": 201, "existing_account_updated": True})
    first = whop.create("a@people.test", "one", title="First", metadata={"n": 1}).json()
    again = whop.create("a@people.test", "one", title="Second", metadata={"n": 2})
    assert again.status == 201
    assert again.json()["id"] == first["id"]
    assert (again.json()["title"], again.json()["metadata"]) == ("Second", {"n": 2})


def test_an_external_id_of_another_email_is_a_409(whop: Api) -> None:
    whop.create("a@people.test", "one")
    response = whop.create("b@people.test", "one")
    assert response.status == 409
    assert "external_id" in message(response)


def test_the_same_external_id_is_free_for_another_platform(whop: Api, simulator: Simulator) -> None:
    other = secrets.token_urlsafe(16)
    simulator.add_key(other, company_id="biz_Other")
    whop.create("a@people.test", "one")
    assert Api(simulator, other).create("b@people.test", "one").status == 201


def test_without_external_id_the_account_without_one_is_found(whop: Api) -> None:
    whop.create("a@people.test", "one")
    plain = whop.create("a@people.test")
    assert plain.status == 201
    assert whop.create("a@people.test").json()["id"] == plain.json()["id"]


def test_an_external_id_in_metadata_counts_if_alone(whop: Api) -> None:
    first = whop.create("a@people.test", metadata={"external_id": "one"})
    assert first.json()["external_id"] == "one"
    assert whop.create("b@people.test", "one").status == 409


def test_the_other_reading_ignores_an_external_id_in_metadata(whop: Api, simulator: Simulator) -> None:
    simulator.change_readings({"metadata_external_id_counts": False})
    first = whop.create("a@people.test", metadata={"external_id": "one"})
    assert first.json()["external_id"] is None
    assert whop.create("a@people.test", metadata={"external_id": "two"}).json()["id"] == first.json()["id"]


@pytest.mark.parametrize("external_id", ["50%", "a%b"])
def test_an_external_id_with_a_percent_sign_is_a_400(whop: Api, external_id: str) -> None:
    assert whop.create("a@people.test", external_id).status == 400


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("pool:a_1", ["a_1"]),
        ("pool:A_1", []),
        ("pool:%25", ["ab1", "a_1"]),
        ("pool:a_%25", ["a_1"]),
        ("%25", ["ab1", "a_1"]),
    ],
)
def test_look_up_is_exact_and_a_trailing_percent_is_a_prefix(whop: Api, wanted: str, found: list[str]) -> None:
    for name in ("a_1", "ab1"):
        whop.create(f"{name}@people.test", f"pool:{name}", title=name)
    whop.create("plain@people.test")
    page: Any = whop.call("GET", f"/accounts?external_id={wanted}").json()["data"]
    assert [account["title"] for account in page] == found


def test_look_up_with_a_percent_sign_in_the_middle_is_a_400(whop: Api) -> None:
    assert whop.call("GET", "/accounts?external_id=a%25b").status == 400


def test_an_ignored_external_id_is_neither_stored_nor_found(whop: Api, simulator: Simulator) -> None:
    simulator.change_readings({"external_id_ignored": True, "metadata_external_id_counts": False})
    made = whop.create("a@people.test", "one", metadata={"external_id": "one"})
    assert "external_id" not in made.json()
    assert made.json()["metadata"] == {"external_id": "one"}
    assert ids(whop.call("GET", "/accounts?external_id=other")) == [made.json()["id"], COMPANY]
    assert whop.create("b@people.test", "one").status == 201
    assert whop.create("a@people.test", "two").json()["id"] == made.json()["id"]


def test_metadata_separates_accounts_if_external_id_is_ignored(whop: Api, simulator: Simulator) -> None:
    simulator.change_readings({"external_id_ignored": True})
    first = whop.create("a@people.test", "one", metadata={"external_id": "one"})
    assert whop.create("a@people.test", "two", metadata={"external_id": "two"}).json()["id"] != first.json()["id"]
    assert whop.create("b@people.test", "one", metadata={"external_id": "one"}).status == 409
    child = first.json()["id"]
    whop.call("PATCH", f"/accounts/{child}", {"external_id": "ignored", "metadata": {"external_id": "three"}})
    assert whop.create("b@people.test", metadata={"external_id": "one"}).status == 201


def test_the_list_has_the_company_and_its_children(whop: Api) -> None:
    made = [str(whop.create(f"{n}@people.test").json()["id"]) for n in range(3)]
    assert ids(whop.call("GET", "/accounts")) == [*reversed(made), COMPANY]
    assert ids(whop.call("GET", "/accounts?direction=asc")) == [COMPANY, *made]


def test_paging_visits_every_account_once_in_both_directions(whop: Api) -> None:
    for n in range(11):
        whop.create(f"{n}@people.test")
    everything = ids(whop.call("GET", "/accounts?first=50"))
    seen: list[str] = []
    target = "/accounts?first=5"
    while True:
        page = whop.call("GET", target)
        seen += ids(page)
        info: Any = page.json()["page_info"]
        if not info["has_next_page"]:
            break
        target = f"/accounts?first=5&after={info['end_cursor']}"
    assert seen == everything
    assert len(ids(whop.call("GET", "/accounts"))) == 10
    before = whop.call("GET", f"/accounts?last=4&before={info['start_cursor']}")
    assert ids(before) == everything[6:10]
    assert ids(whop.call("GET", f"/accounts?after={info['end_cursor']}")) == []


@pytest.mark.parametrize(
    "query", ["after=zzz", "first=0", "first=x", "owner_id=u&parent_account_id=b", "created_after=x"]
)
def test_an_invalid_list_parameter_is_a_400(whop: Api, query: str) -> None:
    assert whop.call("GET", f"/accounts?{query}").status == 400


def test_the_list_can_be_narrowed_by_owner_title_and_time(whop: Api, clock: Clock) -> None:
    first = whop.create("a@people.test", title="Alpha").json()
    clock.seconds += 10
    second = whop.create("b@people.test", title="Beta").json()
    assert ids(whop.call("GET", f"/accounts?owner_id={first['owner']['id']}")) == [first["id"]]  # type: ignore[index]
    assert ids(whop.call("GET", "/accounts?query=bet")) == [second["id"]]
    assert ids(whop.call("GET", f"/accounts?created_after={first['created_at']}")) == [second["id"]]
    assert ids(whop.call("GET", "/accounts?status=suspended")) == []


@pytest.mark.parametrize("query", [f"parent_account_id={COMPANY}", "order=volume"])
def test_a_list_parameter_can_need_its_own_permission(whop: Api, query: str) -> None:
    assert whop.call("GET", f"/accounts?{query}").status == 403


def test_an_account_is_retrieved_by_id_by_route_or_as_me(whop: Api) -> None:
    made = whop.create("a@people.test").json()
    by_id = whop.call("GET", f"/accounts/{made['id']}").json()
    assert by_id == made | {"status": "active"}
    assert whop.call("GET", f"/accounts/{made['route']}").json() == by_id
    assert whop.call("GET", "/accounts/me").json()["id"] == COMPANY


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_unknown_account_is_a_404_and_a_foreign_one_a_403(whop: Api, simulator: Simulator, method: str) -> None:
    simulator.add_company("biz_Foreign")
    body: object = {} if method == "PATCH" else None
    assert whop.call(method, "/accounts/biz_Nowhere", body).status == 404
    assert whop.call(method, "/accounts/biz_Foreign", body).status == 403


def test_an_update_sets_moves_and_clears_the_external_id(whop: Api) -> None:
    first, second = whop.create("a@people.test", "one").json()["id"], whop.create("b@people.test", "two").json()["id"]
    assert whop.call("PATCH", f"/accounts/{second}", {"external_id": "one"}).status == 409
    assert whop.call("PATCH", f"/accounts/{first}", {"external_id": None}).json()["external_id"] is None
    assert whop.call("PATCH", f"/accounts/{second}", {"external_id": "one"}).json()["external_id"] == "one"
    assert ids(whop.call("GET", "/accounts?external_id=one")) == [second]
    assert whop.call("PATCH", f"/accounts/{COMPANY}", {"external_id": "own"}).status == 400


@pytest.mark.parametrize(("reading", "expected"), [("replace", {"b": 2}), ("merge", {"a": 1, "b": 2})])
def test_an_update_replaces_or_merges_metadata(whop: Api, simulator: Simulator, reading: str, expected: object) -> None:
    simulator.change_readings({"metadata_patch": reading})
    made = whop.create("a@people.test", metadata={"a": 1}).json()["id"]
    updated = whop.call("PATCH", f"/accounts/{made}", {"metadata": {"b": 2}, "title": "New"}).json()
    assert (updated["metadata"], updated["title"]) == (expected, "New")


def test_a_deleted_account_is_gone_and_frees_its_external_id(whop: Api) -> None:
    made = whop.create("a@people.test", "one").json()["id"]
    assert whop.call("DELETE", f"/accounts/{made}").json() == {"id": made, "deleted": True}
    assert whop.call("GET", f"/accounts/{made}").status == 404
    assert whop.call("DELETE", f"/accounts/{made}").status == 404
    assert whop.create("b@people.test", "one").status == 201


def test_the_other_reading_keeps_the_external_id_of_a_deletion(whop: Api, simulator: Simulator) -> None:
    simulator.change_readings({"deletion_frees_external_id": False})
    made = whop.create("a@people.test", "one").json()["id"]
    whop.call("DELETE", f"/accounts/{made}")
    assert whop.create("a@people.test", "one").status == 409


def test_only_a_child_without_obligations_can_be_deleted(whop: Api, simulator: Simulator) -> None:
    made = str(whop.create("a@people.test").json()["id"])
    assert whop.call("DELETE", f"/accounts/{COMPANY}").status == 403
    simulator.block_deletion(made, "The account has a balance.")
    assert message(whop.call("DELETE", f"/accounts/{made}")) == "The account has a balance."
    simulator.block_deletion(made, None)
    assert whop.call("DELETE", f"/accounts/{made}").status == 200
