"""Fetches the picture of a user, and encodes it anew. It holds no secret, and its role may only log and read pictures.

It reads what strangers wrote. So it is a function of its own, which nobody but ``sync_avatar`` calls.
"""

import os
from functools import partial
from typing import Any

import boto3
from botocore.config import Config

from whop_chat.pictures import bucket
from whop_chat.pictures.download import download
from whop_chat.pictures.fetch import fetch
from whop_chat.pictures.public_address import PublicAddresses
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.http import HttpClient
from whop_chat.runtime.telemetry import lambda_telemetry
from whop_chat.settings import AwsSettings, PictureSettings

# Below the function's timeout, which has to hold the decoding too.
_SECONDS = 8.0

_telemetry = lambda_telemetry()
_settings = PictureSettings.from_env(os.environ)
_aws_settings = AwsSettings.from_env(os.environ)
_prefix = "https://" if _settings.avatar_source == "picture" else _settings.avatar_source.removesuffix("{sub}")
_s3 = boto3.client(
    "s3",
    region_name=_aws_settings.region,
    endpoint_url=_aws_settings.endpoint,
    config=Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 2}),
)


def handler(event: dict[str, Any], context: Any) -> Any:
    """The picture at ``event["url"]``, as `whop_chat.pictures.fetch.Fetched`, or the reason why there is none."""
    _telemetry.bind_request(context)
    client = HttpClient(connect=PublicAddresses().connect)
    try:
        web = partial(download, client, deadline=Deadline(_SECONDS))
        return fetch(event["url"], _prefix, web if _prefix == "https://" else partial(bucket.read, _s3))
    finally:
        # The next picture is of another stranger, who shares no connection with this one.
        client.close()
        _telemetry.flush()
