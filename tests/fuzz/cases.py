"""One case: a function as it is deployed, a valid event with neighbours that answer, and one to three things wrong."""

import base64
import functools
import io
import json
import os
import random
import re
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest import mock
from urllib.parse import quote

from tests.fakes import tokens
from tests.fakes.functions import event, load_function
from tests.fakes.settings import SETTINGS
from tests.fakes.source_tree import ROOT
from tests.fuzz.mutations import copied, mutated, mutated_json, twisted_text
from tests.fuzz.neighbours import CANARIES, DATA_KEY_ARN, KEPT_TOKEN, POOL_ID, TABLE, USERNAME, Neighbours
from tests.fuzz.virtual_time import NOW, TIME
from whop_chat import bootstrap
from whop_chat.api.problems import KINDS
from whop_chat.cognito.user import UserRef
from whop_chat.minting import fallback
from whop_chat.runtime import aws_clients, aws_session, botocore_clients, deadline, http, prefetch
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.http import HttpClient, Request, Response
from whop_chat.sync.queue import Source, encode

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "Kanarie6Kanarie6Kanarie6",
    "AWS_REGION": "eu-west-1",
    "POWERTOOLS_METRICS_NAMESPACE": "Fuzz",
    "POWERTOOLS_SERVICE_NAME": "fuzz",
    "SYNC_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/sync",
    "SYNC_DEAD_LETTER_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/dead",
    "USER_POOL_ID": POOL_ID,
    "USER_POOL_CLIENT_IDS": tokens.CLIENT_ID,
    "USERS_TABLE": TABLE,
    "WHOP_SECRET_ARN": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:whop",
    **SETTINGS,
    "EMAIL_REUSE": "inherit",
    "DELETE_POLICY": "delete-account",
    "DATA_KEY_SECRET_ARN": DATA_KEY_ARN,
}
USER = UserRef(pool_id=POOL_ID, sub=tokens.SUB, username=USERNAME)
SOON = int(NOW) + 600
RECORDS: tuple[Mapping[str, Any] | None, ...] = (
    None,
    None,
    {"status": "linked", "whop_user_id": "user_Ada", "whop_account_id": "biz_Child"},
    {"status": "linked", "whop_user_id": "user_Ada", "whop_account_id": "biz_Child", "repairs": 1, "repaired_at": SOON},
    {"status": "pending", "lease_until": SOON},
    {"status": "pending", "idempotency_key": "key-1", "email_digest": "0" * 64, "key_since": int(NOW) - 60},
    {"status": "blocked", "reason": "no_verified_email", "email_mode": "verified", "retry_at": SOON},
    {"status": "blocked", "reason": "no_verified_email", "email_mode": "verified", "retry_at": 1},
    {"status": "denied"},
    {"status": "disabled", "whop_user_id": "user_Ada"},
    {"status": "deleted", "whop_user_id": "user_Ada", "generation": 2},
)
_CHECKPOINT = {"run": "20270115T080000Z-abc123", "backfill": True, "dry_run": False, "started_at": NOW - 60}
_CHECKPOINT |= {"version": "version-0", "moved_at": NOW - 30, "page": 1}
CHECKPOINTS: tuple[Mapping[str, Any] | None, ...] = (
    None,
    {**_CHECKPOINT, "phase": "listing"},
    {**_CHECKPOINT, "phase": "orphans"},
    {**_CHECKPOINT, "phase": "finished", "finished_at": NOW - 5, "outcome": "completed"},
)
DOCUMENTED = {
    code: int(status)
    for status, code in re.findall(r"^\| (\d{3}) \| `(\w+)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
}


@dataclass(frozen=True)
class Outcome:
    """What became of a case: how the function answered, and what is wrong with that."""

    answer: str
    wrong: tuple[str, ...]
    story: str


# Which answer of a neighbour goes wrong. The first of AWS is the API key, which is asked for again if need be.
_NUMBERS = {"aws": (0, 1, 1, 1, 2, 2, 3, 4, 5), "whop": (0, 0, 0, 1, 1, 2, 3)}


class Change:
    """One thing that is wrong, at one site. The same seed makes the same change, whatever else is changed."""

    def __init__(self, seed: str, sites: tuple[str, ...]) -> None:
        self.chance = random.Random(seed)
        self.site = self.chance.choice(sites)
        self.number = self.chance.choice(_NUMBERS.get(self.site, (0,)))


class Changes:
    """What is wrong with a case."""

    def __init__(self, changes: Collection[Change]) -> None:
        self._changes = changes

    def at[T](self, site: str, value: T, change: Callable[[Any, random.Random], Any] = mutated) -> T:
        """``value`` with the changes of this site."""
        for each in self._changes:
            if each.site == site:
                value = change(value, each.chance)
        return value

    def wrong_answers(self) -> dict[tuple[str, int], random.Random]:
        """Which answers of the neighbours go wrong, and by which chance."""
        return {(each.site, each.number): each.chance for each in self._changes if each.site in ("aws", "whop", "keys")}


@dataclass(frozen=True)
class Case:
    """The case ``number`` of the run ``seed``; ``kept`` are the changes to make, all unless it is told."""

    seed: int
    number: int
    kept: tuple[int, ...] | None = None

    def run(self) -> Outcome:
        """Call the function and look at everything that comes out of it."""
        TIME.begin_again()
        chance = random.Random(f"{self.seed}/{self.number}")
        name = chance.choices(list(_FUNCTIONS), weights=(60, 20, 8, 12))[0]
        function = _FUNCTIONS[name]
        count = chance.choice((1, 1, 1, 2, 2, 3))
        kept = range(count) if self.kept is None else self.kept
        changes = [Change(f"{self.seed}/{self.number}/{place}", function.sites) for place in kept]
        made = Changes(changes)
        request = copied(function.event(chance, made))
        neighbours = Neighbours(chance.choice(RECORDS), made.wrong_answers())
        if name == "reconcile":
            neighbours.checkpoint = chance.choice(CHECKPOINTS)
        if name == "mint_token":
            neighbours.kept_for = chance.choice((None, 60, 2400))
        sent = copied(request)
        with mock.patch.dict(os.environ, TOKEN_REUSE=chance.choice(("never", "on-error", "always"))):
            output, answer, failure = _called(name, request, neighbours)
        wrong = [f"an exception left the handler: {failure}"] if failure else function.wrong(sent, answer)
        answered = "an exception" if failure else function.label(answer)
        story = "\n".join(
            [
                f"function: {name}; wrong: {', '.join(f'{each.site} {each.number}' for each in changes)}",
                f"event: {_cut(json.dumps(sent))}",
                f"record: {neighbours.record}; exchanges: {dict(neighbours.seen)}",
                f"answer: {_cut(repr(answer))}",
                f"output: {_cut(output)}",
            ]
        )
        secret = [sent["headers"]["authorization"][-40:]] if _has_token(sent) else []
        wrong += told_too_much(output, secret)
        if name == "mint_token" and not failure:
            wrong += _answered_too_much(answer, secret)
        return Outcome(f"{name}: {answered}", tuple(wrong), story)

    def smallest(self) -> "Case":
        """The case with as few changes as still go wrong."""
        kept = self.kept or (0, 1, 2)
        for fewer in [(place,) for place in kept] + [tuple(k for k in kept if k != left) for left in kept]:
            smaller = Case(self.seed, self.number, fewer)
            if len(fewer) < len(kept) and smaller.run().wrong:
                return smaller
        return self


# The functions


@dataclass(frozen=True)
class _Function:
    """How a function is asked, at which sites that can be wrong, and what its answer must be."""

    sites: tuple[str, ...]
    event: Callable[[random.Random, Changes], Any]
    wrong: Callable[[Any, Any], list[str]]
    label: Callable[[Any], str]


def _mint_event(chance: random.Random, changes: Changes) -> Any:
    issuer = f"https://cognito-idp.eu-west-1.amazonaws.com/{POOL_ID}"
    mine = {
        "iss": issuer,
        "username": USERNAME,
        "cognito:groups": chance.choice((None, None, None, ["guests"], ["banned"])),
    }
    claims = changes.at("claims", tokens.access_claims(mine, now=int(NOW)))
    header = changes.at("header", {"alg": "RS256", "kid": tokens.signing_key().kid})
    payload = changes.at("payload", json.dumps(claims).encode(), mutated_json)
    # Signed with the right key, so that what is wrong is not found out by the signature.
    token = tokens.sign_raw(json.dumps(header).encode(), payload, tokens.signing_key())
    token = changes.at("token", token, _other_token)
    names = ("mint_token",) * 5 + ("mint_token_narrowed", "mint_token_base64", "health")
    request = event(chance.choice(names))
    request["headers"]["authorization"] = f"Bearer {token}"
    body = changes.at("body", b"", lambda _body, chance: mutated_json(b'{"features": ["channels"]}', chance))
    if body:
        encoded = chance.random() < 0.3
        request["body"] = base64.b64encode(body).decode() if encoded else body.decode("utf-8", "surrogateescape")
        request["isBase64Encoded"] = encoded
    request["headers"] = changes.at("headers", request["headers"])
    return changes.at("event", request)


def _other_token(token: str, chance: random.Random) -> str:
    """Another spelling, a bit that is not as it was, or a signature of another kind."""
    token = token or "."
    place = chance.randrange(len(token))
    flipped = chr(ord(token[place]) ^ 1 << chance.randrange(7))
    head, payload, signature, *_ = (*token.split("."), "", "")
    unsigned = tokens.base64url(json.dumps({"alg": chance.choice(("none", "HS256", "RS512", "PS256"))}).encode())
    return chance.choice(
        (
            token[:place] + flipped + token[place + 1 :],
            twisted_text(token, chance),
            f"{unsigned}.{payload}.{chance.choice(('', signature))}",
            f"{head}.{payload}.{tokens.base64url(chance.randbytes(256))}",
            f"{token}.{token}",
            f"{head}.{payload}",
        )
    )


def _mint_wrong(_event: Any, answer: Any) -> list[str]:
    try:
        headers, body = answer["headers"], json.loads(answer["body"])
        status = answer["statusCode"]
        json.dumps(answer).encode()
    except (KeyError, TypeError, ValueError) as error:
        return [f"not an answer: {error!r}"]
    wrong = [] if headers.get("Cache-Control") == "no-store" else ["without Cache-Control: no-store"]
    if status == 200:
        return wrong if body.get("status") == "ok" or body.get("token") else [*wrong, "a 200 that is none"]
    code = body.get("code")
    if not (code in KINDS and KINDS[code].status == DOCUMENTED.get(code) == status == body["status"]):
        wrong.append(f"a problem that no document knows: {status} {code}")
    return [*wrong, *(["internal_error"] if code == "internal_error" else [])]


def _mint_label(answer: Any) -> str:
    body = json.loads(answer["body"])
    token = "last token" if body.get("token") == KEPT_TOKEN else "token"
    return f"{answer['statusCode']} {body.get('code', 'health' if 'status' in body else token)}"


def _sync_event(chance: random.Random, changes: Changes) -> Any:
    batch = event("sync_user_batch")
    for record in batch["Records"]:
        body = encode(USER, chance.choice(list(Source)))
        record["body"] = changes.at("body", body.encode(), mutated_json).decode("utf-8", "surrogateescape")
    # What says which message it is stays: an answer could not be given without.
    ids = [record["messageId"] for record in batch["Records"]]
    records = [changes.at("record", record) for record in batch["Records"]]
    batch["Records"] = [
        {**(record if isinstance(record, dict) else {}), "messageId": name}
        for name, record in zip(ids, records, strict=True)
    ]
    return batch


def _sync_wrong(batch: Any, answer: Any) -> list[str]:
    known = [{"itemIdentifier": record["messageId"]} for record in batch["Records"]]
    failures = answer.get("batchItemFailures") if isinstance(answer, dict) and len(answer) == 1 else None
    right = isinstance(failures, list) and all(failures.count(each) == 1 and each in known for each in failures)
    return [] if right else [f"not an answer to the batch: {answer!r}"]


def _sign_up_event(chance: random.Random, changes: Changes) -> Any:
    trigger = event(chance.choice(("post_confirmation_sign_up", "post_confirmation_federated", "post_authentication")))
    trigger["userName"] = USERNAME
    trigger["request"]["userAttributes"]["email"] = CANARIES[2]
    return changes.at("event", trigger)


def _reconcile_event(chance: random.Random, changes: Changes) -> Any:
    names = ("reconcile_start", "reconcile_backfill", "reconcile_dry_run", "reconcile_continue", "reconcile_stop")
    return changes.at("event", event(chance.choice(names)))


_FUNCTIONS = {
    "mint_token": _Function(
        ("event", "headers", "body", "claims", "claims", "header", "payload", "token", "keys") + ("aws", "whop") * 4,
        _mint_event,
        _mint_wrong,
        _mint_label,
    ),
    "sync_user": _Function(
        ("record", "body", "body", "aws", "aws", "aws", "whop", "whop", "whop"),
        _sync_event,
        _sync_wrong,
        lambda answer: f"{len(answer['batchItemFailures'])} of 2 again",
    ),
    "on_signup": _Function(
        ("event", "event", "aws"),
        _sign_up_event,
        lambda sent, answer: [] if answer == sent else ["the event came back changed"],
        lambda _answer: "the event as it came",
    ),
    "reconcile": _Function(
        ("event", "aws", "aws", "aws"),
        _reconcile_event,
        lambda _sent, answer: [] if isinstance(answer, dict) and answer else ["not an answer"],
        lambda answer: "refused" if "refused" in answer else str(answer.get("phase", "an answer")),
    ),
}


class _Context:
    aws_request_id = "request-1"

    def __init__(self) -> None:
        self._end = TIME.monotonic() + 40

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * max(0.0, self._end - TIME.monotonic()))


