"""Why there is no picture."""

from typing import Literal

from whop_chat.runtime.errors import Refused

Reason = Literal[
    "no_picture",  # no such object in the bucket, or one that the role may not read
    "url_refused",  # not https on port 443 of a host name, or with credentials
    "address_not_public",  # the name stands for an address that is not of the public internet
    "too_many_redirects",
    "unreachable",  # no answer, no whole answer, or none in time
    "server_error",  # a 5xx
    "http_status",  # any other answer that is neither a picture nor a redirect
    "too_large",  # more bytes than are read
    "too_many_pixels",
    "not_a_picture",  # not a PNG, JPEG, GIF or WebP that can be decoded
    "fetch_failed",  # the function that fetches pictures did not survive this one
]
"""What `whop_chat.pictures` says of a picture that cannot be used. Users' data is in none of them."""

TRANSIENT: frozenset[Reason] = frozenset({"unreachable", "server_error", "fetch_failed"})
"""The reasons that may be gone after a while."""


class PictureRefused(Refused):
    """This picture cannot be used. ``reason`` may be logged and shown."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason
