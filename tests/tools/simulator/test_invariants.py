"""Rules of e-mail address and external_id that are true after any series of creations."""

import secrets
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from local.whop_simulator import Readings, Simulator
from tests.tools.simulator.api import COMPANY, Api

emails = st.sampled_from(["a@people.test", "A@people.test", "b@people.test", "c@people.test"])
external_ids = st.sampled_from([None, "one", "two", "three"])


def caller(readings: Readings | None = None) -> Api:
    simulator = Simulator(readings=readings)
    secret = secrets.token_urlsafe(16)
    simulator.add_key(secret, company_id=COMPANY)
    return Api(simulator, secret)


@given(st.lists(st.tuples(emails, external_ids), max_size=12))
def test_creation_follows_the_table_of_email_and_external_id(steps: list[tuple[str, str | None]]) -> None:
    whop = caller()
    owner_of: dict[str, str] = {}
    bound: dict[str, tuple[str, str]] = {}
    plain: dict[str, str] = {}
    for email, external_id in steps:
        person = email.lower()
        response = whop.create(email, external_id)
        if external_id in bound and bound[external_id][0] != person:
            assert response.status == 409
            continue
        account: Any = response.json()
        known = plain.get(person) if external_id is None else bound.get(external_id, (person, None))[1]
        assert response.status == (200 if known else 201)
        assert known in (None, account["id"])
        assert owner_of.setdefault(person, account["owner"]["id"]) == account["owner"]["id"]
        if external_id is None:
            plain[person] = account["id"]
        else:
            bound[external_id] = (person, account["id"])
    assert len(set(owner_of.values())) == len(owner_of)


@given(st.lists(st.tuples(emails, external_ids), max_size=12))
def test_an_ignored_external_id_means_one_account_per_email(steps: list[tuple[str, str | None]]) -> None:
    whop = caller(Readings(external_id_ignored=True))
    made = {email.lower(): whop.create(email, external_id).json()["id"] for email, external_id in steps}
    accounts: Any = whop.simulator.dump()["accounts"]
    assert len(accounts) == 1 + len(made)
