"""What the check says of a Whop that is read one way or the other, and what it leaves behind."""

import base64
import json
import re
import secrets
import threading
from collections.abc import Iterator, Mapping

import httpx
import pytest

from local.whop_check.questions import QUESTIONS, SANDBOX, Question, Sandbox, ask_all, main, shape
from local.whop_simulator import DEFAULT_COMPANY, Exchange, Fault, Limits, Request, Simulator, as_httpx_transport
from local.whop_simulator.asgi import served

EMAIL = "whop-check+{n}@people.test"
IN_FLIGHT = "still running"
RATE_LIMIT = "Retry-After"
STRANGER = "owns none"


class Crossing(Simulator):
    """Requests with an Idempotency-Key are all there before the first of them is answered."""

    def __init__(self) -> None:
        super().__init__()
        self._together = threading.Barrier(4)

    def receive(self, request: Request) -> Exchange:
        exchange = super().receive(request)
        if exchange.reservation is not None or (exchange.result is not None and exchange.result.status == 409):
            self._together.wait(10)
        return exchange


@pytest.fixture
def simulator() -> Simulator:
    return Simulator()


@pytest.fixture
def key() -> str:
    return f"apik_{secrets.token_urlsafe(16)}"


@pytest.fixture
def stranger(simulator: Simulator) -> str:
    return simulator.add_person("stranger@people.test")


@pytest.fixture
def sandbox(simulator: Simulator, key: str, stranger: str) -> Iterator[Sandbox]:
    simulator.add_key(key)
    with httpx.Client(transport=as_httpx_transport(simulator), base_url="http://127.0.0.1") as http:
        yield Sandbox(http, key, DEFAULT_COMPANY, EMAIL, other_user=stranger, provoke_rate_limit=True)


class Run:
    """One run of the check: what it printed, the rows of its table by question, and whether all is answered."""

    def __init__(self, sandbox: Sandbox, *questions: Question) -> None:
        printed: list[str] = []
        self.answered = ask_all(sandbox, questions, printed.append)
        self.text = "\n".join(printed)
        self.rows = rows(printed[0])
        self.after = printed[1:]

    def row(self, text: str) -> Mapping[str, str]:
        return next(row for row in self.rows if text in row["question"])


def rows(text: str) -> list[dict[str, str]]:
    """The table read back."""
    blocks = [block.splitlines() for block in text.split("\n\n")]
    head, rule = blocks[0]
    spans = [match.span() for match in re.finditer("-+", rule)]
    names = [head[start:end].strip() for start, end in spans]

    def cells(block: list[str]) -> dict[str, str]:
        texts = (" ".join(line[start:end].strip() for line in block).strip() for start, end in spans)
        return dict(zip(names, texts, strict=True))

    return [cells(block) for block in blocks[1:] if block]


def about(text: str) -> Question:
    """The question with these words."""
    (question,) = (question for question in QUESTIONS if text in question.text)
    return question


def without(*texts: str) -> list[Question]:
    return [question for question in QUESTIONS if not any(text in question.text for text in texts)]


def test_a_whop_that_is_as_we_assume_is_reported_as_such(key: str) -> None:
    simulator = Crossing()
    simulator.add_key(key)
    simulator.set_limits(Limits(calls=100))
    with httpx.Client(transport=as_httpx_transport(simulator), base_url="http://127.0.0.1") as http:
        stranger = simulator.add_person("stranger@people.test")
        run = Run(Sandbox(http, key, DEFAULT_COMPANY, EMAIL, stranger, provoke_rate_limit=True), *QUESTIONS)
    assert run.answered
    assert {row["question"]: row["what to change"] for row in run.rows} == {
        question.text: "as assumed" for question in QUESTIONS
    }
    assert run.after == ["Every account that was made is deleted."]
    assert remaining(simulator) == []


def remaining(simulator: Simulator) -> list[object]:
    """The connected accounts that are there."""
    accounts = simulator.dump()["accounts"]
    assert isinstance(accounts, list)
    return [account["id"] for account in accounts if account["parent_id"] is not None]


