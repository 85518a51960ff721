"""From the address of a picture to a PNG, or to the reason why there is none."""

import base64
import hashlib
from collections.abc import Callable
from typing import TypedDict

from whop_chat.pictures.errors import PictureRefused, Reason
from whop_chat.pictures.image import normalised

type Source = Callable[[str], bytes]
"""The bytes at an address. Raises `PictureRefused`."""


class Fetched(TypedDict):
    """A picture: ``png`` is base64 of at most 300 KiB of PNG, and ``sha256`` the digest of the PNG in hexadecimal."""

    png: str
    sha256: str


class NotFetched(TypedDict):
    """Why there is no picture."""

    reason: Reason


def fetch(url: str, prefix: str, source: Source) -> Fetched | NotFetched:
    """The picture that ``source`` has at ``url``, which must begin with ``prefix``."""
    try:
        if not url.startswith(prefix):
            raise PictureRefused("url_refused")
        png = normalised(source(url))
    except PictureRefused as refused:
        return {"reason": refused.reason}
    return {"png": base64.b64encode(png).decode(), "sha256": hashlib.sha256(png).hexdigest()}
