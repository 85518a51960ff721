"""Which addresses a URL of a stranger may lead to. Resolver and connector are injected: no packet leaves here."""

from typing import Any

import httpcore
import pytest

from whop_chat.pictures.errors import PictureRefused
from whop_chat.pictures.public_address import PublicAddresses, is_public
from whop_chat.runtime.errors import TransportError

PUBLIC = "93.184.215.14"

NOT_PUBLIC = {
    "this network": "0.0.0.0",  # noqa: S104
    "private, 10": "10.0.0.1",
    "private, 172": "172.31.255.255",
    "private, 192": "192.168.1.1",
    "shared by a carrier": "100.64.0.1",
    "loopback": "127.0.0.1",
    "end of loopback": "127.255.255.254",
    "metadata of EC2": "169.254.169.254",
    "metadata of ECS": "169.254.170.2",
    "protocol assignments": "192.0.0.1",
    "documentation": "192.0.2.1",
    "relays of 6to4": "192.88.99.1",
    "benchmarks": "198.18.0.1",
    "multicast": "224.0.0.1",
    "multicast of an organisation": "239.255.255.255",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "loopback, IPv6": "::1",
    "mapped": "::ffff:169.254.169.254",
    "mapped, public": f"::ffff:{PUBLIC}",
    "mapped in hexadecimal": "::ffff:a9fe:a9fe",
    "compatible": "::169.254.169.254",
    "NAT64": "64:ff9b::a9fe:a9fe",
    "NAT64 of a network": "64:ff9b:1::a9fe:a9fe",
    "6to4": "2002:a9fe:a9fe::1",
    "Teredo": "2001:0:a9fe:a9fe::1",
    "site-local": "fec0::1",
    "link-local": "fe80::1",
    "link-local with a zone": "fe80::1%eth0",
    "metadata of EC2, IPv6": "fd00:ec2::254",
    "public IPv6": "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
    "one number": "2130706433",
    "hexadecimal": "0x7f.0.0.1",
    "octal": "0177.0.0.1",
    "short": "127.1",
    "nothing": "",
}


class Network:
    """Notes where it was asked to connect to."""

    def __init__(self) -> None:
        self.connected: list[str] = []

    def connect(self, address: str, _port: int, _seconds: float) -> httpcore.NetworkStream:
        self.connected.append(address)
        return httpcore.MockStream([])


@pytest.mark.parametrize("address", NOT_PUBLIC.values(), ids=NOT_PUBLIC)
def test_a_name_that_stands_for_it_is_refused_and_nothing_is_connected_to(address: str) -> None:
    network = Network()

    with pytest.raises(PictureRefused) as refused:
        PublicAddresses(lambda *_: [address], network.connect).connect("pictures.example", 443, 1.0)

    assert (refused.value.reason, network.connected) == ("address_not_public", [])


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "172.32.0.1", "100.128.0.1", "223.255.255.255"])
def test_a_public_address_is_connected_to_as_an_address(address: str) -> None:
    network = Network()

    PublicAddresses(lambda *_: [address], network.connect).connect("pictures.example", 443, 1.0)

    assert network.connected == [address]


@pytest.mark.parametrize("answers", [[PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], []], ids=str)
def test_one_address_that_is_not_public_is_enough(answers: list[str]) -> None:
    with pytest.raises(PictureRefused):
        PublicAddresses(lambda *_: answers, Network().connect).connect("pictures.example", 443, 1.0)


def test_a_name_is_resolved_once_so_a_second_answer_changes_nothing() -> None:
    answers = iter([[PUBLIC], ["169.254.169.254"]])

    network = Network()

    PublicAddresses(lambda *_: next(answers), network.connect).connect("rebinds.example", 443, 1.0)

    assert network.connected == [PUBLIC]
    assert next(answers) == ["169.254.169.254"]


def test_a_name_that_nobody_knows_is_a_failure_of_the_network() -> None:
    def unknown(*_: Any) -> list[str]:
        raise OSError

    with pytest.raises(TransportError, match="ConnectError"):
        PublicAddresses(unknown, Network().connect).connect("nobody.example", 443, 1.0)


def test_no_address_of_another_registry_than_ianas_is_public() -> None:
    assert is_public(PUBLIC)
    assert not any(is_public(address) for address in NOT_PUBLIC.values())
