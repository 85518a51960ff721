"""AWS's clients over botocore's own HTTP, for `on_signup`: for one message, httpx and boto3 cost a start too much."""

from pathlib import Path
from typing import Any

import certifi
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import HTTPClientError
from botocore.httpsession import URLLib3Session

from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.aws_session import AwsClients, Body, config, is_answer, isolated_session
from whop_chat.runtime.partitions import aws_roots

# /opt/ca-certificates on Lambda, where this file is /opt/python/whop_chat/runtime/aws.py.
_CA_DIRECTORY = Path(__file__).parents[3] / "ca-certificates"
# Over botocore's own HTTP: for a connect and for each read, and of an answer.
_UNCARRIED_SECONDS, _UNCARRIED_BYTES = 1.0, 64 * 1024


def uncarried_clients(*, region: str, endpoint: str | None = None) -> AwsClients:
    """Clients over botocore's own HTTP, for a function that does without ours and leaves a call that is late.

    Each call has two attempts. Connecting and each read may take a second.
    """
    session = isolated_session()
    handlers: Any = _retry_once, _Uncarried(_roots(region)).send
    session.register("needs-retry", handlers[0])
    session.register("before-send", handlers[1])
    return AwsClients(session.create_client, region=region, endpoint=endpoint, config=config())


class _Uncarried:
    """Sends by botocore's own HTTP, and reads no more than a small answer."""

    def __init__(self, roots: str) -> None:
        options: dict[str, Any] = {"verify": roots, "timeout": _UNCARRIED_SECONDS, "proxies": {}}
        self._http = URLLib3Session(**options)

    def send(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        """botocore's event ``before-send``: the answer to use in place of sending."""
        request.stream_output = True
        answer: Any = self._http.send(request)
        try:
            body = answer.raw.read(_UNCARRIED_BYTES + 1)
        finally:
            answer.raw.close()
        if len(body) > _UNCARRIED_BYTES:
            raise HTTPClientError(error="the answer is too large")
        operation = event_name.rpartition(".")[2]
        if answer.status_code == 200 and not is_answer(body, operation):
            raise AwsError("InvalidResponse", operation=operation)
        return AWSResponse(request.url, answer.status_code, answer.headers, Body(body))


def _roots(region: str) -> str:
    """The file of root certificates for AWS: urllib3 takes a file, and the layer has a short one."""
    short = _CA_DIRECTORY / "aws.pem"
    return str(short) if aws_roots(region) == "aws" and short.is_file() else certifi.where()


def _retry_once(attempts: int, response: Any, caught_exception: Exception | None, **_: Any) -> float | None:
    """botocore's event ``needs-retry``: the seconds until the next attempt, None for none."""
    transient = caught_exception is not None or response[0].status_code >= 500
    return 0.05 if transient and attempts == 1 else None
