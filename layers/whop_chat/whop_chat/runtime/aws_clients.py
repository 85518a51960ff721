"""boto3's clients for a function.

botocore builds and signs a request, and parses the answer. Our HTTP client sends it, because botocore's own timeouts
count for each read: a slow server could hold a caller for ever.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3.session
from botocore.awsrequest import AWSPreparedRequest

from whop_chat.runtime.aws_carrier import Carrier
from whop_chat.runtime.aws_session import AwsClients, config, isolated_session
from whop_chat.runtime.deadline import Deadline

if TYPE_CHECKING:
    from whop_chat.runtime.http import HttpClient, Response

_MAX_RESPONSE_BYTES = 1024 * 1024
_ATTEMPT_SECONDS = 1.0


def carried_clients(
    http: "HttpClient",
    *,
    region: str,
    endpoint: str | None = None,
    credentials: Any = None,
    attempt_seconds: float = _ATTEMPT_SECONDS,
    max_bytes: int = _MAX_RESPONSE_BYTES,
    sleep: Callable[[float], None] = time.sleep,
) -> AwsClients:
    """Clients whose requests ``http`` sends. Call them inside `aws_call` only.

    ``endpoint`` is the address of a local emulator, or None for AWS. ``credentials`` are those of a session, or None
    for the function's own. An attempt takes ``attempt_seconds`` at most, and its answer has ``max_bytes`` at most.
    """

    def attempt(request: AWSPreparedRequest, deadline: Deadline) -> "Response":
        content: Any = request.body or b""
        return http.request(
            request.method,
            request.url,
            headers=dict(request.headers),
            content=content,
            deadline=deadline.at_most(attempt_seconds),
            max_bytes=max_bytes,
        )

    session = isolated_session(credentials)
    carrier: Any = Carrier(attempt, sleep)
    session.register("before-send", carrier.send)
    carried = boto3.session.Session(botocore_session=session)
    return AwsClients(carried.client, region=region, endpoint=endpoint, config=config())
