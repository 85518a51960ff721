"""The bytes that a URL of a stranger leads to."""

import re

from whop_chat.pictures.errors import PictureRefused, Reason
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.errors import TransportError
from whop_chat.runtime.http import URL, HttpClient, InvalidURL, Response

MAX_BYTES = 5 * 1024 * 1024
MAX_REDIRECTS = 3
_MAX_URL = 2048  # as Cognito's attribute

# A name whose last label is no number. Resolvers take 127.1, 0x7f000001 and 2130706433 for addresses, and so does the
# URL standard (https://url.spec.whatwg.org/#ends-in-a-number-checker).
_HOST_NAME = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"Accept": "image/png, image/jpeg, image/gif, image/webp", "User-Agent": "whop-chat-auth"}


def download(client: HttpClient, url: str, deadline: Deadline) -> bytes:
    """What ``url`` answers, at most `MAX_BYTES`, after at most `MAX_REDIRECTS` redirects.

    Each redirect is checked like the first URL. The content type is not read: it can say anything. Raises
    `PictureRefused`.
    """
    asked = _checked(url)
    for _ in range(1 + MAX_REDIRECTS):
        answer = _get(client, asked, deadline)
        if answer.status_code == 200:
            return answer.content
        if answer.status_code >= 500:
            raise PictureRefused("server_error")
        if answer.status_code not in _REDIRECTS or "location" not in answer.headers:
            raise PictureRefused("http_status")
        asked = _checked(answer.headers["location"], relative_to=asked)
    raise PictureRefused("too_many_redirects")


def _checked(url: str, relative_to: URL | None = None) -> URL:
    """``url``, parsed. Raises `PictureRefused` unless it is https on port 443 of a host name."""
    try:
        parsed = relative_to.join(url) if relative_to else URL(url)
    except (InvalidURL, ValueError):
        raise PictureRefused("url_refused") from None
    if (
        len(str(parsed)) > _MAX_URL
        or parsed.scheme != "https"
        or parsed.userinfo
        or parsed.port not in (None, 443)
        or not _HOST_NAME.fullmatch(parsed.raw_host.decode())
    ):
        raise PictureRefused("url_refused")
    return parsed


def _get(client: HttpClient, url: URL, deadline: Deadline) -> Response:
    try:
        return client.request("GET", str(url), headers=_HEADERS, deadline=deadline, max_bytes=MAX_BYTES)
    except DeadlineExceeded:
        raise PictureRefused("unreachable") from None
    except TransportError as error:
        raise PictureRefused(_REASONS.get(error.reason, "unreachable")) from None


_REASONS: dict[str, Reason] = {"BodyTooLarge": "too_large"}
