"""Which web pages may use a control endpoint of a server on this machine: those of that server only.

Any page that the developer visits can send requests to a port on the loopback address. A browser names the page in
``Origin``, and lets no page change ``Host`` (https://fetch.spec.whatwg.org/#origin-header).
"""

from urllib.parse import urlsplit

_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


def is_loopback(host: str) -> bool:
    """Whether a ``Host`` header names this machine. Another name can be that of a page, rebound to this machine."""
    try:
        return urlsplit(f"//{host}").hostname in _LOOPBACK_NAMES
    except ValueError:
        return False


def may_control(host: str, origin: str | None) -> bool:
    """Whether a control endpoint answers a request with these two headers. Programs send no ``Origin``."""
    return is_loopback(host) and origin in (None, f"http://{host}")
