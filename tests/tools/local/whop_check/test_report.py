"""What a run prints, what it hides, and what it leaves at Whop."""

import io

import httpx
import pytest

from local.whop_check.client import Sandbox
from local.whop_check.probes import Answer
from local.whop_check.questions import Question
from local.whop_check.report import ask_all
from local.whop_simulator import Fault, Simulator, as_httpx_transport
from tests.tools.local.whop_check.asking import ALL_DELETED, Run, about, console, remaining


class TestAQuestion:
    def test_is_not_asked_without_its_option(self, sandbox: Sandbox, simulator: Simulator) -> None:
        run = Run(sandbox, about("owns none"), about("Retry-After"), given=frozenset())
        assert run.answered
        assert run.answers == ["not asked: needs --other-user", "not asked: needs --provoke-rate-limit"]
        assert "access_tokens.create" not in simulator.counts()

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            (Fault("users.update", "unreachable"), "not answered: ConnectError"),
            (Fault("users.update", "drop_after"), "not answered: RemoteProtocolError"),
            (Fault("users.update", "status", status=503), "not answered: PATCH /users/"),
            (Fault("users.update", "status", status=403), "not answered: PATCH /users/{id}: 403 forbidden"),
            (Fault("users.retrieve", "malformed"), "not answered: 200 without a JSON object"),
            (Fault("accounts.create", "drop_after"), "not answered: RemoteProtocolError"),
            (Fault("accounts.create", "malformed"), "not answered: 201 without a JSON object"),
            (Fault("accounts.create", "malformed", body="{}"), "not answered: an answer without id"),
            (Fault("accounts.create", "status_after", status=502), "not answered: POST /accounts: 502"),
        ],
    )
    def test_that_fails_does_not_stop_the_others(
        self, sandbox: Sandbox, simulator: Simulator, fault: Fault, reason: str
    ) -> None:
        simulator.add_fault(fault)
        run = Run(sandbox, about("null clear"), about("capitals"))
        assert not run.answered
        assert run.answers[0].startswith(reason)
        assert run.rows[1]["what to change"] == "as assumed"
        assert run.after == [ALL_DELETED]
        assert remaining(simulator) == []


class TestTheCleanUp:
    def test_runs_when_the_operator_interrupts(self, sandbox: Sandbox, simulator: Simulator) -> None:
        def interrupted(sandbox: Sandbox) -> Answer:
            sandbox.new_user()
            raise KeyboardInterrupt

        out = io.StringIO()
        with pytest.raises(KeyboardInterrupt):
            ask_all(sandbox, [about("capitals"), Question("interrupted", "", "", interrupted)], console(out))
        assert remaining(simulator) == []
        assert about("capitals").text in out.getvalue()
        assert ALL_DELETED in out.getvalue()

    def test_runs_when_the_table_cannot_be_printed(self, sandbox: Sandbox, simulator: Simulator) -> None:
        class Full(io.StringIO):
            def write(self, text: str) -> int:
                raise OSError("no space left on device")

        with pytest.raises(OSError, match="no space"):
            ask_all(sandbox, [about("capitals")], console(Full()))
        assert remaining(simulator) == []

    def test_lists_accounts_that_it_could_not_delete(self, sandbox: Sandbox, simulator: Simulator) -> None:
        simulator.add_fault(Fault("accounts.delete", "status", status=400, count=None))
        run = Run(sandbox, about("capitals"), about("GET /accounts?external_id="))
        assert run.answered
        left = remaining(simulator)
        assert len(left) == 3
        assert [line.split(" (")[0] for line in run.after] == [f"not deleted: {account}" for account in left]

    def test_says_when_it_could_not_list_accounts(self, sandbox: Sandbox, simulator: Simulator) -> None:
        simulator.add_fault(Fault("accounts.list", "unreachable"))
        (line,) = Run(sandbox, about("capitals")).after
        assert line.startswith("The accounts could not be listed (ConnectError)")
        assert remaining(simulator) == []


def test_the_key_and_tokens_are_hidden_even_if_whop_quotes_them(sandbox: Sandbox, simulator: Simulator) -> None:
    whop = as_httpx_transport(simulator)
    bearers = []

    def repeat(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/users/me") or request.method == "PATCH":
            bearers.append(request.headers["Authorization"].removeprefix("Bearer "))
            return httpx.Response(403, json={"error": {"message": f"no:\n\x1b[31m{bearers[-1]} is not allowed"}})
        return whop.handle_request(request)

    with httpx.Client(transport=httpx.MockTransport(repeat), base_url="http://127.0.0.1") as http:
        sandbox.http = http
        run = Run(sandbox, about("null clear"), about("outlive"))
    assert len(set(bearers)) == 2
    assert not any(bearer in run.text for bearer in bearers)
    assert run.text.count("[secret]") == 2
    assert "\x1b" not in run.text
