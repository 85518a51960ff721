"""The steps of the demo, and how they are shown."""

import base64
import json
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from botocore.exceptions import ClientError

from local.demo.chat_app import ChatApp, Tokens, User
from local.processes import ServerError, interruptible, wait_until
from local.sam import EnvironmentMissingError, SamError, architecture
from local.stack import Deployment, LocalStack

_STACK = "whop-chat-demo"
_CHANNEL = "chat_feed_demo"
_SYNC_SECONDS = 20.0
_TITLE_WIDTH = 27

type Tell = Callable[[str], None]


class UnexpectedError(Exception):
    """A step did not end as it should; the message says what was there instead."""


class Narrator:
    """Prints each step with its time and result; colours on a terminal only."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._colours = out.isatty()

    @contextmanager
    def step(self, title: str) -> Iterator[Tell]:
        """One step; what is told inside is its result, the last one counts."""
        result = [""]
        begun = time.monotonic()
        if self._colours:
            self._write(f"  · {title}")
        try:
            yield lambda text: result.__setitem__(0, text)
        except BaseException:
            self._line("31", "✗", title, begun, "")
            raise
        self._line("32", "✓", title, begun, result[0])

    def say(self, text: str) -> None:
        """A line that is no step."""
        self._write(f"{text}\n")

    def _line(self, colour: str, mark: str, title: str, begun: float, result: str) -> None:
        seconds = f"{time.monotonic() - begun:5.1f} s"
        if self._colours:
            self._write("\r\033[2K")
            mark = f"\033[{colour}m{mark}\033[0m"
        self._write(f"  {mark} {title:<{_TITLE_WIDTH}}{seconds}   {result}".rstrip() + "\n")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


class Demo:
    """The steps, in order."""

    def __init__(self, cloud: LocalStack, narrator: Narrator) -> None:
        self._cloud = cloud
        self._step = narrator.step

    def run(self) -> None:
        """All of it. Raises `UnexpectedError` at the first step that is not as it should be."""
        deployment = self._deploy()
        app = ChatApp(self._cloud, deployment)
        user = self._sign_up(app)
        whop_user = self._see_the_sync(deployment, user)
        tokens = self._sign_in(app, user)
        token = self._mint(app, tokens)
        self._chat(token, whop_user)
        self._try_a_forged_token(app, tokens)

    def _deploy(self) -> Deployment:
        with self._step("build the stack") as tell:
            template = self._cloud.build()
            tell(f"for {architecture()}; unchanged sources are not built again")
        with self._step("start AWS and Whop") as tell:
            self._cloud.start()
            tell(f"emulator on {_host(self._cloud.emulator_url)}, simulator on {_host(self._cloud.whop_url)}")
        with self._step("deploy it, IAM enforced") as tell:
            deployment = self._cloud.deploy(template, _STACK)
            tell(f"{deployment['ApiUrl']} (here: {_host(deployment.api_url)})")
        with self._step("store the Whop API key") as tell:
            key = f"apik_{secrets.token_urlsafe(24)}"
            self._cloud.whop.add_key(key)
            self._cloud.put_api_key(deployment, key)
            tell(f"{_shortened(key)} in Secrets Manager")
        return deployment

    def _sign_up(self, app: ChatApp) -> User:
        with self._step("sign up") as tell:
            user = app.sign_up(confirm=False)
            code = self._cloud.confirmation_code(user.email)
            tell(f"{user.email} got the code {code} by mail")
        with self._step("confirm") as tell:
            app.confirm(user)
            tell(f"Cognito user {user.sub}")
        return user

    def _see_the_sync(self, deployment: Deployment, user: User) -> str:
        with self._step("the sync arrives") as tell:
            record: dict[str, str] = {}

            def linked() -> bool:
                record.update(self._cloud.user_record(deployment, user.sub))
                return record.get("status") == "linked"

            if not wait_until(linked, _SYNC_SECONDS):
                raise UnexpectedError(f"after {_SYNC_SECONDS:.0f} s the user's record is {record or 'not there'}")
            accounts = [
                each for each in self._cloud.whop.state()["accounts"] if each["id"] == record["whop_account_id"]
            ]
            if len(accounts) != 1:
                raise UnexpectedError(f"Whop has {len(accounts)} accounts {record['whop_account_id']}")
            tell(f"linked to {record['whop_user_id']}, connected account {record['whop_account_id']}")
            return record["whop_user_id"]

    def _sign_in(self, app: ChatApp, user: User) -> Tokens:
        with self._step("sign in") as tell:
            tokens = app.sign_in(user)
            tell(f"Cognito access token {_shortened(tokens.access)}")
            return tokens

    def _mint(self, app: ChatApp, tokens: Tokens) -> str:
        with self._step("POST /chat/token") as tell:
            response = app.mint(tokens.access)
            _expect(response.status_code == 200, response.status_code, response.text)
            body = response.json()
            _expect(bool(body["scopes"]), 200, "a token without scopes")
            tell(f"200, {_shortened(body['token'])} until {body['expires_at']}, {len(body['scopes'])} scopes")
            return str(body["token"])

    def _chat(self, token: str, whop_user: str) -> None:
        with self._step("say hello with it at Whop") as tell:
            response = self._cloud.http.post(
                f"{self._cloud.whop.api_url}/messages",
                headers={"Authorization": f"Bearer {token}"},
                json={"channel_id": _CHANNEL, "content": "Hello from Cognito"},
            )
            _expect(response.status_code == 200, response.status_code, response.text)
            speaker = response.json()["user"]["id"]
            _expect(speaker == whop_user, 200, f"the message is from {speaker}, not from {whop_user}")
            tell(f"200, “{response.json()['content']}” from {speaker}")

    def _try_a_forged_token(self, app: ChatApp, tokens: Tokens) -> None:
        with self._step("try a forged token") as tell:
            response = app.mint(_forged(tokens.access))
            _expect(response.status_code == 401, response.status_code, "a forged token was not refused")
            tell(f"401, WWW-Authenticate: {response.headers.get('www-authenticate', 'missing')}")


def _forged(token: str) -> str:
    """The token with somebody else's ``sub`` and the old signature."""
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims["sub"] = "00000000-0000-4000-8000-000000000000"
    changed = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"{header}.{changed}.{signature}"


def _expect(good: bool, status: int, otherwise: str) -> None:
    if not good:
        raise UnexpectedError(f"{status}: {otherwise[:500]}")


def _shortened(secret: str) -> str:
    return f"{secret[:8]}…"


def _host(url: str) -> str:
    return url.split("/")[2]


def main() -> int:
    """Run the demo; the exit status."""
    narrator = Narrator(sys.stdout)
    cloud, begun = LocalStack(), time.monotonic()
    try:
        with interruptible(), cloud:
            Demo(cloud, narrator).run()
    except KeyboardInterrupt:
        narrator.say("\nstopped")
        return 130
    except EnvironmentMissingError as error:
        narrator.say(f"\n{error}")
        return 1
    except (UnexpectedError, ServerError, SamError, ClientError, TimeoutError) as error:
        narrator.say(f"\n{error}\n\nThe logs of this run are in {cloud.folder}")
        return 1
    narrator.say(f"\n  All as it should be, in {time.monotonic() - begun:.0f} s. Nothing is left running.")
    return 0
