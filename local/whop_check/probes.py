"""How each question is asked. A probe takes the sandbox and returns what Whop did."""

import base64
import json
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from local.whop_check.client import Sandbox
from local.whop_check.responses import Json, NotAnsweredError, json_object, member, message, refusal, successful, text
from local.whop_simulator.versions import SDK_PIN

_THREADS = 20
_ROUNDS = 75  # 75 times 20 calls are well above the limit of 600 a minute


@dataclass(frozen=True, slots=True)
class Answer:
    """``verdict`` is compared with what we assume; ``detail`` is for the reader."""

    verdict: str
    detail: str = ""


type Probe = Callable[[Sandbox], Answer]


# -- POST /access_tokens


def company_fields(version: str | None) -> Probe:
    """A probe of the names under which POST /access_tokens takes the company, at one Api-Version-Date."""

    def probe(sandbox: Sandbox) -> Answer:
        user = sandbox.shared_user.user_id
        tried = {"account_id": ("account_id",), "company_id": ("company_id",), "both": ("account_id", "company_id")}
        answers = {name: sandbox.mint(user, *fields, version=version) for name, fields in tried.items()}
        refusals = (message(answer) for answer in answers.values() if not answer.is_success)
        if version == SDK_PIN and answers["company_id"].is_success and not answers["account_id"].is_success:
            sandbox.company_field = "company_id"  # the other probes mint too, and are not about the name
        verdict = ", ".join(f"{name} {answer.status_code}" for name, answer in answers.items())
        return Answer(verdict, next(refusals, ""))

    return probe


def token_format(sandbox: Sandbox) -> Answer:
    """What a minted token is."""
    minted = successful(sandbox.mint(sandbox.shared_user.user_id), "POST /access_tokens")
    return Answer(shape(text(minted, "token")))


def shape(token: str) -> str:
    """The names in the header and the claims of a JWT, never a value; "opaque" for anything else."""
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


def repeated_mint(sandbox: Sandbox) -> Answer:
    """Whether a second mint with the same Idempotency-Key returns the same token."""
    key = secrets.token_hex(16)
    first, second = (sandbox.mint(sandbox.shared_user.user_id, key=key) for _ in range(2))
    tokens = [text(successful(answer, "POST /access_tokens"), "token") for answer in (first, second)]
    return Answer("replayed" if tokens[0] == tokens[1] else "ignored")


def mint_for_stranger(sandbox: Sandbox) -> Answer:
    """A mint for a Whop user who owns none of our accounts."""
    answer = sandbox.mint(sandbox.stranger or "")
    return Answer(str(answer.status_code), message(answer))


def mint_after_deletion(sandbox: Sandbox) -> Answer:
    """A mint for a user whose account was deleted."""
    user = sandbox.new_user()
    successful(sandbox.mint(user.user_id), "POST /access_tokens before the deletion")
    successful(sandbox.delete(user.account_id), "DELETE /accounts/{id}")
    answer = sandbox.mint(user.user_id)
    return Answer(str(answer.status_code), message(answer))


def token_after_deletion(sandbox: Sandbox) -> Answer:
    """A call with the token of a user whose account was deleted."""
    user = sandbox.new_user()
    token = text(successful(sandbox.mint(user.user_id), "POST /access_tokens"), "token")
    successful(sandbox.send("GET", "/users/me", bearer=token), "GET /users/me with the token, before the deletion")
    successful(sandbox.delete(user.account_id), "DELETE /accounts/{id}")
    after = sandbox.send("GET", "/users/me", bearer=token)
    return Answer("still works" if after.is_success else refusal(after), message(after))


# -- GET /permissions


def permissions_of_the_key(sandbox: Sandbox) -> Answer:
    """Whether Whop lists as granted what the other questions have used, and as not granted what nobody can have."""
    actions = ["company:create_child", "company:basic:read", "whop-check:no-such-action"]
    query = {"resource_id": sandbox.company_id, "actions": ",".join(actions)}
    answer = sandbox.call("GET", "/permissions", query=query)
    rows = json_object(answer).get("data") if answer.is_success else None
    if not isinstance(rows, list):
        return Answer(refusal(answer), message(answer))
    granted = [name for name in actions if any(row == {"action": name, "granted": True} for row in rows)]
    return Answer("the two granted" if granted == actions[:2] else f"granted: {', '.join(granted) or 'nothing'}")


# -- POST /accounts


def fields_returned(sandbox: Sandbox) -> Answer:
    """Which of the fields that enrolment compares come back as they were sent."""
    email, external_id = sandbox.new_email(), sandbox.new_external_id()
    account = successful(sandbox.create(email, external_id), "POST /accounts")
    sent = {"owner.id": None, "parent_account.id": sandbox.company_id, "email": email, "external_id": external_id}
    found = {name: member(account, *name.split(".")) for name in sent}
    same = [name for name, value in found.items() if isinstance(value, str) and sent[name] in (None, value)]
    return Answer(", ".join(same))


def email_with_capitals(sandbox: Sandbox) -> Answer:
    """How an e-mail address with capitals comes back."""
    email = sandbox.new_email("-Mixed")
    returned = text(successful(sandbox.create(email, sandbox.new_external_id()), "POST /accounts"), "email")
    if returned == email:
        return Answer("as sent")
    return Answer("in other case" if returned.casefold() == email.casefold() else "another address")


