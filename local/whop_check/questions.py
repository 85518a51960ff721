"""The questions, the calls that answer them, and the table of answers."""

import argparse
import base64
import json
import os
import re
import secrets
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

import httpx

from local.processes import interruptible
from local.whop_simulator.versions import SDK_PIN

SANDBOX = "https://sandbox-api.whop.com"
_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|\[::1\])(:\d{1,5})?")
_OLD_VERSION = "2026-09-02-1"  # the last one whose SDK release says company_id
_SCOPES = ["chat:read"]
_TIMEOUT_SECONDS = 20
_LONGEST_CELL = 200
_SIDE_BY_SIDE = 20
_ROUNDS = 75  # side by side, well above 600 calls a minute

type Json = dict[str, Any]


class NotAnsweredError(Exception):
    """A question has no answer; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``verdict`` is compared with what we assume; ``detail`` is for the reader."""

    verdict: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """A connected account that was made for a question, and the Whop user who owns it."""

    account_id: str
    user_id: str
    email: str
    external_id: str


@dataclass
class Sandbox:
    """The calls, and what they left behind. ``run`` makes the addresses and ids of this run unlike those of any other.

    Methods raise `NotAnsweredError` where the answer is of no use, and what httpx raises.
    """

    http: httpx.Client = field(repr=False)
    key: str = field(repr=False)
    company_id: str
    email_template: str
    other_user: str | None = None
    provoke_rate_limit: bool = False
    company_field: str = "account_id"
    run: str = field(default_factory=lambda: secrets.token_hex(4))
    hidden: set[str] = field(default_factory=set, repr=False)
    accounts: dict[str, None] = field(default_factory=dict)
    addresses: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hidden.add(self.key)

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        version: str | None = SDK_PIN,
        idempotency_key: str | None = None,
        bearer: str | None = None,
    ) -> httpx.Response:
        """One call as it is; ``version`` None leaves the header out."""
        headers = {"Authorization": f"Bearer {bearer or self.key}", "Accept": "application/json"}
        if version is not None:
            headers["Api-Version-Date"] = version
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        return self.http.request(method, f"/api/v1{path}", json=body, params=query, headers=headers)

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """`send`, for an answer about the question: not about the key, the pace, or Whop's health."""
        response = self.send(method, path, **options)
        if response.status_code in (401, 429) or response.is_server_error:
            raise NotAnsweredError(f"{method} {path}: {_refusal(response)} {_message(response)}")
        return response

    def address(self, suffix: str = "") -> str:
        """A new e-mail address."""
        email = self.email_template.replace("{n}", f"{self.run}-{len(self.addresses) + 1}{suffix}")
        self.addresses.append(email)
        return email

    def external_id(self) -> str:
        """A new external_id."""
        return f"whop-check:{self.run}:{secrets.token_hex(3)}"

    def create(
        self, email: str, external_id: str | None = None, *, idempotency_key: str | None = None, **fields: object
    ) -> httpx.Response:
        """POST /accounts; whatever it makes is remembered for the clean-up."""
        body = {"email": email, "title": "whop-check"} | fields | ({"external_id": external_id} if external_id else {})
        response = self.call("POST", "/accounts", body=body, idempotency_key=idempotency_key)
        if response.is_success:
            self.accounts[_text(_json(response), "id")] = None
        return response

    def person(self) -> Person:
        """A new connected account, made as the service makes it."""
        email, external_id = self.address(), self.external_id()
        account = _good(self.create(email, external_id, metadata={"external_id": external_id}), "POST /accounts")
        return Person(_text(account, "id"), _text(account, "owner", "id"), email, external_id)

    @cached_property
    def somebody(self) -> Person:
        """One person for all the questions that leave them as they are."""
        return self.person()

    def mint(self, user_id: str, *names: str, version: str | None = SDK_PIN, key: str | None = None) -> httpx.Response:
        """POST /access_tokens with the company under each of ``names``, or under ``company_field``."""
        company = dict.fromkeys(names or (self.company_field,), self.company_id)
        body = company | {"user_id": user_id, "scoped_actions": _SCOPES}
        response = self.call("POST", "/access_tokens", body=body, version=version, idempotency_key=key)
        if response.is_success:
            self.hidden.add(_text(_json(response), "token"))
        return response

    def look_up(self, external_id: str) -> list[str]:
        """The ids of a page of GET /accounts?external_id=."""
        return _ids(self.call("GET", "/accounts", query={"external_id": external_id}))

    def delete(self, account_id: str) -> httpx.Response:
        """DELETE /accounts/{id}."""
        response = self.call("DELETE", f"/accounts/{quote(account_id, safe='')}")
        if response.is_success or response.status_code == 404:
            self.accounts.pop(account_id, None)
        return response

    def shown(self, text: str) -> str:
        """``text`` on one line, not too long, without the key or a token in it."""
        for secret in self.hidden:
            text = text.replace(secret, "[secret]")
        return textwrap.shorten("".join(each if each.isprintable() else " " for each in text), _LONGEST_CELL)


