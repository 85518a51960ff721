"""Whether anybody hears of an alarm."""

from collections.abc import Iterator

from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment

# SNS's word in place of an ARN (AWS, "ListSubscriptionsByTopic").
_PENDING = "PendingConfirmation"


def check(deployment: Deployment) -> Iterator[Finding]:
    """A problem if nobody is subscribed to the alarms, or has not confirmed it."""
    stack = deployment.stack
    topic = stack.outputs.get("AlarmTopicArn")
    if topic is None:
        if stack.parameters.get("Stage") == "prod":
            yield Finding(
                Severity.WARNING,
                "no_alarms",
                "Stage prod has no alarms, because AlarmEmail is empty.",
                "Deploy with an AlarmEmail that somebody reads.",
            )
        return
    pages = stack.client("sns").get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    subscribed = [each["SubscriptionArn"] for page in pages for each in page["Subscriptions"]]
    if not any(arn.startswith("arn:") for arn in subscribed):
        waits = "has not confirmed the link in AWS's e-mail" if _PENDING in subscribed else "is not subscribed any more"
        yield Finding(
            Severity.PROBLEM,
            "alarms_unheard",
            f"Nobody hears of an alarm: AlarmEmail {waits}.",
            "Confirm the e-mail, or subscribe to the topic <AlarmTopicArn> again.",
        )
