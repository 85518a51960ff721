"""``make dev``: who may use its page, what the page is told, and when the stack is deployed again."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import httpx
import pytest

from local.dev.log import entries
from local.dev.playground import Playground
from local.dev.running import follow_sources
from local.dev.server import app
from local.sam import SamError
from local.stack import LocalStack

_PAGE = "http://127.0.0.1:8400"


class FakePlayground:
    """Notes what it is asked to do."""

    whop_url = "http://127.0.0.1:1"
    cognito_url = "http://127.0.0.1:2"
    api_url = "http://127.0.0.1:2/api"

    def __init__(self) -> None:
        self.done: list[str] = []
        self.breakages = {"down": lambda: self.done.append("down")}
        self.user_actions = {"deny": lambda sub: self.done.append(f"deny {sub}")}

    def configuration(self) -> dict[str, str]:
        """As in `Playground`."""
        return {"apiUrl": self.api_url}

    def mails(self) -> list[dict[str, str]]:
        """As in `Playground`."""
        return [{"to": "<script>@people.example.test", "text": "Your code is 123456"}]


@pytest.fixture
def playground() -> FakePlayground:
    return FakePlayground()


def ask(
    playground: FakePlayground, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """What the page's server answers."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app(cast(Playground, playground)))
        async with httpx.AsyncClient(transport=transport, base_url=_PAGE) as client:
            return await client.request(method, path, json=body, headers=dict(headers or {}))

    return asyncio.run(send())


def test_the_page_and_its_controls_are_served(playground: FakePlayground) -> None:
    assert "What the app sees" in ask(playground, "GET", "/").text
    assert "class ChatTokens" in ask(playground, "GET", "/client/chat-tokens.js").text
    assert ask(playground, "GET", "/control/configuration").json() == playground.configuration()
    assert ask(playground, "POST", "/control/break", {"what": "down"}, {"Origin": _PAGE}).is_success
    assert ask(playground, "POST", "/control/user", {"what": "deny", "sub": "ada"}).is_success
    assert playground.done == ["down", "deny ada"]


def test_whops_callback_is_passed_on_to_the_api(playground: FakePlayground) -> None:
    answer = ask(playground, "GET", "/oauth/whop/callback?code=c&state=s%2F1")
    assert (answer.status_code, answer.headers["location"]) == (
        307,
        "http://127.0.0.1:2/api/oauth/whop/callback?code=c&state=s%2F1",
    )


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example.test"}, {"Origin": "null"}, {"Host": "evil.example.test:8400"}],
    ids=["another page", "a page without an origin", "a rebound name"],
)
def test_other_pages_get_nothing_and_change_nothing(playground: FakePlayground, headers: Mapping[str, str]) -> None:
    for method, path in (("GET", "/"), ("GET", "/control/configuration"), ("POST", "/control/break")):
        assert ask(playground, method, path, {"what": "down"}, headers).status_code == 403
    assert playground.done == []


@pytest.mark.parametrize("body", [{}, {"what": "nothing"}, ["down"]])
def test_a_bad_request_is_answered(playground: FakePlayground, body: object) -> None:
    assert ask(playground, "POST", "/control/break", body).status_code == 400


def test_a_form_changes_nothing(playground: FakePlayground) -> None:
    form = {"Content-Type": "text/plain"}
    assert ask(playground, "POST", "/control/break", {"what": "down"}, form).status_code == 400
    assert playground.done == []


def test_the_page_may_load_from_nowhere_else(playground: FakePlayground) -> None:
    policy = ask(playground, "GET", "/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "https:" not in policy


def test_a_mail_is_shown_as_text(playground: FakePlayground) -> None:
    page = ask(playground, "GET", "/mail").text
    assert "123456" in page
    assert "<script>" not in page


def test_the_log_has_the_lines_of_our_code_only() -> None:
    line = {"level": "INFO", "message": "token minted", "service": "mint_token", "correlation_id": "c", "scopes": ["s"]}
    metrics = {"_aws": {}, "Mints": [1.0]}

    [entry] = entries([f"F\t{json.dumps(line)}", f"F\t{json.dumps(metrics)}", "F\tINIT_START", "F\t[1]"])

    assert (entry["function"], entry["message"], entry["correlation_id"]) == ("mint_token", "token minted", "c")
    assert entry["details"] == {"scopes": ["s"]}


class FakeCloud:
    """A stack with two sources, which notes how a change of them is put into force."""

    whop_url = "http://127.0.0.1:1"

    def __init__(self) -> None:
        self.parameters: dict[str, str] = {}
        self.template = self.package = "good"
        self.done: list[str] = []

    def sources(self, *, without: Path | None = None) -> str:
        """As in `LocalStack`."""
        return self.template if without else self.template + self.package

    def build(self) -> str:
        """As in `LocalStack`."""
        return self.template

    def deploy(self, template: str, _: str, parameters: dict[str, str]) -> None:
        """As in `LocalStack`."""
        self.parameters = parameters
        if template == "bad":
            raise SamError("a syntax error")
        self.done.append(f"deployed {template}")

    def restart_functions(self) -> None:
        """As in `LocalStack`."""
        self.done.append(f"restarted with {self.package}")


def test_a_change_is_put_into_force_also_after_a_bad_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = FakeCloud()
    edits = iter([("template", "bad"), ("template", "better"), ("package", "newer")])

    def edit(changed: Callable[[], bool], *_: object, **__: object) -> bool:
        """In place of waiting: the next edit, and Ctrl-C after the last."""
        assert not changed()
        setattr(cloud, *next(edits, ("", "")))
        if not changed():
            raise KeyboardInterrupt
        return True

    monkeypatch.setattr("local.dev.running.wait_until", edit)
    with pytest.raises(KeyboardInterrupt):
        follow_sources(cast(LocalStack, cloud), [_PAGE, "http://localhost:5173", "https://app.example.test"])

    assert cloud.done == ["deployed better", "restarted with newer"]
    assert "a syntax error" in capsys.readouterr().out
    assert cloud.parameters["OAuthReturnUrls"] == f"{_PAGE}/linked.html,https://app.example.test/linked"
