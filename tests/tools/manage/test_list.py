"""list --blocked, as an operator runs it: who, why, and who holds their Whop user."""

import dataclasses

import pytest

from tests.fakes.moto_aws import AN_HOUR
from tests.tools.manage.deployment import LINKED, TOMBSTONE, DeployedStack
from whop_chat.cognito.user import UserRef
from whop_chat.users.record import Record, Status

BLOCKED = Record(status=Status.BLOCKED, reason="no_verified_email", email_mode="verified", retry_at=4_000_000_000)
CONFLICT = Record(
    status=Status.BLOCKED, reason="identity_conflict", conflict_whop_user_id="user_Ann", email_mode="verified"
)


@pytest.fixture
def people(run: DeployedStack, ann: UserRef) -> dict[str, UserRef]:
    """A linked user, one in conflict with them, one without an address, and a deleted one."""
    people = {"ann": ann, **{name: run.cloud.sign_up(name) for name in ("ben", "cid", "dee")}}
    pending = run.write(ann, Record(status=Status.PENDING))
    run.users.link(ann, dataclasses.replace(LINKED, whop_user_id="user_Ann"), expected=pending, deadline=AN_HOUR)
    run.write(people["ben"], CONFLICT)
    run.write(people["cid"], BLOCKED)
    run.write(people["dee"], dataclasses.replace(TOMBSTONE, whop_user_id=None))
    return people


def test_who_is_blocked_is_listed_with_the_reason_and_the_holder(
    run: DeployedStack, people: dict[str, UserRef]
) -> None:
    shown = {each["sub"]: each for each in run("--json", "list", "--blocked").json["users"]}

    ben, cid = people["ben"].sub, people["cid"].sub
    assert shown.keys() == {ben, cid}
    assert (shown[ben]["reason"], shown[ben]["holder"]) == ("identity_conflict", people["ann"].sub)
    assert (shown[cid]["reason"], shown[cid]["retry_at"]) == ("no_verified_email", "2096-10-02T07:06:40Z")
    out = run("list", "--blocked").out
    assert f"{ben}: identity_conflict, user_Ann is held by {people['ann'].sub}" in out
    assert "@" not in out


def test_one_reason_can_be_asked_for(run: DeployedStack, people: dict[str, UserRef]) -> None:
    shown = run("--json", "list", "--blocked", "identity_conflict").json["users"]

    assert [each["sub"] for each in shown] == [people["ben"].sub]
