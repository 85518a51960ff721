"""A fixture for tests that see no AWS account and reach nothing but this machine."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

REGION = "eu-west-1"
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_METRICS_NAMESPACE": "UnitTests",
}
_CONNECT, _CONNECT_EX, _RESOLVE = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo


@pytest.fixture(scope="session", autouse=True)
def nobody_s_account() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ENDPOINT_URL"):
            patch.delenv(name, raising=False)
        for name, value in _ENVIRONMENT.items():
            patch.setenv(name, value)
        patch.setattr(socket.socket, "connect", _connect)
        patch.setattr(socket.socket, "connect_ex", _connect_ex)
        patch.setattr(socket, "getaddrinfo", _resolve)
        yield


def _connect(connection: socket.socket, address: Any) -> None:
    _require_here(connection, address)
    _CONNECT(connection, address)


def _connect_ex(connection: socket.socket, address: Any) -> int:
    _require_here(connection, address)
    return _CONNECT_EX(connection, address)


def _require_here(connection: socket.socket, address: Any) -> None:
    """What `pytest.fail` raises is no `Exception`, so that nobody takes it for a failure of the network."""
    if connection.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
        pytest.fail("a unit test reaches out to the network")


def _resolve(host: Any, *args: Any, **named: Any) -> Any:
    """Of a name that is not this machine's, the resolver asks the network."""
    if host is not None and not _is_here(host.decode() if isinstance(host, bytes) else host):
        pytest.fail("a unit test asks the network for a name")
    return _RESOLVE(host, *args, **named)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost")
