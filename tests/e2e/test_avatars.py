"""From an object in a bucket of the team to the picture that a user has in the company's chat.

A picture from a URL takes the same way, but for its download, which goes to public addresses only. No packet of a test
leaves this machine, so tests/unit/pictures and tests/unit/functions/test_fetch_picture.py try that part.
"""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from local.demo.chat_app import User
from local.processes import wait_until
from local.stack import LocalStack
from local.whop_simulator import DEFAULT_COMPANY
from local.whop_simulator.control import SimulatorControl
from tests.e2e.harness import SYNC_SECONDS, SyncLane, TeamApp, manage, message, record_with_status

RED, BLUE = (255, 0, 0), (0, 0, 255)
FILES = ["files.create", "files.upload", "files.retrieve"]


class Gallery:
    """The bucket of the team, and what the company's chat shows."""

    def __init__(self, cloud: LocalStack, app: TeamApp, whop: SimulatorControl) -> None:
        self.cloud, self.app, self.whop = cloud, app, whop
        self.lanes = [SyncLane(cloud, app.deployment), SyncLane(cloud, app.deployment, "Avatar")]

    def put(self, user: User, content: bytes) -> None:
        """Store the user's picture, as the team's app does."""
        self.cloud.s3.put_object(Bucket="pictures", Key=f"avatars/{user.sub}", Body=content)

    def settle(self) -> None:
        """Wait until every sync and then every picture is done with."""
        for lane in self.lanes:
            lane.settle()

    def sign_up(self, content: bytes | None = None) -> User:
        """Somebody with a name, and with this picture if there is one."""
        user = self.app.sign_up(confirm=False)
        if content is not None:
            self.put(user, content)
        self.app.give_name(user, "Ada Lovelace")
        self.app.confirm(user)
        record_with_status(self.cloud, self.app.deployment, user, "linked")
        self.settle()
        return user

    def sign_in(self, user: User) -> None:
        """A sign-in, which starts a sync on this stack."""
        self.app.sign_in(user)
        self.settle()

    def profile(self, user: User) -> dict[str, Any]:
        """The user's profile in the company."""
        whop_user = self.record(user)["whop_user_id"]
        found = [each for each in self.whop.state()["profiles"] if each["user_id"] == whop_user]
        assert all(each["account_id"] == DEFAULT_COMPANY for each in found)
        return found[0] if found else {}

    def picture(self, user: User) -> str | None:
        """The SHA-256 of the user's picture in the company."""
        url = self.profile(user).get("picture_url")
        files = {each["id"]: each["sha256"] for each in self.whop.state()["files"]}
        return files[url.rpartition("/")[2]] if url else None

    def record(self, user: User) -> dict[str, str]:
        """The user's record."""
        return self.cloud.user_record(self.app.deployment, user.sub)

    def calls(self) -> dict[str, int]:
        """How many calls there were of each operation about pictures."""
        names = [*FILES, "users.update"]
        return {name: len(self.whop.calls(name)) for name in names}


@pytest.fixture
def gallery(cloud: LocalStack, pictured: TeamApp, whop: SimulatorControl) -> Iterator[Gallery]:
    gallery = Gallery(cloud, pictured, whop)
    yield gallery
    gallery.settle()


def picture(colour: tuple[int, int, int], format_: str = "JPEG", edge: int = 40) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (edge, edge), colour).save(file, format_)
    return file.getvalue()


def test_who_signs_up_with_a_picture_has_it_in_the_chat(gallery: Gallery) -> None:
    user = gallery.sign_up(picture(RED))

    profile, files = gallery.profile(user), gallery.whop.state()["files"]
    (shown,) = [each for each in files if each["id"] == profile["picture_url"].rpartition("/")[2]]
    assert profile["name"] == "Ada Lovelace"
    assert (shown["filename"], shown["visibility"], shown["status"]) == ("avatar.png", "public", "ready")
    assert shown["sha256"] is not None
    assert "picture_reason" not in gallery.record(user)