@pytest.mark.parametrize(
    ("question", "readings", "answer"),
    [
        ("at Api-Version-Date", {"access_token_field": "either"}, "account_id 200, company_id 200, both 200"),
        ("at Api-Version-Date", {"access_token_field": "company_id"}, "account_id 400, company_id 200, both 200"),
        ("without Api-Version-Date", {"access_token_field": "either"}, "account_id 200, company_id 200, both 200"),
        ("at 2026-09-02-1", {"access_token_field": "account_id"}, "account_id 200, company_id 400, both 200"),
        ("repeated Idempotency-Key", {"access_tokens_idempotent": True}, "replayed"),
        ("enrolment compares", {"external_id_ignored": True}, "owner.id, parent_account.id, email"),
        ("capitals", {"email_returned": "as_sent"}, "as sent"),
        ("same e-mail and external_id", {"existing_account_status": 201}, "201, the same account"),
        (
            "same e-mail and external_id",
            {"external_id_ignored": True, "metadata_external_id_counts": False},
            "200, the same account",
        ),
        ("update the account", {"existing_account_updated": True}, "title updated, metadata updated"),
        ("how many accounts", {"metadata_external_id_counts": False}, "one account"),
        ("GET /accounts?external_id=", {"external_id_ignored": True}, "other accounts too: it is ignored"),
        ("external_id null", {"external_id_ignored": True}, "still found by it"),
        (
            "another e-mail",
            {"external_id_ignored": True, "metadata_external_id_counts": False},
            "201, another account",
        ),
        (IN_FLIGHT, {}, "no refusal met (201, 201, 201, 201)"),
        ("null clear a name", {"null_clears_override": False}, "400 parameter_invalid (null is not allowed here.)"),
        (STRANGER, {"mint_for_stranger": "allowed"}, "200"),
        ("account was deleted", {"mint_for_stranger": "allowed"}, "200"),
        ("outlive", {"token_outlives_account": False}, "401 unauthorized (The access token is expired or revoked)"),
        ("deleted account free", {"deletion_frees_external_id": False}, "409 conflict (external_id is already in use"),
    ],
)
def test_another_reading_shows_as_another_answer(
    sandbox: Sandbox, simulator: Simulator, question: str, readings: Mapping[str, object], answer: str
) -> None:
    simulator.change_readings(readings)
    run = Run(sandbox, about(question))
    assert run.answered
    assert run.rows[0]["answer"].startswith(answer)
    expected = "as assumed" if answer == about(question).assumed else about(question).otherwise
    assert run.rows[0]["what to change"] == expected
    assert remaining(simulator) == []


def test_a_forbidden_stranger_is_told_from_an_unknown_one(sandbox: Sandbox, simulator: Simulator) -> None:
    simulator.change_readings({"mint_for_stranger": "forbidden"})
    run = Run(sandbox, about(STRANGER), about("account was deleted"))
    assert [row["answer"][:3] for row in run.rows] == ["403", "403"]


@pytest.mark.parametrize(
    ("header", "answer"), [(True, "header 60 (Try again in 60"), (False, "no header (Try again in 6")]
)
def test_the_rate_limit_is_met_and_its_answer_read(
    sandbox: Sandbox, simulator: Simulator, header: bool, answer: str
) -> None:
    simulator.change_readings({"retry_after_header": header})
    simulator.set_limits(Limits(calls=30))
    assert Run(sandbox, about(RATE_LIMIT)).rows[0]["answer"].startswith(answer)


def test_the_questions_behind_the_name_are_answered_under_the_other_name_too(
    sandbox: Sandbox, simulator: Simulator
) -> None:
    simulator.change_readings({"access_token_field": "company_id"})
    assert Run(sandbox, *without(IN_FLIGHT, RATE_LIMIT)).answered


def test_without_its_option_a_question_is_not_asked(sandbox: Sandbox, simulator: Simulator) -> None:
    sandbox.other_user, sandbox.provoke_rate_limit = None, False
    run = Run(sandbox, about(STRANGER), about(RATE_LIMIT))
    assert run.answered
    assert [row["answer"] for row in run.rows] == [
        "not asked: needs --other-user",
        "not asked: needs --provoke-rate-limit",
    ]
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
def test_a_question_that_fails_is_told_and_the_others_are_asked_and_all_is_cleaned_up(
    sandbox: Sandbox, simulator: Simulator, fault: Fault, reason: str
) -> None:
    simulator.add_fault(fault)
    run = Run(sandbox, about("null clear"), about("capitals"))
    assert not run.answered
    assert run.rows[0]["answer"].startswith(reason)
    assert run.rows[1]["what to change"] == "as assumed"
    assert run.after == ["Every account that was made is deleted."]
    assert remaining(simulator) == []


def test_what_was_made_is_deleted_when_the_operator_interrupts(sandbox: Sandbox, simulator: Simulator) -> None:
    def interrupted(sandbox: Sandbox) -> object:
        sandbox.person()
        raise KeyboardInterrupt

    interruption = Question("interrupted", "", "", interrupted)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        Run(sandbox, about("capitals"), interruption)
    assert remaining(simulator) == []


