"""Asks ``fetch_picture`` for a picture.

That function reads what strangers wrote, so its answer is not trusted either.
"""

import base64
import json
from typing import Any, get_args

from whop_chat.pictures.errors import PictureRefused, Reason
from whop_chat.runtime.aws import AwsError, aws_call, validating
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline

MAX_PNG_BYTES = 300 * 1024
# Lambda's words for a function that ran out of memory or time, or was killed (AWS, "Troubleshoot execution issues").
_DEATHS = ("Runtime.ExitError", "Runtime.OutOfMemory", "Sandbox.Timedout")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


class PictureFetcher:
    """The function ``name``, called through ``aws``. Its clients must give a call the time that the function has."""

    def __init__(self, aws: AwsClients, name: str) -> None:
        self._aws = aws
        self._name = name

    def fetch(self, address: str, *, deadline: Deadline) -> bytes:
        """The picture at ``address``, as a PNG of at most `MAX_PNG_BYTES`.

        Raises `PictureRefused`, `whop_chat.runtime.aws.AwsError` and `whop_chat.runtime.deadline.DeadlineExceeded`.
        """
        with aws_call(deadline):
            answer: Any = self._aws.functions.invoke(
                FunctionName=self._name, Payload=json.dumps({"url": address}).encode()
            )
        with validating("Invoke"):
            content = json.loads(answer["Payload"].read())
            if "FunctionError" in answer:
                raise _failure(content)
            return _picture(content)


def _failure(content: Any) -> Exception:
    """What happened to the function. A picture that it did not survive is that picture's fault; an error is ours."""
    died = content.get("errorType") in _DEATHS or "Task timed out" in content.get("errorMessage", "")
    return PictureRefused("fetch_failed") if died else AwsError("FunctionError", operation="Invoke")


def _picture(answer: Any) -> bytes:
    """The picture in an answer of `whop_chat.pictures.fetch`. Raises `PictureRefused`, or `ValueError` and the like."""
    reason = answer.get("reason")
    if reason is not None:
        if reason not in get_args(Reason):
            raise ValueError("an unknown reason")
        raise PictureRefused(reason)
    png = base64.b64decode(answer["png"], validate=True)
    if len(png) > MAX_PNG_BYTES or not png.startswith(_SIGNATURE):
        raise ValueError("not a picture")
    return png
