"""The simulator behind a socket: in a thread, and as a process."""

import contextlib
import json
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.whop_simulator import Simulator
from local.whop_simulator.asgi import served
from local.whop_simulator.control import SimulatorControl
from tests.tools.simulator.api import Api

ROOT = Path(__file__).parents[3]


@pytest.fixture
def real(simulator: Simulator, whop: Api) -> Iterator[httpx.Client]:
    with (
        served(simulator) as base_url,
        httpx.Client(
            base_url=f"{base_url}/api/v1",
            headers={"authorization": f"Bearer {whop.secret}"},
            timeout=5.0,
            trust_env=False,
        ) as client,
    ):
        yield client


def test_a_served_simulator_answers(real: httpx.Client) -> None:
    made = real.post("/accounts", json={"email": "a@people.test", "title": "Zoë"})
    assert (made.status_code, made.json()["title"]) == (201, "Zoë")
    assert real.get("/accounts", params={"query": "zoë"}).json()["data"][0]["id"] == made.json()["id"]


@pytest.mark.parametrize("kind", ["unreachable", "drop_before", "drop_after", "truncated"])
def test_a_served_simulator_drops_the_connection(real: httpx.Client, whop: Api, kind: Any) -> None:
    whop.fault("accounts.list", kind)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        real.get("/accounts")
    assert real.get("/accounts").status_code == 200


def test_a_served_simulator_delays_answers(real: httpx.Client, whop: Api) -> None:
    whop.fault("accounts.list", "delay", seconds=0.3)
    with pytest.raises(httpx.ReadTimeout):
        real.get("/accounts", timeout=0.05)
    whop.fault("accounts.list", "delay", seconds=0.05)
    assert real.get("/accounts").elapsed.total_seconds() >= 0.05


def test_a_served_call_completes_after_its_caller_gave_up(real: httpx.Client, whop: Api, simulator: Simulator) -> None:
    whop.fault("accounts.create", "delay", seconds=0.2)
    with pytest.raises(httpx.ReadTimeout):
        real.post("/accounts", json={"email": "a@people.test"}, timeout=0.05)
    simulator.advance(1)
    assert len(real.get("/accounts").json()["data"]) == 2


def test_a_served_simulator_drips_a_body(real: httpx.Client, whop: Api) -> None:
    whop.fault("accounts.list", "drip", seconds=0.0)
    assert real.get("/accounts").json()["data"]


def test_many_callers_at_once_get_one_account(real: httpx.Client) -> None:
    def create(_: int) -> str:
        return str(real.post("/accounts", json={"email": "a@people.test", "external_id": "one"}).json()["id"])

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(create, range(64)))) == 1


def test_many_threads_in_one_process_get_one_account(whop: Api) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: whop.create("a@people.test", "one"), range(200)))
    assert len({str(answer.json()["id"]) for answer in answers}) == 1
    assert [answer.status for answer in answers].count(201) == 1


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[str]:
    command = [sys.executable, "-m", "local.whop_simulator", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert found, line
            yield found[0]
        finally:
            running.terminate()
            running.wait(10)


def test_the_process_reads_a_key_file_and_shows_no_secret(tmp_path: Path) -> None:
    secret = secrets.token_urlsafe(16)
    (tmp_path / "key").write_text(f"{secret}\n")
    arguments = (
        "--key-file",
        str(tmp_path / "key"),
        "--company",
        "biz_Own",
        "--reading",
        "existing_account_status=201",
    )
    with process(*arguments) as base_url, SimulatorControl(base_url) as control:
        assert control.is_ready()
        assert control.readings().existing_account_status == 201
        headers = {"authorization": f"Bearer {secret}"}
        answer = httpx.get(f"{control.api_url}/accounts/me", headers=headers, trust_env=False)
        assert answer.json()["id"] == "biz_Own"
        assert secret not in json.dumps(control.state())


def test_a_stopped_simulator_is_not_ready(simulator: Simulator) -> None:
    with served(simulator) as base_url:
        gone = base_url
    with SimulatorControl(gone, timeout=1.0) as control:
        assert not control.is_ready()


@pytest.mark.parametrize("headers", [{"origin": "https://evil.example.test"}, {"host": "evil.example.test"}])
def test_no_web_page_controls_a_served_simulator(simulator: Simulator, headers: dict[str, str]) -> None:
    with served(simulator) as base_url:
        assert httpx.post(f"{base_url}/_simulator/reset", headers=headers).status_code == 403
        assert httpx.post(f"{base_url}/_simulator/reset").status_code == 200


@pytest.mark.parametrize("name", ["embedded-components.js", "whop-elements.js", "frame.js", "frame.html"])
def test_the_stand_ins_for_whop_s_scripts_are_served(simulator: Simulator, name: str) -> None:
    with served(simulator) as base_url:
        assert httpx.get(f"{base_url}/elements/{name}").status_code == 200
        assert httpx.get(f"{base_url}/elements/../{name}").status_code == 404
