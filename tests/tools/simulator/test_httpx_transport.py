"""The simulator behind an httpx client, without a socket."""

from typing import Any

import httpx
import pytest

from local.whop_simulator import Simulator
from tests.tools.simulator.api import COMPANY, Api, accounts


def test_the_transport_answers_like_a_server(client: httpx.Client) -> None:
    made = client.post("/accounts", json={"email": "a@people.test"})
    assert (made.status_code, made.json()["parent_account"]["id"]) == (201, COMPANY)
    assert client.get("/accounts", params={"owner_id": made.json()["owner"]["id"]}).json()["data"] == [
        made.json() | {"status": "active"}
    ]


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("unreachable", httpx.ConnectError),
        ("drop_before", httpx.RemoteProtocolError),
        ("drop_after", httpx.RemoteProtocolError),
        ("truncated", httpx.RemoteProtocolError),
    ],
)
def test_a_lost_connection_raises_what_a_socket_raises(
    client: httpx.Client, whop: Api, kind: Any, error: type[Exception]
) -> None:
    whop.fault("accounts.list", kind)
    with pytest.raises(error):
        client.get("/accounts")
    assert client.get("/accounts").status_code == 200


def test_a_long_delay_times_out_and_completes_later(client: httpx.Client, whop: Api, simulator: Simulator) -> None:
    whop.fault("accounts.create", "delay", seconds=10)
    with pytest.raises(httpx.ReadTimeout):
        client.post("/accounts", json={"email": "a@people.test"})
    assert accounts(simulator) == 1
    simulator.advance(10)
    assert accounts(simulator) == 2


def test_a_short_delay_takes_no_time(client: httpx.Client, whop: Api) -> None:
    whop.fault("accounts.list", "delay", seconds=4)
    assert client.get("/accounts").status_code == 200


def test_a_drip_arrives_byte_by_byte_or_times_out(client: httpx.Client, whop: Api) -> None:
    whop.fault("accounts.list", "drip", seconds=1)
    with client.stream("GET", "/accounts") as response:
        assert {len(chunk) for chunk in response.iter_raw()} == {1}
    whop.fault("accounts.list", "drip", seconds=6)
    with pytest.raises(httpx.ReadTimeout):
        client.get("/accounts")