def _called(name: str, request: Any, neighbours: Neighbours) -> tuple[str, Any, str]:
    """What the function wrote, answered, and raised if it did."""
    answer, failure = None, ""
    with _captured() as output, _outside(neighbours):
        try:
            answer = load_function(name).handler(request, _Context())
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            failure = f"{type(error).__name__} at {frames[-1].name}"
    return output(), answer, failure


class _Relay(HttpClient):
    """Hands each request to the neighbours of the case."""

    def __init__(self) -> None:
        self.neighbours: HttpClient = self

    def send(self, request: Request, *, deadline: Deadline, max_bytes: int) -> Response:
        """See `HttpClient.send`."""
        return self.neighbours.send(request, deadline=deadline, max_bytes=max_bytes)


_RELAY = _Relay()


@functools.cache
def _clients(**options: Any) -> aws_session.AwsClients:
    """Made once, because a session of botocore takes as long as a hundred cases."""
    return aws_clients.carried_clients(_RELAY, **options)


@contextmanager
def _outside(neighbours: Neighbours) -> Iterator[None]:
    """Within the block the functions reach ``neighbours`` and nobody else, from one thread."""
    _RELAY.neighbours = neighbours
    with ExitStack() as undo:
        for module in (http, bootstrap):
            undo.enter_context(mock.patch.object(module, "HttpClient", return_value=neighbours))
        undo.enter_context(mock.patch.object(bootstrap, "carried_clients", lambda _, **options: _clients(**options)))
        undo.enter_context(mock.patch.object(botocore_clients, "botocore_clients", _clients))
        for threaded in (prefetch, fallback, deadline):
            undo.enter_context(mock.patch.object(threaded, "threading", _OneThread))
        yield


