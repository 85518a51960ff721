"""How a command ends when it does not do its work: `Refused`, `NotDone`, or an error of AWS."""

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import DeadlineExceeded

AWS_ERRORS = (ClientError, BotoCoreError, AwsError, DeadlineExceeded)


class Refused(Exception):
    """The command will not or cannot do the work. The message tells the operator why, and what to do.

    ``data`` are more members of the JSON answer.
    """

    def __init__(self, message: str, **data: Any) -> None:
        super().__init__(message)
        self.data: Mapping[str, Any] = data


class NotDone(Exception):
    """The operator did not want the work done: a dry run, or a "no". The message is the answer of the command.

    ``status`` is the exit status. ``data`` is the JSON answer.
    """

    def __init__(self, message: str, *, status: int, **data: Any) -> None:
        super().__init__(message)
        self.status = status
        self.data: Mapping[str, Any] = data


def reason(error: Exception) -> str:
    """What AWS answered, or why it was not asked, on one line. ``error`` is one of `AWS_ERRORS`."""
    if isinstance(error, ClientError):
        answer = error.response.get("Error", {})
        return f"{error.operation_name}: {answer.get('Code', 'Unknown')}: {answer.get('Message', '')}"
    return " ".join(str(error).split()) or "AWS did not answer in time"
