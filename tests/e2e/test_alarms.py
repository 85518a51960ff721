"""Each alarm is provoked once, by the fault that it is for, on a stack of its own.

The functions' own metrics are the lines that they wrote. The emulator has no metrics of SQS, Lambda and API Gateway, so
the tests make them of what the emulator shows: the messages of a queue, the answers of a function and of the API.
CloudWatch itself evaluates nothing here: `tools.watch` does, from the alarms as the template translates them.
"""

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.processes import wait_until
from local.sam import FAKE_KEYS, REGION
from local.stack import Deployment, LocalStack
from local.whop_simulator import Fault
from local.whop_simulator.control import SimulatorControl
from tests.alarms.deployed_alarms import EMAIL, alarms
from tests.e2e.confidential import Confidential
from tests.e2e.harness import SyncLane, TeamApp, deploy_again, invoke, make_key, message, record_with_status
from tests.fakes.functions import event
from tools.watch.alarms import Alarm
from tools.watch.samples import Name, Samples
from whop_chat.reconcile.checkpoint import Checkpoint

STACK = "watched"
_QUARTER = 900.0
# One moment for all lines of a fault, so that no period ends between two of them.
_NOW = 1_800_000_000.0 // _QUARTER * _QUARTER + 450
_LOG_SECONDS = 10.0


@dataclass
class Watched:
    """The stack with alarms, its app, and what its functions have written since the last fault."""

    cloud: LocalStack
    app: TeamApp
    key: str
    alarms: dict[str, Alarm]
    _seen: set[str] = field(default_factory=set)

    @property
    def deployment(self) -> Deployment:
        return self.app.deployment

    def client(self, service: str) -> Any:
        """A client with root's permissions."""
        session: Any = boto3.session.Session(
            aws_access_key_id=FAKE_KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=FAKE_KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=REGION,
        )
        return session.client(service, endpoint_url=self.cloud.emulator_url, config=Config(proxies={}))

    def physical(self, name: str) -> str:
        """What CloudFormation calls a resource of the stack."""
        return _physical(self.cloud, name)

    def forget(self) -> None:
        """Leave out what was written so far."""
        self._seen |= self._documents()

    def ringing(self, metric: str, *, at_least: int = 1, quarters: int = 1, others: Any = ()) -> set[str]:
        """The alarms that ring once the functions have written ``at_least`` samples of ``metric``.

        What was written counts as what each of the last ``quarters`` of an hour brought. ``others`` are samples of
        metrics of AWS.
        """
        found: set[str] = set()

        def written() -> bool:
            found.clear()
            found.update(self._documents() - self._seen)
            return sum(f'"{metric}":[' in each for each in found) >= at_least

        assert wait_until(written, _LOG_SECONDS, poll=0.3), f"{metric} is not in {found}"
        return self.ringing_for(*others, lines=found, quarters=quarters)

    def ringing_for(self, *others: tuple[Name, float], lines: Any = (), quarters: int = 1) -> set[str]:
        """The alarms that ring for these lines and samples."""
        samples = Samples()
        for back in range(quarters):
            samples.add_lines(lines, at=_NOW - back * _QUARTER)
            for name, value in others:
                samples.add(name, value, at=_NOW - back * _QUARTER)
        return {name for name, alarm in self.alarms.items() if alarm.is_in_alarm(samples, now=_NOW)}

    def queued(self, name: str) -> tuple[Name, float]:
        """The metric of the messages on a queue, from what the queue says."""
        attributes: Any = ["ApproximateNumberOfMessages"]
        url = self.physical(name)
        answer = self.cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=attributes)["Attributes"]
        metric = Name.of("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": url})
        return metric, float(answer["ApproximateNumberOfMessages"])

    def _documents(self) -> set[str]:
        """Each line in the embedded metric format of this stack, once: the log has it in two places."""
        lines = self.cloud.function_log()
        return {line[line.index('{"_aws"') :] for line in lines if '{"_aws"' in line and f"WhopChat/{STACK}" in line}


def _physical(cloud: LocalStack, name: str) -> str:
    answer = cloud.cloudformation.describe_stack_resource(StackName=STACK, LogicalResourceId=name)
    return answer["StackResourceDetail"]["PhysicalResourceId"]


