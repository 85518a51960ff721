"""SnapStart: two copies of one environment of mint_token share no connection, key, secret or random number."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import snapshot_restore_py

from tests.fakes import tokens
from tests.fakes.shared import ROOT, event
from tests.fakes.tokens import SigningKey, signing_key
from tests.unit.runtime.test_credentials import lent
from tests.unit.test_settings import ENV
from whop_chat.runtime.snap_start import around_snapshots

PASSWORD = "a-password-of-the-endpoint"
# Seconds after which something that should happen at once has not happened.
PATIENCE = 10.0


@dataclass
class Seen:
    """One request: what it was, over which connection it came, and what it showed."""

    what: str
    connection: int
    showed: str = ""


@dataclass
class World:
    """Everything that the function reaches, at one address."""

    keys: list[SigningKey]
    api_key: str = "first-api-key"
    credentials: int = 1
    seen: list[Seen] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def answer(self, path: str, headers: Any, body: bytes) -> tuple[str, int, Any]:
        """What it was, the status and the answer."""
        if path == "/credentials":
            document = lent(self.credentials, ends_at=time.time() + 3600).json()
            return "credentials", 200 if headers["Authorization"] == PASSWORD else 403, document
        if path.endswith("/jwks.json"):
            return "keys", 200, json.loads(tokens.key_set_document(*self.keys))
        target = headers["X-Amz-Target"]
        if target and f"Credential=ASIA{self.credentials}/" not in headers["Authorization"]:
            return target, 400, {"__type": "ExpiredTokenException"}
        if target == "secretsmanager.GetSecretValue":
            return target, 200, {"SecretString": self.api_key}
        if target == "DynamoDB_20120810.GetItem":
            return target, 200, {}
        if target == "DynamoDB_20120810.UpdateItem":
            return target, 200, {"Attributes": LINKED}
        if path == "/api/v1/access_tokens" and headers["Authorization"] == f"Bearer {self.api_key}":
            return "mint", 200, {"token": "a-whop-token", "expires_at": json.loads(body)["expires_at"]}
        return "refused", 401, {}

    def wait_until_hung_up(self) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.opened == self.closed, PATIENCE)

    def take(self) -> list[Seen]:
        """The requests since the last time."""
        taken, self.seen = self.seen, []
        return taken


FETCHED = ["DynamoDB_20120810.GetItem", "credentials", "keys", "secretsmanager.GetSecretValue"]
LINKED = {
    "pk": {"S": f"USER#{tokens.POOL_ID}#{tokens.SUB}"},
    "status": {"S": "linked"},
    "attempt": {"S": "0123456789abcdef"},
    "generation": {"N": "1"},
    "whop_user_id": {"S": "user_Ada"},
    "whop_account_id": {"S": "biz_Child"},
    "synced_at": {"N": "1790000000"},
}


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the world, and tells it of connections."""

    protocol_version = "HTTP/1.1"
    world: World

    def setup(self) -> None:
        super().setup()
        with self.world.changed:
            self.world.opened += 1
            self.connection_id = self.world.opened

    def finish(self) -> None:
        super().finish()
        with self.world.changed:
            self.world.closed += 1
            self.world.changed.notify_all()

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        what, status, answer = self.world.answer(self.path, self.headers, body)
        self.world.seen.append(Seen(what, self.connection_id, self.headers["Authorization"] or ""))
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - so it is called

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def served(world: World) -> Iterator[str]:
    """The world on a free port of this machine."""
    handler = type("HandlerOfThisWorld", (Handler,), {"world": world})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Snapshot:
    """The environment that was copied, and its copies."""

    def __init__(self, address: str) -> None:
        environment = ENV | {
            "WHOP_BASE_URL": address,
            "AWS_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL": address,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{address}/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": PASSWORD,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
            "POWERTOOLS_METRICS_NAMESPACE": "UnitTests",
            "POWERTOOLS_SERVICE_NAME": "mint_token",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "layers" / "whop_chat")]),
            "PATH": os.defpath,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.runtime.restored_copies", "mint_token"],
            cwd=ROOT,
            env=environment | {"USER_POOL_CLIENT_IDS": tokens.CLIENT_ID, "USER_POOL_ID": tokens.POOL_ID},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait(self) -> None:
        assert self._said() == "snapshot"

    def restore(self, *bearers: str) -> dict[str, Any]:
        """A new copy's answers to requests with these tokens."""
        events = [event("mint_token") for _ in bearers]
        for each, bearer in zip(events, bearers, strict=True):
            each["headers"]["authorization"] = f"Bearer {bearer}"
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(events) + "\n")
        self._process.stdin.flush()
        said: dict[str, Any] = self._said()
        return said

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _said(self) -> Any:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("said: "):
                return json.loads(line.removeprefix("said: "))
        raise AssertionError("it ended")