def test_what_was_made_is_deleted_when_nobody_reads_the_table(sandbox: Sandbox, simulator: Simulator) -> None:
    def tell(text: str) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        ask_all(sandbox, [about("capitals")], tell)
    assert remaining(simulator) == []


def test_accounts_that_cannot_be_deleted_are_listed(sandbox: Sandbox, simulator: Simulator) -> None:
    simulator.add_fault(Fault("accounts.delete", "status", status=400, count=None))
    run = Run(sandbox, about("capitals"), about("GET /accounts?external_id="))
    assert run.answered
    left = remaining(simulator)
    assert len(left) == 3
    assert [line.split(" (")[0] for line in run.after] == [f"not deleted: {account}" for account in left]


def test_it_is_said_when_the_clean_up_could_not_look_for_lost_accounts(sandbox: Sandbox, simulator: Simulator) -> None:
    simulator.add_fault(Fault("accounts.list", "unreachable"))
    run = Run(sandbox, about("capitals"))
    assert run.after == [
        "The accounts could not be listed (ConnectError): one that was made unseen may be left.",
    ]
    assert remaining(simulator) == []


def test_neither_key_nor_token_is_printed_though_whop_repeats_them(
    sandbox: Sandbox, simulator: Simulator, key: str
) -> None:
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
    assert not any(bearer in run.text.replace("\n", "") for bearer in bearers)
    assert run.text.count("[secret]") == 2
    assert "\x1b" not in run.text


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_of_a_jwt_the_names_are_told_and_no_value() -> None:
    token = f"{encoded({'typ': 'JWT', 'alg': 'ES256'})}.{encoded({'sub': 'user_1', 'exp': 1})}.signature"
    assert shape(token) == "a JWT; header alg, typ; claims exp, sub"


@pytest.mark.parametrize("token", ["", "opaque", "a.b.c", "..", f"{encoded([])}.{encoded({})}.s", "é.é.é"])
def test_anything_else_is_opaque(token: str) -> None:
    assert shape(token) == "opaque"


@pytest.fixture
def environment(key: str) -> dict[str, str]:
    return {"WHOP_SANDBOX_API_KEY": key, "WHOP_SANDBOX_COMPANY_ID": DEFAULT_COMPANY}


def test_the_command_asks_what_is_served_and_tells_by_its_status_whether_all_is_answered(
    environment: dict[str, str], key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    simulator = Simulator()
    simulator.add_key(key)
    with served(simulator) as url:
        assert main(["--base-url", url, "--email", EMAIL], environment) == 0
        simulator.add_fault(Fault("users.update", "status", status=403))
        assert main(["--base-url", url], environment | {"WHOP_SANDBOX_EMAIL": EMAIL}) == 1
    out = capsys.readouterr().out
    assert "not answered: PATCH" in out
    assert key not in out
    assert remaining(simulator) == []


def test_without_a_key_it_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {}) == 2
    said = capsys.readouterr().err
    for name in ("WHOP_SANDBOX_API_KEY", "WHOP_SANDBOX_COMPANY_ID", "WHOP_SANDBOX_EMAIL", "--email", SANDBOX):
        assert name in said


@pytest.mark.parametrize("wrong", ["a key", "a\nkey", "clé"])
def test_a_key_that_is_none_is_refused_without_repeating_it(
    environment: dict[str, str], wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--email", EMAIL], environment | {"WHOP_SANDBOX_API_KEY": wrong}) == 2
    assert wrong not in capsys.readouterr().err


@pytest.mark.parametrize("email", ["me@people.test", "me+{n}", "me@{n}.test", "a b+{n}@people.test"])
def test_an_address_without_room_for_a_number_is_refused(environment: dict[str, str], email: str) -> None:
    assert main(["--email", email], environment) == 2


@pytest.mark.parametrize(
    "url",
    [
        "https://api.whop.com",
        "http://sandbox-api.whop.com",
        "https://sandbox-api.whop.com/",
        "https://sandbox-api.whop.com.evil.test",
        "https://sandbox-api.whop.com@evil.test",
        "http://localhost:8080",
        "http://127.0.0.1.evil.test",
        "http://127.0.0.1:80@evil.test",
        "http://127.0.0.1:8080/path",
        "http://127.0.0.1:8080\n",
        "https://127.0.0.1:8080",
        "",
    ],
)
def test_it_asks_the_sandbox_and_this_machine_and_nobody_else(
    environment: dict[str, str], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--email", EMAIL, "--base-url", url], environment) == 2
    assert "--base-url" in capsys.readouterr().err