@dataclass(frozen=True, slots=True)
class Question:
    """``otherwise``: what to change here if the answer is not the assumed one; ``asked_with``: the option it needs."""

    text: str
    assumed: str
    otherwise: str
    ask: Callable[[Sandbox], Answer]
    asked_with: str | None = None


def _company_names(version: str | None) -> Callable[[Sandbox], Answer]:
    def ask(sandbox: Sandbox) -> Answer:
        user = sandbox.somebody.user_id
        tried = {"account_id": ("account_id",), "company_id": ("company_id",), "both": ("account_id", "company_id")}
        answers = {name: sandbox.mint(user, *names, version=version) for name, names in tried.items()}
        refusals = (_message(answer) for answer in answers.values() if not answer.is_success)
        if version == SDK_PIN and answers["company_id"].is_success and not answers["account_id"].is_success:
            sandbox.company_field = "company_id"  # the questions that follow are not about the name
        verdict = ", ".join(f"{name} {answer.status_code}" for name, answer in answers.items())
        return Answer(verdict, next(refusals, ""))

    return ask


def _token_shape(sandbox: Sandbox) -> Answer:
    minted = _good(sandbox.mint(sandbox.somebody.user_id), "POST /access_tokens")
    return Answer(shape(_text(minted, "token")))


def shape(token: str) -> str:
    """The names in a JWT's header and claims, never a value; or that it is none."""
    try:
        header, claims = (_decoded(part) for part in token.split(".")[:2])
    except ValueError:
        return "opaque"
    return f"a JWT; header {', '.join(sorted(header))}; claims {', '.join(sorted(claims))}"


def _decoded(part: str) -> Json:
    decoded = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if not isinstance(decoded, dict):
        raise ValueError("not an object")
    return decoded


def _token_key(sandbox: Sandbox) -> Answer:
    key = secrets.token_hex(16)
    first, second = (sandbox.mint(sandbox.somebody.user_id, key=key) for _ in range(2))
    tokens = [_text(_good(answer, "POST /access_tokens"), "token") for answer in (first, second)]
    return Answer("replayed" if tokens[0] == tokens[1] else "ignored")


def _account_fields(sandbox: Sandbox) -> Answer:
    email, external_id = sandbox.address(), sandbox.external_id()
    account = _good(sandbox.create(email, external_id), "POST /accounts")
    wanted = {"owner.id": None, "parent_account.id": sandbox.company_id, "email": email, "external_id": external_id}
    found = {name: _at(account, *name.split(".")) for name in wanted}
    right = [name for name, value in found.items() if isinstance(value, str) and wanted[name] in (None, value)]
    return Answer(", ".join(right))


def _mixed_case(sandbox: Sandbox) -> Answer:
    email = sandbox.address("-Mixed")
    returned = _text(_good(sandbox.create(email, sandbox.external_id()), "POST /accounts"), "email")
    if returned == email:
        return Answer("as sent")
    return Answer("in other case" if returned.casefold() == email.casefold() else "another address")


def _repeated(sandbox: Sandbox) -> Answer:
    person = sandbox.person()
    metadata = {"external_id": person.external_id}
    again = sandbox.create(person.email, person.external_id, metadata=metadata)
    same = _text(_good(again, "the second POST /accounts"), "id") == person.account_id
    return Answer(f"{again.status_code}, {'the same account' if same else 'another account'}")


