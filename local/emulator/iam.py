"""IAM: the permission that a call needs."""

from typing import Any

from ministack.core import iam_actions

from local.emulator.patching import Function, wrap

_BATCH = "Batch"


def install() -> None:
    """Apply the patches of this module."""
    wrap(iam_actions, "extract_iam_action", _batches_of_messages)


def _batches_of_messages(stock: Function) -> Function:
    """Stock asks for a permission of the batch's own; on AWS it is the one for a single message.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
    """

    def action(*args: Any, **kwargs: Any) -> Any:
        found = stock(*args, **kwargs)
        return found.removesuffix(_BATCH) if found and found.startswith("sqs:") else found

    return action
