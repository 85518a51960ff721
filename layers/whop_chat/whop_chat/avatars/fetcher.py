"""Asks ``fetch_picture`` for a picture.

That function reads what strangers wrote, so its answer is not trusted either.
"""

import base64
import contextlib
import json
from typing import Any, get_args

from whop_chat.pictures.errors import PictureRefused, Reason
from whop_chat.runtime.aws import aws_call
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline

MAX_PNG_BYTES = 300 * 1024
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
        # It ran out of time or of memory, or its code failed.
        if "FunctionError" not in answer:
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
                return _picture(json.loads(answer["Payload"].read()))
        raise PictureRefused("fetch_failed")


def _picture(answer: Any) -> bytes:
    """The picture in an answer of `whop_chat.pictures.fetch`.

    Raises `PictureRefused`, and the errors of a parser for anything else.
    """
    reason = answer.get("reason")
    if reason in get_args(Reason):
        raise PictureRefused(reason)
    png = base64.b64decode(answer["png"], validate=True)
    if len(png) > MAX_PNG_BYTES or not png.startswith(_SIGNATURE):
        raise ValueError("not a picture")
    return png
