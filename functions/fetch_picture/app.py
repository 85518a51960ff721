"""Fetches the picture of a user, and encodes it again. It holds no secret, and its role may only log and read pictures.

It reads what strangers wrote. So it is a function of its own, which nobody but ``sync_avatar`` calls.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from whop_chat.pictures.download import download
from whop_chat.pictures.fetch import Source, fetch
from whop_chat.pictures.public_address import PublicAddresses
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.http import HttpClient
from whop_chat.runtime.telemetry import lambda_telemetry
from whop_chat.settings import AwsSettings, PictureSettings

# Below the function's timeout, which has to hold the decoding too.
_SECONDS = 8.0


@contextmanager
def _web() -> Iterator[Source]:
    client = HttpClient(connect=PublicAddresses().connect)
    try:
        yield partial(download, client, deadline=Deadline(_SECONDS))
    finally:
        # The next picture is of another stranger, who shares no connection with this one.
        client.close()


def _bucket(settings: AwsSettings) -> Source:
    # Only this source pays for their imports.
    import boto3
    from botocore.config import Config

    from whop_chat.pictures import bucket

    config = Config(
        connect_timeout=1,
        read_timeout=2,
        retries={"total_max_attempts": 2},
        # Like every other region. For the old name of this one, botocore needs data that the build leaves out.
        s3={"us_east_1_regional_endpoint": "regional"},
    )
    client = boto3.client("s3", region_name=settings.region, endpoint_url=settings.endpoint, config=config)
    return partial(bucket.read, client)


_telemetry = lambda_telemetry()
_source = PictureSettings.from_env(os.environ).avatar_source
_objects = None if _source == "picture" else _bucket(AwsSettings.from_env(os.environ))


def handler(event: dict[str, Any], context: Any) -> Any:
    """The picture at ``event["url"]``, as `whop_chat.pictures.fetch.Fetched`, or the reason why there is none."""
    _telemetry.bind_request(context)
    try:
        if _objects is not None:
            return fetch(event["url"], _source.removesuffix("{sub}"), _objects)
        with _web() as web:
            return fetch(event["url"], "https://", web)
    finally:
        _telemetry.flush()
