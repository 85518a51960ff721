"""Connections to the public internet only: no URL of a stranger reaches what only this function can reach."""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

from whop_chat.pictures.errors import PictureRefused
from whop_chat.runtime.errors import TransportError
from whop_chat.runtime.http import Connect, ipv4_addresses, to_any_address

type Resolve = Callable[[str, int], Sequence[str]]
"""The addresses that a host name stands for. Raises OSError if there are none."""


class PublicAddresses:
    """Resolves a name, checks every address, and connects to one that was checked.

    A server of names can answer differently the next time. So the name is not resolved again between the two.
    """

    def __init__(self, resolve: Resolve = ipv4_addresses, connect: Connect = to_any_address) -> None:
        self._resolve = resolve
        self._connect = connect

    def connect(self, host: str, port: int, seconds: float) -> Any:
        """A connection to ``host`` within ``seconds``, for `whop_chat.runtime.http.HttpClient`.

        Raises `PictureRefused` if the name stands for any address that is not public, and `TransportError`.
        """
        try:
            addresses = self._resolve(host, port)
        except OSError:
            raise TransportError("ConnectError") from None
        if not addresses or not all(is_public(address) for address in addresses):
            raise PictureRefused("address_not_public")
        return self._connect(addresses[0], port, seconds)


def is_public(address: str) -> bool:
    """Whether this is an IPv4 address of the public internet, in dotted notation.

    The registry that Python's ``is_global`` follows is IANA's (RFC 6890). It calls multicast global, and the relays of
    6to4, which are gone (RFC 7526). No IPv6 address is public here: some of them stand for IPv4 addresses.
    """
    try:
        parsed = ipaddress.IPv4Address(address)
    except ValueError:
        return False
    return parsed.is_global and not parsed.is_multicast and parsed not in _RELAYS_OF_6TO4


_RELAYS_OF_6TO4 = ipaddress.IPv4Network("192.88.99.0/24")