def repeated_create(sandbox: Sandbox) -> Answer:
    """A second POST /accounts with the same e-mail address and external_id."""
    user = sandbox.new_user()
    again = sandbox.create(user.email, user.external_id, metadata={"external_id": user.external_id})
    same = text(successful(again, "the second POST /accounts"), "id") == user.account_id
    return Answer(f"{again.status_code}, {'the same account' if same else 'another account'}")


def repeated_create_updates(sandbox: Sandbox) -> Answer:
    """Whether that second POST /accounts updates the account."""
    user = sandbox.new_user()
    changed = {"external_id": user.external_id, "changed": "yes"}
    again = sandbox.create(user.email, user.external_id, title="whop-check again", metadata=changed)
    if text(successful(again, "the second POST /accounts"), "id") != user.account_id:
        raise NotAnsweredError("the second POST /accounts did not find the account")
    now = successful(sandbox.call("GET", f"/accounts/{user.account_id}"), "GET /accounts/{id}")
    title, metadata = member(now, "title") == "whop-check again", member(now, "metadata", "changed") == "yes"
    return Answer(f"title {'updated' if title else 'kept'}, metadata {'updated' if metadata else 'kept'}")


def external_id_in_metadata(sandbox: Sandbox) -> Answer:
    """One e-mail address with two values of metadata.external_id, and no external_id."""
    email = sandbox.new_email()
    answers = [sandbox.create(email, metadata={"external_id": sandbox.new_external_id()}) for _ in range(2)]
    first, second = (text(successful(answer, "POST /accounts"), "id") for answer in answers)
    return Answer("two accounts" if first != second else "one account")


def external_id_of_another_email(sandbox: Sandbox) -> Answer:
    """A POST /accounts with an external_id that belongs to another e-mail address."""
    user = sandbox.new_user()
    other = sandbox.create(sandbox.new_email(), user.external_id, metadata={"external_id": user.external_id})
    if other.is_success:
        same = text(json_object(other), "id") == user.account_id
        return Answer(f"{other.status_code}, {'the same account' if same else 'another account'}")
    return Answer(refusal(other), message(other))


def key_in_flight(sandbox: Sandbox) -> Answer:
    """Four concurrent POST /accounts with one Idempotency-Key."""
    email, external_id, key = sandbox.new_email(), sandbox.new_external_id(), secrets.token_hex(16)
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(sandbox.create, email, external_id, idempotency_key=key) for _ in range(4)]
        answers = [call.result() for call in calls]
    refused = next((answer for answer in answers if not answer.is_success), None)
    if refused is None:
        return Answer("no refusal met", ", ".join(str(answer.status_code) for answer in answers))
    return Answer(refusal(refused), message(refused))


def external_id_after_deletion(sandbox: Sandbox) -> Answer:
    """A POST /accounts with the external_id of a deleted account."""
    user = sandbox.new_user()
    successful(sandbox.delete(user.account_id), "DELETE /accounts/{id}")
    again = sandbox.create(user.email, user.external_id, metadata={"external_id": user.external_id})
    return Answer("free again" if again.is_success else refusal(again), message(again))


# -- other calls


def look_up_by_external_id(sandbox: Sandbox) -> Answer:
    """What GET /accounts?external_id= finds when there are two accounts."""
    one, _ = sandbox.new_user(), sandbox.new_user()
    found = sandbox.look_up(one.external_id)
    if found == [one.account_id]:
        return Answer("that account alone")
    return Answer("other accounts too: it is ignored" if found else "nothing")


def cleared_external_id(sandbox: Sandbox) -> Answer:
    """Whether an account is still found by an external_id that was set to null."""
    user = sandbox.new_user()
    cleared = sandbox.call("PATCH", f"/accounts/{user.account_id}", body={"external_id": None})
    if not cleared.is_success:
        return Answer(refusal(cleared), message(cleared))
    found = user.account_id in sandbox.look_up(user.external_id)
    return Answer("still found by it" if found else "not found any more")


def name_set_to_null(sandbox: Sandbox) -> Answer:
    """Whether null removes the name that a user has in the company."""
    path, query = f"/users/{sandbox.new_user().user_id}", {"account_id": sandbox.company_id}
    name = f"whop-check {sandbox.run}"
    successful(sandbox.call("PATCH", path, query=query, body={"name": name}), "PATCH /users/{id}")
    cleared = sandbox.call("PATCH", path, query=query, body={"name": None})
    if not cleared.is_success:
        return Answer(refusal(cleared), message(cleared))
    now = successful(sandbox.call("GET", path, query=query), "GET /users/{id}")
    return Answer("the name stays" if member(now, "name") == name else "the name is gone")


def retry_after(sandbox: Sandbox) -> Answer:
    """Call until Whop answers 429, and look for its Retry-After header."""

    def call(_: int) -> httpx.Response:
        # The clean-up does not need this operation, so it may stay rate-limited.
        return sandbox.send("GET", f"/accounts/{sandbox.company_id}")

    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in range(_ROUNDS):
            refused = [answer for answer in pool.map(call, range(_THREADS)) if answer.status_code == 429]
            if refused:
                header = refused[0].headers.get("Retry-After")
                return Answer("no header" if header is None else f"header {header}", message(refused[0]))
    raise NotAnsweredError(f"{_ROUNDS * _THREADS} calls and no 429")