class _OneThread:
    """What is fetched side by side is fetched in order, so that a case is the same each time."""

    class Thread:
        """Has run when it is started."""

        def __init__(self, *, target: Callable[..., None], args: tuple[Any, ...] = (), daemon: bool) -> None:
            self._run = functools.partial(target, *args)

        def start(self) -> None:
            self._run()

        def join(self, timeout: float) -> None:
            """It has ended already."""


_STREAM = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


@contextmanager
def _captured() -> Iterator[Callable[[], str]]:
    """All output, through a stream as strict about its encoding as the one of a function."""
    _STREAM.seek(0)
    _STREAM.truncate()
    with redirect_stdout(_STREAM), redirect_stderr(_STREAM):
        yield lambda: _STREAM.buffer.getvalue().decode()


# What must not come out


def _spellings(secret: str) -> Iterator[str]:
    """A secret as it may be written."""
    yield from (secret, quote(secret, safe=""), secret.encode().hex(), json.dumps(secret)[1:-1], secret[::-1])
    for shift in range(3):
        # Without the ends, which depend on what stands beside it.
        encoded = base64.b64encode(b"x" * shift + secret.encode()).decode()
        yield from (encoded[4:-4], encoded[4:-4].replace("+", "-").replace("/", "_"))


_SPELLINGS = tuple(
    {each for canary in (*CANARIES, ENVIRONMENT["AWS_SECRET_ACCESS_KEY"]) for each in _spellings(canary)}
)


