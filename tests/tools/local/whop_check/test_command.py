"""The command line: what it needs, what it refuses, and its exit status."""

import pytest

from local.whop_check.__main__ import SANDBOX, _tls, main
from local.whop_simulator import DEFAULT_COMPANY, Fault, Simulator
from local.whop_simulator.asgi import served
from tests.tools.local.whop_check.asking import EMAIL, remaining


@pytest.fixture
def environment(key: str) -> dict[str, str]:
    return {"WHOP_SANDBOX_API_KEY": key, "WHOP_SANDBOX_COMPANY_ID": DEFAULT_COMPANY}


def test_the_exit_status_says_whether_all_is_answered(
    environment: dict[str, str], simulator: Simulator, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(simulator) as url:
        assert main(["--base-url", url, "--email", EMAIL], environment) == 0
        simulator.add_fault(Fault("users.update", "status", status=403))
        assert main(["--base-url", url], environment | {"WHOP_SANDBOX_EMAIL": EMAIL}) == 1
    out = capsys.readouterr().out
    assert "not answered: PATCH" in out
    assert key not in out
    assert remaining(simulator) == []


def test_an_option_has_its_question_asked(
    environment: dict[str, str], simulator: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = simulator.add_person("stranger@people.test")
    with served(simulator) as url:
        assert main(["--base-url", url, "--email", EMAIL, "--other-user", stranger], environment) == 0
    out = capsys.readouterr().out
    assert out.count("not asked") == 2  # --oauth-client, --provoke-rate-limit
    assert "--other-user" not in out


def test_the_key_goes_to_no_server_with_a_mere_common_name() -> None:
    assert not _tls(trust_env=False).hostname_checks_common_name


def test_without_a_key_it_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {}) == 2
    said = capsys.readouterr().err
    for name in ("WHOP_SANDBOX_API_KEY", "WHOP_SANDBOX_COMPANY_ID", "WHOP_SANDBOX_EMAIL", "--email", SANDBOX):
        assert name in said


@pytest.mark.parametrize("wrong", ["my key", "my\nkey", "clé"])
def test_a_malformed_key_is_refused_and_not_repeated(
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
def test_only_the_sandbox_and_the_loopback_are_asked(
    environment: dict[str, str], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--email", EMAIL, "--base-url", url], environment) == 2
    assert "--base-url" in capsys.readouterr().err
