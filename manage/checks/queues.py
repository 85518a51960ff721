"""Whether messages are read, wait for too long, or could not be handled at all."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment

_LATE_SECONDS = 3600
_PERIOD_SECONDS = 300
_RUNBOOK = "docs/runbook.md"
_READERS = {"SyncUserFunctionName": "sync_user", "SyncAvatarFunctionName": "sync_avatar"}
_STOPPED = {"Disabled", "Disabling", "Deleting"}
_DEAD = {
    "SyncDeadLetterQueueUrl": ("about users", f'"Dead letters" in {_RUNBOOK}'),
    "AvatarDeadLetterQueueUrl": ("about pictures", f'"Dead letters" in {_RUNBOOK}'),
    "EventDeadLetterQueueUrl": ("of EventBridge", f'"Undelivered events" in {_RUNBOOK}'),
}


def check(deployment: Deployment) -> Iterator[Finding]:
    """A problem for a queue that nothing reads and for a late one, and a warning for each that has dead letters."""
    outputs = deployment.stack.outputs
    for output, function in _READERS.items():
        states = _event_sources(deployment, outputs[output]) if output in outputs else ["Enabled"]
        if not set(states) - _STOPPED:
            yield Finding(
                Severity.PROBLEM,
                "queue_not_read",
                f"{function} does not read its queue: its event source is {' and '.join(states) or 'gone'}.",
                f'See "A function does not read its queue" in {_RUNBOOK}.',
            )
    if "SyncQueueUrl" in outputs:
        # What was received before is in the backlog only, and what was not is in SQS's metric only.
        age = max(deployment.backlog.age(deadline=deployment.deadline()), _age_of_unreceived(deployment))
        if age >= _LATE_SECONDS:
            yield Finding(
                Severity.PROBLEM,
                "queue_late",
                f"The oldest message of the sync queue waits for {age / 60:.0f} minutes.",
                f'See "Queue age" in {_RUNBOOK}.',
            )
    for output, (subject, entry) in _DEAD.items():
        count = _count(deployment, outputs[output]) if output in outputs else 0
        if count:
            yield Finding(
                Severity.WARNING, "dead_letters", f"{count} messages {subject} could not be handled.", f"See {entry}."
            )


def _event_sources(deployment: Deployment, function: str) -> list[str]:
    """The state of each (Lambda, "ListEventSourceMappings")."""
    answer = deployment.stack.client("lambda").list_event_source_mappings(FunctionName=function)
    return [mapping["State"] for mapping in answer["EventSourceMappings"]]


def _age_of_unreceived(deployment: Deployment) -> float:
    now = datetime.now(UTC)
    answer = deployment.stack.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/SQS",
        MetricName="ApproximateAgeOfOldestMessage",
        Dimensions=[{"Name": "QueueName", "Value": deployment.stack.output("SyncQueueUrl").rpartition("/")[2]}],
        StartTime=now - timedelta(seconds=3 * _PERIOD_SECONDS),
        EndTime=now,
        Period=_PERIOD_SECONDS,
        Statistics=["Maximum"],
    )
    points = sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])
    return float(points[-1]["Maximum"]) if points else 0.0


def _count(deployment: Deployment, url: str) -> int:
    """The approximate number of messages, also of those that somebody is looking at."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = deployment.stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return sum(map(int, answer["Attributes"].values()))