def _updated_on_a_hit(sandbox: Sandbox) -> Answer:
    person = sandbox.person()
    changed = {"external_id": person.external_id, "changed": "yes"}
    again = sandbox.create(person.email, person.external_id, title="whop-check again", metadata=changed)
    if _text(_good(again, "the second POST /accounts"), "id") != person.account_id:
        raise NotAnsweredError("the second POST /accounts did not find the account")
    now = _good(sandbox.call("GET", f"/accounts/{person.account_id}"), "GET /accounts/{id}")
    title, metadata = _at(now, "title") == "whop-check again", _at(now, "metadata", "changed") == "yes"
    return Answer(f"title {'updated' if title else 'kept'}, metadata {'updated' if metadata else 'kept'}")


def _metadata_alone(sandbox: Sandbox) -> Answer:
    email = sandbox.address()
    ids = [
        _text(_good(sandbox.create(email, metadata={"external_id": sandbox.external_id()}), "POST /accounts"), "id")
        for _ in range(2)
    ]
    return Answer("two accounts" if ids[0] != ids[1] else "one account")


def _look_up(sandbox: Sandbox) -> Answer:
    one, _ = sandbox.person(), sandbox.person()
    found = sandbox.look_up(one.external_id)
    if found == [one.account_id]:
        return Answer("that account alone")
    return Answer("other accounts too: it is ignored" if found else "nothing")


def _clear_external_id(sandbox: Sandbox) -> Answer:
    person = sandbox.person()
    cleared = sandbox.call("PATCH", f"/accounts/{person.account_id}", body={"external_id": None})
    if not cleared.is_success:
        return Answer(_refusal(cleared), _message(cleared))
    found = person.account_id in sandbox.look_up(person.external_id)
    return Answer("still found by it" if found else "not found any more")


def _other_address(sandbox: Sandbox) -> Answer:
    person = sandbox.person()
    other = sandbox.create(sandbox.address(), person.external_id, metadata={"external_id": person.external_id})
    if other.is_success:
        same = _text(_json(other), "id") == person.account_id
        return Answer(f"{other.status_code}, {'the same account' if same else 'another account'}")
    return Answer(_refusal(other), _message(other))


def _in_flight(sandbox: Sandbox) -> Answer:
    email, external_id, key = sandbox.address(), sandbox.external_id(), secrets.token_hex(16)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(sandbox.create, email, external_id, idempotency_key=key) for _ in range(4)]
        answers = [call.result() for call in calls]
    refused = next((answer for answer in answers if not answer.is_success), None)
    if refused is None:
        return Answer("no refusal met", ", ".join(str(answer.status_code) for answer in answers))
    return Answer(_refusal(refused), _message(refused))


def _null_name(sandbox: Sandbox) -> Answer:
    path, query = f"/users/{sandbox.person().user_id}", {"account_id": sandbox.company_id}
    name = f"whop-check {sandbox.run}"
    _good(sandbox.call("PATCH", path, query=query, body={"name": name}), "PATCH /users/{id}")
    cleared = sandbox.call("PATCH", path, query=query, body={"name": None})
    if not cleared.is_success:
        return Answer(_refusal(cleared), _message(cleared))
    now = _good(sandbox.call("GET", path, query=query), "GET /users/{id}")
    return Answer("the name stays" if _at(now, "name") == name else "the name is gone")


def _mint_for_stranger(sandbox: Sandbox) -> Answer:
    answer = sandbox.mint(sandbox.other_user or "")
    return Answer(str(answer.status_code), _message(answer))


def _mint_after_deletion(sandbox: Sandbox) -> Answer:
    person = sandbox.person()
    _good(sandbox.mint(person.user_id), "POST /access_tokens before the deletion")
    _good(sandbox.delete(person.account_id), "DELETE /accounts/{id}")
    answer = sandbox.mint(person.user_id)
    return Answer(str(answer.status_code), _message(answer))


def _token_after_deletion(sandbox: Sandbox) -> Answer:
    person = sandbox.person()
    token = _text(_good(sandbox.mint(person.user_id), "POST /access_tokens"), "token")
    _good(sandbox.send("GET", "/users/me", bearer=token), "GET /users/me with the token, before the deletion")
    _good(sandbox.delete(person.account_id), "DELETE /accounts/{id}")
    after = sandbox.send("GET", "/users/me", bearer=token)
    return Answer("still works" if after.is_success else _refusal(after), _message(after))