@dataclass
class Run:
    """What two copies did that were restored after everything around them had changed."""

    before: list[Seen]
    hung_up: bool
    copies: list[dict[str, Any]]
    after: list[list[Seen]]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    withdrawn, current = signing_key("withdrawn"), signing_key("current")
    claims = tokens.access_claims(now=int(time.time()))
    bearers = [tokens.sign(claims, withdrawn), tokens.sign(claims, current), tokens.sign(claims, current)]
    world = World([withdrawn])
    with served(world) as address:
        snapshot = Snapshot(address)
        try:
            snapshot.wait()
            hung_up, before = world.wait_until_hung_up(), world.take()
            world.keys, world.api_key, world.credentials = [current], "second-api-key", 2
            copies, after = [], []
            for _ in range(2):
                copies.append(snapshot.restore(*bearers))
                after.append(world.take())
        finally:
            snapshot.close()
        yield Run(before, hung_up, copies, after)


def test_the_snapshot_was_taken_of_a_function_that_had_everything(run: Run) -> None:
    assert sorted(each.what for each in run.before) == FETCHED


def test_no_connection_is_open_in_a_snapshot(run: Run) -> None:
    assert run.hung_up


def test_no_connection_is_shared(run: Run) -> None:
    phases = [{each.connection for each in phase} for phase in [run.before, *run.after]]

    assert all(phases)
    assert len(set.union(*phases)) == sum(map(len, phases))


def test_a_key_that_was_withdrawn_before_the_copy_was_made_is_refused(run: Run) -> None:
    for copy in run.copies:
        refused, *accepted = copy["answers"]
        assert (refused["statusCode"], json.loads(refused["body"])["code"]) == (401, "invalid_token")
        assert [answer["statusCode"] for answer in accepted] == [200, 200]


def test_each_copy_asks_for_keys_api_key_waits_and_credentials_itself_and_once_before_the_first_event(run: Run) -> None:
    for seen in run.after:
        asked = [each.what for each in seen]
        assert sorted(asked[: len(FETCHED)]) == FETCHED
        assert not {"credentials", "keys", "secretsmanager.GetSecretValue"} & set(asked[len(FETCHED) :])
        assert asked.count("mint") == 2
        assert asked.index("DynamoDB_20120810.UpdateItem") > 2, "before the first event"


def test_no_copy_shows_what_was_valid_before(run: Run) -> None:
    showed = [each.showed for seen in run.after for each in seen]

    assert not [each for each in showed if "first-api-key" in each or "ASIA1/" in each]
    assert not [each for seen in run.after for each in seen if each.what == "refused"]


def test_copies_have_random_numbers_of_their_own(run: Run) -> None:
    first, second = (copy["random"] for copy in run.copies)

    assert first != second


def test_the_hooks_run_in_the_order_in_which_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy's first requests come after its own random numbers."""
    monkeypatch.setattr(snapshot_restore_py, "_before_snapshot_registry", [])
    monkeypatch.setattr(snapshot_restore_py, "_after_restore_registry", [])
    told: list[object] = []
    around_snapshots(lambda: told.append("forget"), resume=lambda: told.append(random.random()))

    for hooks in (snapshot_restore_py.get_before_snapshot(), snapshot_restore_py.get_after_restore()):
        random.seed(1)
        for hook, arguments, named in hooks:
            hook(*arguments, **named)

    assert told[0] == "forget"
    assert told[1] != random.Random(1).random()


def test_without_snap_start_the_runtime_needs_to_know_no_hooks() -> None:
    source = (ROOT / "functions" / "mint_token" / "app.py").read_text()
    world = World([signing_key("current")])
    code = "import sys; sys.modules['snapshot_restore_py'] = None; exec(sys.stdin.read())"
    with served(world) as address:
        environment = ENV | {
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_ENDPOINT_URL": address,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "PYTHONPATH": str(ROOT / "layers" / "whop_chat"),
            "PATH": os.defpath,
        }
        done = subprocess.run([sys.executable, "-c", code], input=source, env=environment, text=True, check=False)

    assert done.returncode == 0
