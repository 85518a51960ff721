"""AWS's clients without httpx and boto3, for `on_signup`. To send one message, both take too long to import."""

import socket  # For two constants: botocore's HTTP takes options as numbers of this module. No socket is opened here.
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import certifi
from botocore.awsrequest import AWSPreparedRequest
from botocore.httpsession import URLLib3Session

from whop_chat.runtime.aws_carrier import Carrier
from whop_chat.runtime.aws_session import AwsClients, config, isolated_session
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.errors import TransportError
from whop_chat.runtime.partitions import aws_roots

# /opt/ca-certificates on Lambda, where this file is in /opt/python/whop_chat/runtime.
_CA_DIRECTORY = Path(__file__).parents[3] / "ca-certificates"
_READ_SECONDS = 1.0
_MAX_RESPONSE_BYTES = 64 * 1024


def botocore_clients(*, region: str, endpoint: str | None = None) -> AwsClients:
    """Clients over botocore's own HTTP, for a caller that can abandon a late call. Call them inside `aws_call` only.

    Connecting may take a second, and so may each read. So a call may end after its deadline.
    """
    session = isolated_session()
    carrier: Any = Carrier(_BotocoreHttp(_roots(region)).attempt)
    session.register("before-send", carrier.send)
    return AwsClients(session.create_client, region=region, endpoint=endpoint, config=config())


class _Answer(NamedTuple):
    status_code: int
    headers: Mapping[str, str]
    content: bytes


class StrictSession(URLLib3Session):
    """botocore's own HTTP. A host must be among the certificate's alternative names, as in `whop_chat.runtime.http`."""

    def _get_ssl_context(self) -> Any:
        context: Any = super()._get_ssl_context()  # type: ignore[misc]
        context.hostname_checks_common_name = False
        return context


class _BotocoreHttp:
    """Sends requests by botocore's own HTTP, and reads small answers only."""

    def __init__(self, roots: str) -> None:
        # As botocore's clients set it: without, the body can wait 40 ms for the headers' acknowledgement.
        no_delay = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        options: dict[str, Any] = {
            "verify": roots,
            "timeout": _READ_SECONDS,
            "proxies": {},
            "socket_options": no_delay,
        }
        self._http = StrictSession(**options)

    def attempt(self, request: AWSPreparedRequest, _: Deadline) -> _Answer:
        """The answer to one request. Raises `TransportError`."""
        request.stream_output = True
        try:
            answer: Any = self._http.send(request)
            with answer.raw as stream:
                content = stream.read(_MAX_RESPONSE_BYTES + 1)
        except Exception as error:  # The errors of botocore and of urllib3 have no other common base.
            raise TransportError(type(error).__name__) from None
        if len(content) > _MAX_RESPONSE_BYTES:
            raise TransportError("ResponseTooLarge")
        return _Answer(answer.status_code, answer.headers, content)


def _roots(region: str) -> str:
    """The path of AWS's root certificates: the layer's short file, or Mozilla's. urllib3 takes only a file."""
    short = _CA_DIRECTORY / "aws.pem"
    return str(short) if aws_roots(region) == "aws" and short.is_file() else certifi.where()