def told_too_much(output: str, secrets: Collection[str] = ()) -> list[str]:
    """What of the output should not be there."""
    wrong = [f"output holds {secret!r}" for secret in (*_SPELLINGS, *secrets) if secret in output]
    if "Traceback" in output or '"exception"' in output:
        wrong.append(f"a stack in the log: {_last_error(output)}")
    if '"Defects"' in output:
        wrong.append("the metric Defects")
    return wrong


def _answered_too_much(answer: Any, secrets: list[str]) -> list[str]:
    body = json.loads(answer["body"])
    if answer["statusCode"] == 200:
        body.pop("token", None)  # It is for the caller, and no other.
    text = json.dumps([answer["headers"], body])
    wrong = [f"the answer holds {secret!r}" for secret in (*_SPELLINGS, *secrets) if secret in text]
    return wrong + (["a stack in the answer"] if "Traceback" in text else [])


def _has_token(sent: Any) -> bool:
    headers = sent.get("headers") if isinstance(sent, dict) else None
    authorization = headers.get("authorization") if isinstance(headers, dict) else None
    return isinstance(authorization, str) and len(authorization) > 100


def _last_error(output: str) -> str:
    found = re.findall(r"(\w+(?:Error|Exception|Error\b)[^\\\n\"]{0,80})", output)
    places = re.findall(r"/(\w+\.py)\\?\", line (\d+), in (\w+)", output.replace('\\"', '"'))
    return f"{found[-1] if found else '?'} at {' < '.join(':'.join(place) for place in places[-3:][::-1])}"


def _cut(text: str) -> str:
    return text if len(text) < 6_000 else f"{text[:6_000]}… ({len(text)} characters)"


def prepare() -> None:
    """The environment of every function, and the modules that the first case would wait for."""
    os.environ.update(ENVIRONMENT)