def _external_id_after_deletion(sandbox: Sandbox) -> Answer:
    person = sandbox.person()
    _good(sandbox.delete(person.account_id), "DELETE /accounts/{id}")
    again = sandbox.create(person.email, person.external_id, metadata={"external_id": person.external_id})
    return Answer("free again" if again.is_success else _refusal(again), _message(again))


def _retry_after(sandbox: Sandbox) -> Answer:
    def ask(_: int) -> httpx.Response:
        # Not an operation that the clean-up needs.
        return sandbox.send("GET", f"/accounts/{sandbox.company_id}")

    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        for _ in range(_ROUNDS):
            refused = [answer for answer in pool.map(ask, range(_SIDE_BY_SIDE)) if answer.status_code == 429]
            if refused:
                header = refused[0].headers.get("Retry-After")
                return Answer("no header" if header is None else f"header {header}", _message(refused[0]))
    raise NotAnsweredError(f"{_ROUNDS * _SIDE_BY_SIDE} calls and no 429")


_STATUSES = "account_id 200, company_id 400, both 200"

QUESTIONS: tuple[Question, ...] = (
    Question(
        f"Which name of the company does POST /access_tokens take, at Api-Version-Date {SDK_PIN}?",
        _STATUSES,
        "WhopCompanyField, unless account_id is 200; reading access_token_field",
        _company_names(SDK_PIN),
    ),
    Question(
        "… and without Api-Version-Date?",
        _STATUSES,
        "nothing: the header is always sent",
        _company_names(None),
    ),
    Question(
        f"… and at {_OLD_VERSION}?",
        "account_id 400, company_id 200, both 200",
        "WhopCompanyField, before WhopApiVersion is set back; reading access_token_field",
        _company_names(_OLD_VERSION),
    ),
    Question(
        "What is a minted token?",
        "opaque",
        "nothing: a token is passed on unread",
        _token_shape,
    ),
    Question(
        "What does POST /access_tokens do with a repeated Idempotency-Key?",
        "ignored",
        "nothing: a mint sends none; reading access_tokens_idempotent",
        _token_key,
    ),
    Question(
        "Which of the fields that enrolment compares does POST /accounts return as sent?",
        "owner.id, parent_account.id, email, external_id",
        "whop.py, what makes an Account; reading external_id_ignored",
        _account_fields,
    ),
    Question(
        "How does an address with capitals come back?",
        "in other case",
        "nothing: addresses are compared without case; reading email_returned",
        _mixed_case,
    ),
    Question(
        "What answers POST /accounts for the same e-mail and external_id?",
        "200, the same account",
        "reading existing_account_status; if it is another account: enrolment",
        _repeated,
    ),
    Question(
        "Does that update the account?",
        "title kept, metadata kept",
        "nothing: the same is sent each time; reading existing_account_updated",
        _updated_on_a_hit,
    ),
    Question(
        "One e-mail, two values of metadata.external_id, no external_id: how many accounts?",
        "two accounts",
        "whop.py, where create_account sends the id; reading metadata_external_id_counts",
        _metadata_alone,
    ),
    Question(
        "What does GET /accounts?external_id= find?",
        "that account alone",
        "whop.py, find_accounts: it would have to page; reading external_id_ignored",
        _look_up,
    ),
    Question(
        "What does PATCH /accounts/{id} with external_id null do?",
        "not found any more",
        "nothing: an id is never taken from an account; reading external_id_ignored",
        _clear_external_id,
    ),
    Question(
        "What answers an external_id that is bound to another e-mail?",
        "409 conflict",
        "whop.py, the errors; enrolment, what follows a conflict",
        _other_address,
    ),
    Question(
        "What answers an Idempotency-Key whose first request is still running?",
        "409 conflict",
        "whop.py, the errors; enrolment, what follows a conflict",
        _in_flight,
    ),
    Question(
        "Does null clear a name in PATCH /users/{id} with account_id?",
        "the name is gone",
        "reading null_clears_override",
        _null_name,
    ),
    Question(
        "What answers a mint for a user who owns none of our accounts?",
        "404",
        "minting, what follows a 404; reading mint_for_stranger",
        _mint_for_stranger,
        asked_with="--other-user",
    ),
    Question(
        "… for one whose account was deleted?",
        "404",
        "minting, what follows a 404; reading mint_for_stranger",
        _mint_after_deletion,
    ),
    Question(
        "Does a token outlive its user's account?",
        "still works",
        "nothing: lifetimes are short either way; reading token_outlives_account",
        _token_after_deletion,
    ),
    Question(
        "Is the external_id of a deleted account free?",
        "free again",
        "enrolment, the generations; reading deletion_frees_external_id",
        _external_id_after_deletion,
    ),
    # Last, because its operation is refused for a minute afterwards.
    Question(
        "Has a 429 a Retry-After?",
        "no header",
        "nothing: header and sentence are read; reading retry_after_header",
        _retry_after,
        asked_with="--provoke-rate-limit",
    ),
)