@pytest.fixture(scope="module")
def watched(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> Watched:
    """A stack with alarms, and one user who is linked."""
    deployment = deploy_again(cloud, stack, STACK, {"AlarmEmail": EMAIL, "MintsPerMinute": "600"})
    key = make_key(cloud, confidential)
    cloud.put_api_key(deployment, key)
    app = TeamApp(cloud, deployment, confidential)
    return Watched(cloud, app, key, alarms(STACK, lambda name: _physical(cloud, name), pictures="off"))


@pytest.fixture(autouse=True)
def since_now(watched: Watched) -> None:
    """Each test sees what it causes itself."""
    watched.forget()


@pytest.fixture
def token(watched: Watched) -> str:
    """A token of a new user, who is linked."""
    user = watched.app.sign_up()
    record_with_status(watched.cloud, watched.deployment, user, "linked")
    watched.forget()
    return watched.app.sign_in(user).access


def _check(watched: Watched) -> dict[str, Any]:
    checked: dict[str, Any] = invoke(watched.cloud, watched.deployment["CheckReadinessFunctionName"], {})
    return checked


def test_a_stack_that_works_rings_no_alarm_and_is_ready(watched: Watched, token: str) -> None:
    assert watched.app.mint(token).status_code == 200
    assert _check(watched)["ready"]

    assert watched.ringing("Mints", quarters=3) == set()
    assert wait_until(lambda: watched.app.ready().status_code == 200, 15, poll=0.5)
    assert watched.app.ready().json()["status"] == "ready"


def test_an_outage_of_whop_rings_for_mints_and_for_the_api(
    watched: Watched, whop: SimulatorControl, token: str
) -> None:
    whop.add_fault(Fault("access_tokens.create", "status", status=500, count=None))
    answers = [watched.app.mint(token) for _ in range(6)]
    whop.clear_faults()

    failed = sum(answer.status_code >= 500 for answer in answers)
    api = {"ApiId": watched.physical("HttpApi")}
    of_the_api = [
        (Name.of("AWS/ApiGateway", "5xx", api), float(failed)),
        (Name.of("AWS/ApiGateway", "Count", api), float(len(answers))),
    ]
    assert watched.ringing("Mints", at_least=6, quarters=2, others=of_the_api) == {
        "MintFailuresAlarm",
        "ApiFailuresAlarm",
    }


def test_users_who_cannot_be_enrolled_ring_for_enrolments(watched: Watched, whop: SimulatorControl) -> None:
    tokens = [watched.app.sign_in(watched.app.create_by_admin()).access for _ in range(5)]
    watched.forget()
    whop.add_fault(Fault("accounts.create", "status", status=500, count=None))
    for each in tokens:
        assert watched.app.mint(each).status_code == 503
    whop.clear_faults()

    assert "EnrolmentFailuresAlarm" in watched.ringing("Enrolments", at_least=5, quarters=2)


def test_a_message_that_nobody_can_read_rings_for_dead_letters(watched: Watched) -> None:
    SyncLane(watched.cloud, watched.deployment).send("not a message of ours")

    assert wait_until(lambda: watched.queued("SyncDeadLetterQueue")[1] == 1, 20)
    assert watched.ringing_for(watched.queued("SyncDeadLetterQueue")) == {"DeadLettersAlarm"}


def test_an_event_that_cannot_be_delivered_rings(watched: Watched) -> None:
    """The emulator delivers every event, so the test puts one there, as EventBridge does."""
    watched.cloud.sqs.send_message(QueueUrl=watched.deployment["EventDeadLetterQueueUrl"], MessageBody="{}")

    assert watched.ringing_for(watched.queued("EventDeadLetterQueue")) == {"UndeliveredEventsAlarm"}


def test_a_message_that_waits_too_long_rings_and_makes_the_stack_unready(
    watched: Watched, whop: SimulatorControl
) -> None:
    """A message that was sent two hours ago, and that Whop does not let us handle."""
    user = watched.app.create_by_admin()
    whop.add_fault(Fault("accounts.create", "status", status=500, count=None))
    (record, *_) = event("sync_user_batch")["Records"]
    record["body"] = message(watched.app.pool_id, watched.app.username(user), user.sub)
    record["attributes"]["SentTimestamp"] = str(int((time.time() - 7200) * 1000))
    failed = invoke(watched.cloud, watched.deployment["SyncUserFunctionName"], {"Records": [record]})
    whop.clear_faults()

    assert len(failed["batchItemFailures"]) == 1
    assert watched.ringing("SyncAge") == {"QueueAgeAlarm"}
    assert _check(watched)["checks"]["queue"] == "late"


@contextlib.contextmanager
def _with_environment(watched: Watched, name: str, **changes: str) -> Iterator[Any]:
    """Lambda's client, while a function has these variables."""
    functions = watched.client("lambda")
    before = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": before | changes})
    try:
        yield functions
    finally:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": before})


def test_a_sign_up_that_cannot_be_enqueued_succeeds_and_rings(watched: Watched) -> None:
    """The function has lost the address of the queue, so it cannot send."""
    name, sign_up = watched.deployment["OnSignupFunctionName"], event("post_confirmation_sign_up")
    with _with_environment(watched, name, SYNC_QUEUE_URL=""):
        assert invoke(watched.cloud, name, sign_up) == sign_up

    assert watched.ringing("SignUpsNotEnqueued") == {"SignUpsNotEnqueuedAlarm"}


def test_a_function_that_fails_rings(watched: Watched) -> None:
    """A variable of the environment is lost, so the function does not start."""
    name = watched.deployment["ReconcileFunctionName"]
    with _with_environment(watched, name, USERS_TABLE="") as functions:
        answer = functions.invoke(FunctionName=name, Payload=json.dumps({"command": "continue"}))

    errors = float("FunctionError" in answer)
    assert watched.ringing_for((Name.of("AWS/Lambda", "Errors", {"FunctionName": name}), errors)) == {
        "FunctionErrorsAlarm"
    }


def test_a_function_without_concurrency_rings(watched: Watched) -> None:
    functions, name = watched.client("lambda"), watched.deployment["ReconcileFunctionName"]
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    try:
        with pytest.raises(ClientError) as caught:
            functions.invoke(FunctionName=name, Payload=json.dumps({"command": "continue"}))
    finally:
        functions.delete_function_concurrency(FunctionName=name)

    throttles = float(caught.value.response["Error"]["Code"] == "TooManyRequestsException")
    assert watched.ringing_for((Name.of("AWS/Lambda", "Throttles", {"FunctionName": name}), throttles)) == {
        "FunctionThrottlesAlarm"
    }


def test_a_run_that_stands_still_rings(watched: Watched) -> None:
    """The checkpoint of a run that nobody has advanced for two hours."""
    old = time.time() - 7200
    stuck = Checkpoint(run="stuck", backfill=False, dry_run=False, started_at=old, moved_at=old, version="1")
    watched.cloud.dynamodb.put_item(
        TableName=watched.deployment["UsersTableName"],
        Item={
            "pk": {"S": f"RECONCILE#{watched.app.pool_id}"},
            "version": {"S": "1"},
            "checkpoint": {"S": json.dumps(dataclasses.asdict(stuck))},
        },
    )
    invoke(watched.cloud, watched.deployment["ReconcileFunctionName"], {"command": "continue"})

    assert watched.ringing("ReconcilesUnfinished") == {"ReconcileUnfinishedAlarm"}


def test_a_refused_key_rings_in_every_function_and_makes_the_stack_unready(
    watched: Watched, whop: SimulatorControl, confidential: Confidential, token: str
) -> None:
    """The last test of the stack's key: Whop forgets it, and the secret keeps it."""
    assert whop.revoke_key(watched.key)

    assert _check(watched)["checks"]["api_key"] == "refused"
    assert watched.ringing("NotReady", quarters=2) == {"KeyRefusedAlarm", "NotReadyAlarm"}
    watched.forget()
    assert watched.app.mint(token).status_code == 502
    assert "KeyRefusedAlarm" in watched.ringing("KeyRefused")
    watched.forget()
    watched.app.sign_up()
    assert "KeyRefusedAlarm" in watched.ringing("KeyRefused")
    assert any('"service":"sync_user"' in each for each in watched._documents() - watched._seen)

    def is_not_ready() -> bool:
        answer = watched.app.ready()
        return answer.status_code == 503 and answer.json()["checks"]["api_key"] == "refused"

    assert wait_until(is_not_ready, 15, poll=0.5)

    watched.cloud.put_api_key(watched.deployment, make_key(watched.cloud, confidential))
    assert wait_until(lambda: _check(watched)["checks"]["api_key"] == "ok", 15, poll=1)
