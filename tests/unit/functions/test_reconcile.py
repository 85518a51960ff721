"""The function as it is deployed, against a pool, a table and a queue at moto."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import httpx
import pytest
from moto.sqs.models import sqs_backends

from tests.fakes import moto_aws
from tests.fakes.cloud import Cloud, cloud_at_moto
from tests.fakes.functions import Context, event, load_function
from tests.fakes.moto_aws import AN_HOUR, aws_at_moto
from whop_chat import bootstrap
from whop_chat.cognito.display_name import profile_digest
from whop_chat.cognito.user import UserRef
from whop_chat.reconcile.checkpoint import CheckpointStore
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import DeadlineExceeded
from whop_chat.runtime.http import HttpClient
from whop_chat.sync.queue import Source, decode
from whop_chat.users.record import Record, Status
from whop_chat.users.repository import DynamoDBUserRepository
from whop_chat.users.runs import DynamoDBRuns

PEOPLE = 65  # two pages

pytestmark = pytest.mark.thorough


class Killed(BaseException):
    """The invocation is gone."""


class Town:
    """Users who were there before, one of them linked and one gone; each call to AWS may be the last."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.users = DynamoDBUserRepository(aws_at_moto(), "users")
        self.people = [cloud.sign_up(f"user-{number}") for number in range(PEOPLE)]
        self.gone = UserRef(pool_id=cloud.pool_id, sub="0a1b2c3d-gone", username="0a1b2c3d-gone")
        self.write(self.people[0], profile_digest(self.people[0].sub, "User-0"))
        self.write(self.gone, None)
        self.calls = 0
        self.kill_at: int | None = None

    def write(self, user: UserRef, digest: str | None) -> None:
        record = Record(status=Status.LINKED, whop_user_id=f"user_{user.sub}", profile_digest=digest)
        self.users.put(user, record, expected=None, deadline=AN_HOUR)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.calls += 1
        arrived = moto_aws.answer(request)
        if self.calls == self.kill_at:
            raise Killed
        return arrived

    @property
    def expected(self) -> set[str]:
        """Whom a backfill has to hand on."""
        return {self.gone.sub, *(user.sub for user in self.people[1:])}

    def enqueued(self) -> Counter[str]:
        """Who is on the queue, which is empty afterwards. Their delays are for the worker, and would keep them here."""
        backend: Any = moto_aws_queue(self.cloud.queue_url)
        bodies = [message.body for message in backend._messages]
        backend._messages.clear()
        assert {decode(body).source for body in bodies} <= {Source.ENROL, Source.RECONCILE}
        return Counter(decode(body).user.sub for body in bodies)

    def forget(self) -> None:
        """No run has ever been."""
        dynamodb = moto_aws.client("dynamodb")
        for item in dynamodb.scan(TableName="users")["Items"]:
            if not item["pk"]["S"].startswith("USER#"):
                dynamodb.delete_item(TableName="users", Key={"pk": item["pk"]})

    def report(self) -> dict[str, Any]:
        report = CheckpointStore(aws_at_moto(), "users", self.cloud.pool_id).latest_report(deadline=AN_HOUR)
        assert report is not None
        return report


def moto_aws_queue(url: str) -> Any:
    (account,) = sqs_backends
    return sqs_backends[account][moto_aws.REGION].queues[url.rpartition("/")[2]]


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with cloud_at_moto("reconcile") as cloud, pytest.MonkeyPatch.context() as patch:
        town = Town(cloud)
        client = HttpClient(httpx.MockTransport(town.answer))
        patch.setattr(bootstrap, "HttpClient", lambda **_: client)
        patch.setattr("time.sleep", lambda _seconds: None)
        yield town