def ask_all(sandbox: Sandbox, questions: Sequence[Question], tell: Callable[[str], None]) -> bool:
    """Ask, clean up, print the table; whether every question that was asked is answered."""
    rows, answered = [], True
    try:
        for question in questions:
            row, good = _row(sandbox, question)
            rows.append(row)
            answered = answered and good
    finally:
        # In this order, so that nothing is left behind when nobody reads the table to its end.
        left = clean_up(sandbox)
        tell(_table(("question", "answer", "what we assume", "what to change"), rows))
        for line in left:
            tell(sandbox.shown(line))
    return answered


def _row(sandbox: Sandbox, question: Question) -> tuple[tuple[str, ...], bool]:
    given = {"--other-user": sandbox.other_user, "--provoke-rate-limit": sandbox.provoke_rate_limit}
    if question.asked_with is not None and not given[question.asked_with]:
        return (question.text, f"not asked: needs {question.asked_with}", question.assumed, ""), True
    try:
        answer = question.ask(sandbox)
    except (NotAnsweredError, httpx.HTTPError) as error:
        return (question.text, sandbox.shown(f"not answered: {_reason(error)}"), question.assumed, ""), False
    change = "as assumed" if answer.verdict == question.assumed else question.otherwise
    text = f"{answer.verdict} ({answer.detail})" if answer.detail else answer.verdict
    return (question.text, sandbox.shown(text), question.assumed, change), True


def clean_up(sandbox: Sandbox) -> list[str]:
    """Delete what was made; a line for each thing that stayed behind."""
    left = _find_lost(sandbox)
    for account_id in list(sandbox.accounts):
        try:
            _good(sandbox.delete(account_id), "DELETE /accounts/{id}")
        except (NotAnsweredError, httpx.HTTPError) as error:
            if account_id in sandbox.accounts:
                left.append(f"not deleted: {account_id} ({_reason(error)})")
    return left or ["Every account that was made is deleted."]


def _find_lost(sandbox: Sandbox) -> list[str]:
    """Accounts whose creation was never answered are found by their addresses, among the newest."""
    newest = {"first": "50", "order": "created_at", "direction": "desc"}
    addresses = {address.casefold() for address in sandbox.addresses}
    try:
        for row in _rows(sandbox.call("GET", "/accounts", query=newest)):
            if str(_at(row, "email")).casefold() in addresses:
                sandbox.accounts[_text(row, "id")] = None
    except (NotAnsweredError, httpx.HTTPError) as error:
        return [f"The accounts could not be listed ({_reason(error)}): one that was made unseen may be left."]
    return []


def _reason(error: Exception) -> str:
    # What httpx says can hold a header of the request.
    return str(error) if isinstance(error, NotAnsweredError) else type(error).__name__


def _json(response: httpx.Response) -> Json:
    try:
        value = response.json()
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise NotAnsweredError(f"{response.status_code} without a JSON object")
    return value


def _good(response: httpx.Response, what: str) -> Json:
    if not response.is_success:
        raise NotAnsweredError(f"{what}: {_refusal(response)} {_message(response)}")
    return _json(response)


def _rows(response: httpx.Response) -> list[Json]:
    rows = _good(response, "GET /accounts").get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise NotAnsweredError("GET /accounts: no list of accounts")
    return rows


