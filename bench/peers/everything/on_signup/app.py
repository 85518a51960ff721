"""The sign-up trigger with boto3 and Powertools, as their guides show it."""

import json
import os
from typing import Any

import boto3
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import event_source
from aws_lambda_powertools.utilities.data_classes.cognito_user_pool_event import PostConfirmationTriggerEvent
from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger()
metrics = Metrics()
sqs = boto3.client("sqs")


@logger.inject_lambda_context
@metrics.log_metrics
@event_source(data_class=PostConfirmationTriggerEvent)
def handler(event: PostConfirmationTriggerEvent, context: LambdaContext) -> dict[str, Any]:
    """Enqueue the sign-up and give the event back."""
    if event.trigger_source == "PostConfirmation_ConfirmSignUp":
        message = {
            "version": 1,
            "pool": event.user_pool_id,
            "username": event.user_name,
            "sub": event.request.user_attributes["sub"],
        }
        sqs.send_message(QueueUrl=os.environ["SYNC_QUEUE_URL"], MessageBody=json.dumps(message))
        metrics.add_metric("SignUpEnqueued", MetricUnit.Count, 1)
        logger.info("sign-up enqueued")
    return event.raw_event
