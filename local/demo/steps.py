"""The steps of the demo, in order. A step that does not end as expected raises `UnexpectedError`."""

import base64
import json
import secrets

import httpx

from local.demo.chat_app import ChatApp, Tokens, User, made_up_email
from local.demo.console import StepPrinter
from local.demo.own_account import RETURN_TO, Browser, register_app, result_of
from local.processes import wait_until
from local.sam import architecture
from local.stack import Deployment, LocalStack

_STACK = "whop-chat-demo"
_CHANNEL = "chat_feed_demo"
_SYNC_SECONDS = 20.0


class UnexpectedError(Exception):
    """A step did not end as expected; the message says what was there instead."""


class Demo:
    """Runs the steps on a local stack."""

    def __init__(self, cloud: LocalStack, printer: StepPrinter) -> None:
        self._cloud = cloud
        self._step = printer.step

    def run(self) -> None:
        """Run every step. Raises `UnexpectedError` at the first that does not end as expected."""
        deployment = self._deploy()
        app = ChatApp(self._cloud, deployment)
        user = self._sign_up(app)
        whop_user = self._wait_for_sync(deployment, user)
        tokens = self._sign_in(app, user)
        token = self._mint(app, tokens)
        self._chat(token, whop_user)
        self._try_a_forged_token(app, tokens)
        self._chat_from_own_account(app, tokens, whop_user)

    def _deploy(self) -> Deployment:
        with self._step("build the stack") as report:
            template = self._cloud.build()
            report(f"for {architecture()}; an unchanged tree is not built again")
        with self._step("start AWS and Whop") as report:
            self._cloud.start()
            report(f"emulator on {_host(self._cloud.emulator_url)}, simulator on {_host(self._cloud.whop_url)}")
        with self._step("deploy with IAM enforced") as report:
            deployment = self._cloud.deploy(template, _STACK, register_app(self._cloud))
            report(f"{deployment['ApiUrl']} (here: {_host(deployment.api_url)})")
        with self._step("store the Whop API key") as report:
            key = f"apik_{secrets.token_urlsafe(24)}"
            self._cloud.whop.add_key(key)
            self._cloud.put_api_key(deployment, key)
            report(f"{_shortened(key)} in Secrets Manager")
        return deployment

    def _sign_up(self, app: ChatApp) -> User:
        with self._step("sign up") as report:
            user = app.sign_up(confirm=False)
            report(f"Cognito sent code {self._cloud.confirmation_code(user.email)} to {user.email}")
        with self._step("confirm the e-mail address") as report:
            app.confirm(user)
            report(f"Cognito user {user.sub}")
        return user

    def _wait_for_sync(self, deployment: Deployment, user: User) -> str:
        """Wait until the user is linked; the id of their Whop user."""
        with self._step("wait for the sync") as report:
            record: dict[str, str] = {}

            def linked() -> bool:
                record.update(self._cloud.user_record(deployment, user.sub))
                return record.get("status") == "linked"

            if not wait_until(linked, _SYNC_SECONDS):
                raise UnexpectedError(f"after {_SYNC_SECONDS:.0f} s the user's record is {record or 'not there'}")
            account, whop_user = record["whop_account_id"], record["whop_user_id"]
            if [each["id"] for each in self._cloud.whop.state()["accounts"]].count(account) != 1:
                raise UnexpectedError(f"Whop does not have one account {account}")
            report(f"linked to {whop_user}, connected account {account}")
            return whop_user

    def _sign_in(self, app: ChatApp, user: User) -> Tokens:
        with self._step("sign in") as report:
            tokens = app.sign_in(user)
            report(f"Cognito access token {_shortened(tokens.access)}")
            return tokens

    def _mint(self, app: ChatApp, tokens: Tokens) -> str:
        with self._step("POST /chat/token") as report:
            response = app.mint(tokens.access)
            _expect_status(response, 200)
            body = response.json()
            if not body["scopes"]:
                raise UnexpectedError("200: a token without scopes")
            report(f"200, {_shortened(body['token'])} until {body['expires_at']}, {len(body['scopes'])} scopes")
            return str(body["token"])

    def _chat(self, token: str, whop_user: str) -> None:
        with self._step("send a message at Whop") as report:
            response = self._cloud.http.post(
                f"{self._cloud.whop.api_url}/messages",
                headers={"Authorization": f"Bearer {token}"},
                json={"channel_id": _CHANNEL, "content": "Hello from Cognito"},
            )
            _expect_status(response, 200)
            sender = response.json()["user"]["id"]
            if sender != whop_user:
                raise UnexpectedError(f"200: the message is from {sender}, not from {whop_user}")
            report(f"200, “{response.json()['content']}” from {sender}")

    def _try_a_forged_token(self, app: ChatApp, tokens: Tokens) -> None:
        with self._step("try a forged token") as report:
            response = app.mint(forged(tokens.access))
            _expect_status(response, 401)
            report(f"401, WWW-Authenticate: {response.headers.get('www-authenticate', 'missing')}")

    def _chat_from_own_account(self, app: ChatApp, tokens: Tokens, company_user: str) -> None:
        """The second way: the user links a Whop account that they already have, and chats as that."""
        browser = Browser(self._cloud.http, app, made_up_email())
        own = self._link(app, tokens, browser)
        self._chat(self._mint(app, tokens), own)
        with self._step("unlink it") as report:
            _expect_status(app.call("DELETE", "/oauth/whop/link", tokens.access), 200)
            report("200, revoked at Whop")
        self._chat(self._mint(app, tokens), company_user)

    def _link(self, app: ChatApp, tokens: Tokens, browser: Browser) -> str:
        """Link the account of ``browser``; the id of its Whop user."""
        with self._step("link a Whop account") as report:
            begun = app.call("POST", "/oauth/whop/link", tokens.access, {"return_to": RETURN_TO})
            _expect_status(begun, 200)
            url = str(begun.json()["authorize_url"])
            _expect_status(browser.page(url), 200)
            report(f"200, the browser opens {_host(url)}/oauth/authorize")
        with self._step("agree at Whop") as report:
            callback = browser.agree(url)
            _expect_status(callback, 303)
            result = result_of(callback)
            if result is None:
                raise UnexpectedError("303: no result for the app")
            report(f"303, back at {RETURN_TO} with result {_shortened(result)}")
        with self._step("complete the link") as report:
            done = app.call("POST", "/oauth/whop/complete", tokens.access, {"result": result})
            _expect_status(done, 200)
            own = str(done.json()["whop_user"]["id"])
            report(f"200, linked to {own}")
            return own


def forged(token: str) -> str:
    """The token with another ``sub`` and the old signature."""
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims["sub"] = "00000000-0000-4000-8000-000000000000"
    changed = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{header}.{changed}.{signature}"


def _expect_status(response: httpx.Response, status: int) -> None:
    if response.status_code != status:
        raise UnexpectedError(f"{response.status_code} instead of {status}: {response.text[:500]}")


def _shortened(secret: str) -> str:
    return f"{secret[:8]}…"


def _host(url: str) -> str:
    return url.split("/")[2]
