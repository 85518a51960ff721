"""A unit test that reaches out to the network fails, whichever way it takes."""

import socket
import urllib.request
from collections.abc import Callable

import boto3
import httpx
import pytest
from botocore.config import Config

from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.http import HttpClient, Request

ELSEWHERE = ("192.0.2.1", 443)  # RFC 5737: nobody's


def by_socket() -> None:
    with socket.socket() as connection:
        connection.connect(ELSEWHERE)


def by_socket_without_an_exception() -> None:
    with socket.socket() as connection:
        connection.connect_ex(ELSEWHERE)


def by_datagram() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as connection:
        connection.connect(ELSEWHERE)


def by_create_connection() -> None:
    socket.create_connection(ELSEWHERE)


def by_our_client() -> None:
    HttpClient().send(Request("GET", "https://192.0.2.1/"), deadline=Deadline(5), max_bytes=1)


def by_name() -> None:
    HttpClient().send(Request("GET", "https://api.whop.com/"), deadline=Deadline(5), max_bytes=1)


def by_httpx() -> None:
    httpx.get("http://192.0.2.1/")


def by_urllib() -> None:
    urllib.request.urlopen("http://192.0.2.1/")


def by_boto3() -> None:
    client = boto3.client("sqs", region_name="eu-west-1", config=Config(retries={"total_max_attempts": 1}))
    client.list_queues()


WAYS = [
    by_socket,
    by_socket_without_an_exception,
    by_datagram,
    by_create_connection,
    by_our_client,
    by_name,
    by_httpx,
    by_urllib,
    by_boto3,
]


@pytest.mark.parametrize("reach_out", WAYS)
def test_nothing_leads_beyond_this_machine(reach_out: Callable[[], None]) -> None:
    with pytest.raises(pytest.fail.Exception, match="a unit test"):
        reach_out()


def test_this_machine_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        socket.create_connection(("localhost", listener.getsockname()[1])).close()