def _ids(response: httpx.Response) -> list[str]:
    return [_text(row, "id") for row in _rows(response)]


def _at(value: object, *path: str) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: Json, *path: str) -> str:
    found = _at(value, *path)
    if not isinstance(found, str) or not found:
        raise NotAnsweredError(f"an answer without {'.'.join(path)}")
    return found


def _error(response: httpx.Response) -> object:
    try:
        return _at(response.json(), "error")
    except ValueError:
        return None


def _refusal(response: httpx.Response) -> str:
    """The status with Whop's code, or type."""
    error = _error(response)
    name = _at(error, "code") or _at(error, "type")
    return f"{response.status_code} {name}" if isinstance(name, str) else str(response.status_code)


def _message(response: httpx.Response) -> str:
    message = _at(_error(response), "message")
    return message if isinstance(message, str) else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int] = (30, 34, 22, 28)) -> str:
    lines = []
    for row in (head, ["-" * width for width in widths], *rows):
        cells = [
            textwrap.wrap(text, width, break_on_hyphens=False) or [""] for text, width in zip(row, widths, strict=True)
        ]
        for number in range(max(map(len, cells))):
            parts = [cell[number] if number < len(cell) else "" for cell in cells]
            lines.append("  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip())
        if row is not head:
            lines.append("")
    return "\n".join(lines)


_NEEDED = f"""\
whop-check asks Whop's sandbox ({SANDBOX}). It needs

  WHOP_SANDBOX_API_KEY     an API key of a sandbox account (https://sandbox.whop.com, Developer) that may create,
                           read, update and delete connected accounts, update user profiles and read chat
  WHOP_SANDBOX_COMPANY_ID  that account's id, biz_…
  WHOP_SANDBOX_EMAIL       or --email: an address with {{n}} in it, such as whop-check+{{n}}@your-domain, under a domain
                           that gets mail: Whop refuses undeliverable addresses, and writes to the owners of accounts
"""


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Ask everything; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m local.whop_check",
        epilog=_NEEDED,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--email", default=environment.get("WHOP_SANDBOX_EMAIL", ""), help="address with {n} in it")
    parser.add_argument("--other-user", help="user_… of a Whop user who owns no account of yours: asks about minting")
    parser.add_argument("--provoke-rate-limit", action="store_true", help="make over 600 calls to meet a 429")
    parser.add_argument("--base-url", default=SANDBOX, help="the sandbox, or a loopback address")
    options = parser.parse_args(arguments)
    key, company_id = (environment.get(f"WHOP_SANDBOX_{name}", "").strip() for name in ("API_KEY", "COMPANY_ID"))
    wrong = _wrong(options, key, company_id)
    if wrong:
        print("\n".join([*wrong, "", _NEEDED]), file=sys.stderr)
        return 2
    # A proxy of the machine is for the way out, not for the loopback.
    print(f"asking {options.base_url} for {company_id}; connected accounts are made and deleted again\n")
    with httpx.Client(
        base_url=options.base_url, timeout=_TIMEOUT_SECONDS, trust_env=options.base_url == SANDBOX
    ) as http:
        sandbox = Sandbox(http, key, company_id, options.email, options.other_user, options.provoke_rate_limit)
        try:
            with interruptible():
                return 0 if ask_all(sandbox, QUESTIONS, print) else 1
        except KeyboardInterrupt:
            return 130


def _wrong(options: argparse.Namespace, key: str, company_id: str) -> list[str]:
    """What is missing or no good, in words that never repeat the key."""
    wrong = []
    if options.base_url != SANDBOX and not _LOOPBACK.fullmatch(options.base_url):
        wrong.append(f"--base-url is {SANDBOX} or a loopback address: this is never asked in production.")
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        wrong.append("WHOP_SANDBOX_API_KEY is not set, or is no key.")
    if not re.fullmatch(r"biz_\w+", company_id):
        wrong.append("WHOP_SANDBOX_COMPANY_ID is not set, or is not of the form biz_….")
    if not re.fullmatch(r"[^@\s]*\{n\}[^@\s]*@[^@\s]+", options.email):
        wrong.append("--email is not given, or is no address with {n} before its @.")
    return wrong