def test_the_same_picture_again_makes_no_call_and_another_one_is_shown(gallery: Gallery) -> None:
    user = gallery.sign_up(picture(RED, "PNG"))
    red, calls = gallery.picture(user), gallery.calls()
    gallery.sign_in(user)
    # Another file of the same pixels.
    gallery.put(user, picture(RED, "GIF"))
    gallery.sign_in(user)
    assert (gallery.picture(user), gallery.calls()) == (red, calls)

    gallery.put(user, picture(BLUE))
    gallery.sign_in(user)
    assert gallery.picture(user) not in (red, None)
    assert gallery.calls()["files.create"] == calls["files.create"] + 1
    assert gallery.profile(user)["name"] == "Ada Lovelace"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no_picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not_a_picture"),
        (picture(RED)[:200], "not_a_picture"),
        (bytes(5 * 1024 * 1024 + 1), "too_large"),
        (picture(RED, "PNG", edge=5001), "too_many_pixels"),
    ],
    ids=["missing", "svg", "truncated", "large", "many pixels"],
)
def test_a_broken_picture_leaves_the_name_in_place_and_says_why(
    gallery: Gallery, content: bytes | None, reason: str
) -> None:
    user = gallery.sign_up(content)

    assert gallery.profile(user)["name"] == "Ada Lovelace"
    assert gallery.picture(user) is None
    assert gallery.record(user)["picture_reason"] == reason
    status = manage(gallery.cloud, gallery.app.deployment.name, "status", user.sub)
    assert f'"picture_reason": "{reason}"' in status.stdout
    answer = gallery.app.mint(gallery.app.sign_in(user).access)
    assert answer.status_code == 200


def test_a_broken_picture_leaves_the_last_one_in_place(gallery: Gallery) -> None:
    user = gallery.sign_up(picture(RED))
    red = gallery.picture(user)
    gallery.put(user, b"not a picture")
    gallery.sign_in(user)

    assert gallery.picture(user) == red
    assert gallery.record(user)["picture_reason"] == "not_a_picture"


def test_the_picture_of_another_user_is_not_reached_by_an_attribute(gallery: Gallery) -> None:
    victim = gallery.sign_up(picture(RED))
    thief = gallery.app.sign_up(confirm=False)
    gallery.cloud.cognito.admin_update_user_attributes(
        UserPoolId=gallery.app.pool_id,
        Username=thief.email,
        UserAttributes=[{"Name": "picture", "Value": f"s3://pictures/avatars/{victim.sub}"}],
    )
    gallery.app.confirm(thief)
    record_with_status(gallery.cloud, gallery.app.deployment, thief, "linked")
    gallery.settle()

    assert gallery.picture(victim) is not None
    assert gallery.picture(thief) is None


def test_a_file_that_whop_has_not_processed_is_shown_by_a_later_delivery(
    gallery: Gallery, whop: SimulatorControl
) -> None:
    whop.change_readings(file_processing="after_a_minute")
    polls = gallery.calls()["files.retrieve"]
    user = gallery.app.sign_up(confirm=False)
    gallery.put(user, picture(RED))
    gallery.app.confirm(user)
    # A delivery polls twice, and then postpones its message.
    assert wait_until(lambda: gallery.calls()["files.retrieve"] == polls + 2, SYNC_SECONDS)
    assert wait_until(lambda: "picture_file_id" in gallery.record(user), SYNC_SECONDS)
    file = gallery.record(user)["picture_file_id"]
    whop.change_readings(file_processing="at_once")

    def shown() -> bool:
        return str(gallery.profile(user).get("picture_url", "")).endswith(file)

    assert wait_until(shown, 2 * SYNC_SECONDS)


def test_a_deleted_user_s_picture_is_replaced_by_the_neutral_one(gallery: Gallery) -> None:
    user = gallery.sign_up(picture(RED))
    red, whop_user = gallery.picture(user), gallery.record(user)["whop_user_id"]
    username = gallery.app.username(user)
    gallery.cloud.cognito.admin_delete_user(UserPoolId=gallery.app.pool_id, Username=username)
    gallery.lanes[0].send(message(gallery.app.pool_id, user.sub, user.sub, source="change"))
    record_with_status(gallery.cloud, gallery.app.deployment, user, "deleted")
    gallery.settle()

    assert gallery.picture(user) not in (red, None)
    assert gallery.record(user).get("whop_user_id") == whop_user
    assert not {"picture_at", "picture_digest", "picture_file_id"} & gallery.record(user).keys()


def test_reconcile_counts_pictures_that_were_not_looked_at(gallery: Gallery) -> None:
    user = gallery.sign_up()
    table, key = gallery.app.deployment["UsersTableName"], f"USER#{gallery.app.pool_id}#{user.sub}"
    gallery.cloud.dynamodb.update_item(
        TableName=table, Key={"pk": {"S": key}}, UpdateExpression="REMOVE picture_digest, picture_reason"
    )
    gallery.put(user, picture(BLUE))
    reconciled = manage(gallery.cloud, gallery.app.deployment.name, "reconcile", "--wait", "--yes")
    gallery.settle()

    assert '"picture": 1' in reconciled.stdout, reconciled.stderr
    assert gallery.picture(user) is not None


def test_a_poisonous_message_is_set_aside(gallery: Gallery) -> None:
    gallery.lanes[1].send("not a message of ours")

    assert gallery.lanes[1].has_dead_letter("not a message of ours")
