"""A picture in a bucket of the team."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from whop_chat.pictures.download import MAX_BYTES
from whop_chat.pictures.errors import PictureRefused

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def read(s3: "S3Client", url: str) -> bytes:
    """The object that ``url`` (``s3://bucket/key``) names, at most `MAX_BYTES`.

    The function's role decides which objects it may read. Raises `PictureRefused`. S3 answers 403 for a missing object
    to a role that may not list the bucket.
    """
    parts = urlsplit(url)
    try:
        answer = s3.get_object(Bucket=parts.netloc, Key=parts.path.removeprefix("/"))
        if answer["ContentLength"] > MAX_BYTES:
            raise PictureRefused("too_large")
        content: bytes = answer["Body"].read()
        return content
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404):
            raise PictureRefused("no_picture") from None
        raise PictureRefused("unreachable") from None
    except BotoCoreError:
        raise PictureRefused("unreachable") from None