@pytest.fixture
def load(town: Town, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Callable[[], ModuleType]:
    # Powertools keeps one logger a service, and with it the output of the test that came first.
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", request.node.name)
    town.forget()
    town.enqueued()
    town.calls, town.kill_at = 0, None
    return lambda: load_function("reconcile")


def test_a_backfill_hands_on_everybody_who_is_out_of_step(town: Town, load: Callable[[], ModuleType]) -> None:
    answer = load().handler(event("reconcile_backfill"), Context(remaining_millis=900_000))

    assert town.enqueued() == Counter(town.expected)
    assert (answer["outcome"], answer["counts"]["seen"], answer["counts"]["enqueued_create"]) == ("completed", 65, 64)
    assert town.report() == {name: value for name, value in answer.items() if name != "phase"}


@pytest.mark.parametrize("name", ["reconcile_dry_run", "reconcile_start"])
def test_without_being_told_to_it_enrols_nobody(town: Town, load: Callable[[], ModuleType], name: str) -> None:
    answer = load().handler(event(name), Context(remaining_millis=900_000))

    assert set(town.enqueued()) == (set() if name == "reconcile_dry_run" else {town.gone.sub})
    assert (answer["counts"]["missing"], answer["counts"]["orphaned"]) == (64, 1)


def test_a_function_that_is_killed_at_any_call_goes_on_where_it_was(town: Town, load: Callable[[], ModuleType]) -> None:
    load().handler(event("reconcile_backfill"), Context(remaining_millis=900_000))
    whole, calls = town.report()["counts"], town.calls
    for at in range(2, calls + 1):
        town.forget()
        town.enqueued()
        town.calls, town.kill_at = 0, at
        with pytest.raises(Killed):
            load().handler(event("reconcile_backfill"), Context(remaining_millis=900_000))
        later = load()
        later._reconcile._clock = lambda: time.time() + 301
        later.handler(event("reconcile_continue"), Context(remaining_millis=900_000))

        assert set(town.enqueued()) == town.expected, at
        assert town.report()["counts"] == whole, at
        runs = DynamoDBRuns(aws_at_moto(), "users", town.cloud.pool_id)
        assert runs.progress(town.report()["run"], deadline=AN_HOUR).handed_on == len(town.expected), at


def test_a_page_of_users_with_all_that_a_user_may_have_is_read(
    town: Town, load: Callable[[], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fifty custom attributes of 2,048 characters each (Cognito, "Quotas")."""
    answer = town.answer
    attributes = [{"Name": f"custom:{number}", "Value": "x" * 2048} for number in range(50)]

    def laden(request: httpx.Request) -> httpx.Response:
        arrived = answer(request)
        if not request.headers["X-Amz-Target"].endswith(".ListUsers") or b"Filter" in request.content:
            return arrived
        listed = arrived.json()
        for user in listed["Users"]:
            user["Attributes"] += attributes
        return httpx.Response(200, json=listed)

    client = HttpClient(httpx.MockTransport(laden))
    monkeypatch.setattr(bootstrap, "HttpClient", lambda **_: client)
    report = load().handler(event("reconcile_dry_run"), Context(remaining_millis=900_000))

    assert (report.get("outcome"), report["counts"]["seen"]) == ("completed", PEOPLE)


def test_a_tick_without_a_run_does_nothing(town: Town, load: Callable[[], ModuleType]) -> None:
    assert load().handler(event("reconcile_continue"), Context()) == {"refused": "no run is under way"}
    assert load().handler(event("reconcile_stop"), Context()) == {"refused": "no run is under way"}
    assert town.calls == 2


@pytest.mark.usefixtures("town")
def test_another_event_is_refused_and_not_repeated(
    load: Callable[[], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    answer = load().handler({"command": "start", "somebody@example.test": "1"}, Context())

    assert answer.keys() == {"refused"}
    assert "example.test" not in json.dumps(answer) + capsys.readouterr().out


def test_the_log_has_the_report_and_the_metrics_and_nobody_by_name(
    load: Callable[[], ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    load().handler(event("reconcile_backfill"), Context(remaining_millis=900_000))
    written = capsys.readouterr().out
    lines = [json.loads(line) for line in written.splitlines()]

    (told,) = [line for line in lines if line.get("message") == "reconciled"]
    assert (told["level"], told["outcome"], told["counts"]["missing"]) == ("INFO", "completed", 64)
    (metrics,) = [line for line in lines if "_aws" in line]
    assert metrics["ReconcilesFinished"] == [1]
    assert (told["counts"]["seen"], told["counts"]["orphaned"]) == (65, 1)
    assert "user-1" not in written


@pytest.mark.parametrize("error", [AwsError("InternalServerError"), DeadlineExceeded()], ids=repr)
def test_a_scheduled_start_that_fails_is_an_error_which_lambda_retries(
    load: Callable[[], ModuleType], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Nobody reads its answer, and without a run no tick resumes it: the day would have no run."""

    def fails(*_args: object, **_kwargs: object) -> None:
        raise error

    monkeypatch.setattr("whop_chat.reconcile.checkpoint.CheckpointStore.load", fails)
    with pytest.raises(type(error)):
        load().handler({"command": "start", "scheduled": True}, Context())
    assert load().handler(event("reconcile_start"), Context()).keys() == {"refused"}


def test_what_nobody_foresaw_is_logged_and_not_raised(
    load: Callable[[], ModuleType], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("somebody@example.test")

    monkeypatch.setattr("whop_chat.reconcile.checkpoint.CheckpointStore.load", broken)
    answer = load().handler(event("reconcile_continue"), Context())

    assert answer == {"refused": "unexpected error; the log says more"}
    written = capsys.readouterr().out
    assert '"Defects"' in written
    assert "example.test" not in written
