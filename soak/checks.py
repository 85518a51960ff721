"""What must be true when nothing is in progress: compares the table, the pool and Whop."""

import json
from collections import Counter
from collections.abc import Iterator

from soak.actors import Log
from soak.cognito import POOL_ID
from soak.report import Figure
from soak.stack import COMPANY, Stack
from whop_chat.cognito.display_name import NEUTRAL_NAME, profile_digest
from whop_chat.users.runs import HANDED_ON, SETTLED

# Why a user is blocked whose address belongs to another user's Whop user.
_TAKEN = ("identity_conflict", "identity_mismatch")


def at_rest(stack: Stack) -> list[Figure]:
    """Figures from the table, the queue, the pool and Whop."""
    whop = _Whop(stack)
    return [
        Figure.none("users lost", [*_lost(stack, whop)]),
        Figure.none("duplicate accounts", [*_duplicates(stack, whop)]),
        Figure.none("accounts under an address of somebody else", [*_foreign(stack, whop)]),
        Figure.none("shared identities", [*_shared(stack)]),
        Figure.none("reservations of a Whop user that nobody has", [*_left_over(stack)]),
        Figure.none("messages unaccounted for", [*_unaccounted(stack)]),
        Figure.none("counts of a run that are not those of its users", [*_miscounted(stack)]),
        Figure.none("dead letters", [*stack.queue.dead, *(each.body for each in stack.dead_letters.waiting.values())]),
        Figure.none("calls above Whop's limit", [*_above(stack)]),
        Figure.none("unexpected errors of the functions", stack.telemetry.defects),
        Figure.known("users still blocked by a conflict that is over", len(_outlasted(stack, whop))),
    ]


def answers(log: Log) -> list[Figure]:
    """Figures on wrong answers to apps."""
    return [
        Figure.none("tokens for a wrong user", log.wrong),
        Figure.none("tokens for a denied, disabled or deleted user", log.late),
        Figure.none("answers 503 without Retry-After", log.unhelpful),
    ]


def not_synced(stack: Stack) -> list[str]:
    """Users who are not enrolled although all their messages were handled. To be asked before the last reconcile."""
    enqueued = {json.loads(body)["sub"] for body in stack.queue.bodies}
    waiting = {json.loads(message.body)["sub"] for message in stack.queue.waiting.values()}
    return [
        f"{sub} is {stack.record(sub).get('status', 'without a record')}"
        for sub, person in stack.pool.people.items()
        if person.enabled
        and person.verified
        and sub in enqueued - waiting
        and stack.record(sub).get("status") in (None, "pending")
    ]


def drift(stack: Stack) -> list[str]:
    """Users who are not as their last message should have left them. To be asked before a run of reconcile.

    Left out are changes that were not reported, messages that wait, and blocks, which are tried again in their time. A
    name counts if the service believes that it has set it.
    """
    reported = {json.loads(body)["sub"] for body in stack.queue.bodies} - stack.unreported
    waiting = {json.loads(message.body)["sub"] for message in stack.queue.waiting.values()}
    return [
        f"{sub} is {stack.record(sub)['status']}, which is not the state of the pool"
        for sub in sorted(reported - waiting)
        if stack.record(sub) and _has_drifted(stack, sub)
    ]


def _has_drifted(stack: Stack, sub: str) -> bool:
    record, person = stack.record(sub), stack.pool.people.get(sub)
    status = record["status"]
    if person is None:
        return status != "deleted" or "cleaned_at" not in record
    if not person.enabled:
        return bool(status != "disabled")
    digest = record.get("profile_digest")
    if status == "linked":
        return digest not in (None, profile_digest(sub, person.name))
    return status not in ("pending", "blocked")


class _Whop:
    """Accounts and names at Whop, by user."""

    def __init__(self, stack: Stack) -> None:
        dump = stack.simulator.dump()
        self.accounts: dict[str, list[dict[str, object]]] = {}
        self.names: dict[str, str] = {}
        for account in dump["accounts"]:  # type: ignore[attr-defined]
            parts = str((account["metadata"] or {}).get("external_id", "")).split(":")
            if parts[:2] == ["cognito", POOL_ID]:
                self.accounts.setdefault(parts[2], []).append(account)
        for profile in dump["profiles"]:  # type: ignore[attr-defined]
            if profile["account_id"] == COMPANY:
                self.names[profile["user_id"]] = profile["name"]
        self.user_of = {person["email"]: person["id"] for person in dump["users"]}  # type: ignore[attr-defined]


def _lost(stack: Stack, whop: _Whop) -> Iterator[str]:
    """Users who differ between pool and Whop, and deleted users who are still known at Whop."""
    outlasted = _outlasted(stack, whop)
    for sub, person in stack.pool.people.items():
        record = stack.record(sub)
        status = record.get("status")
        if not person.enabled:
            if status not in (None, "disabled"):
                yield f"{sub} is disabled, their record is {status}"
        elif not person.verified and status in (None, "blocked"):
            continue
        elif not stack.pool.was_verified(sub):
            yield f"{sub} never had a verified address, their record is {status}"
        elif status == "linked":
            yield from _wrongly_linked(sub, person.name, record, whop)
        elif sub in outlasted:
            continue
        elif not (status == "blocked" and record.get("reason") in _TAKEN and _taken(stack, whop, sub)):
            yield f"{sub} is {status or 'without a record'}, {record.get('reason')}"
    for sub in stack.pool.gone:
        record = stack.record(sub)
        if record and not (record["status"] == "deleted" and "cleaned_at" in record):
            yield f"{sub} is deleted, their record is {record['status']}"
        if _keeps_a_name(stack, whop, sub):
            yield f"{sub} is deleted, but their name is still at Whop"
        if stack.deletes_accounts and sub in whop.accounts:
            yield f"{sub} is deleted, but their account is still at Whop"


def _miscounted(stack: Stack) -> Iterator[str]:
    """Runs whose counts differ from the states of their users, and users of a run who were never settled."""
    runs = {key: item for key, item in stack.table.items.items() if key.startswith("RUN#")}
    users = Counter[tuple[str, str]]()
    for key, item in runs.items():
        if "state" in item:
            run, state = key.rpartition("#")[0], item["state"]["S"]
            users[run, state] += 1
            if state in HANDED_ON:
                yield f"{key} is still {state}"
    for key, item in runs.items():
        for state in SETTLED if "state" not in item else ():
            counted = int(item.get(state, {"N": "0"})["N"])
            if counted != users[key, state]:
                yield f"{key} counts {counted} as {state}, and has {users[key, state]}"


def _wrongly_linked(sub: str, name: str, record: dict[str, str], whop: _Whop) -> Iterator[str]:
    linked_to = {str(account["id"]): str(account["owner_id"]) for account in whop.accounts.get(sub, [])}
    if linked_to.get(record["whop_account_id"]) != record["whop_user_id"]:
        yield f"{sub} is linked to {record['whop_account_id']}, which is not theirs"
    if whop.names.get(record["whop_user_id"]) != name:
        yield f"{sub} has another name at Whop"


def _keeps_a_name(stack: Stack, whop: _Whop, sub: str) -> bool:
    """Whether the Whop user of a deleted user without a successor still has that user's name."""
    whop_user = stack.record(sub).get("whop_user_id", "")
    return stack.holder(whop_user) == sub and whop.names.get(whop_user, NEUTRAL_NAME) != NEUTRAL_NAME


def _outlasted(stack: Stack, whop: _Whop) -> set[str]:
    """Users blocked for a Whop user that is free now. docs/reliability.md says what ends the block."""
    return {
        sub
        for sub, person in stack.pool.people.items()
        if stack.record(sub).get("reason") == "identity_conflict"
        and stack.record(sub)["status"] == "blocked"
        and stack.record(sub).get("conflict_whop_user_id") == whop.user_of.get(person.email)
        and stack.holder(whop.user_of[person.email]) is None
    }


def _taken(stack: Stack, whop: _Whop, sub: str) -> bool:
    """Whether the Whop user of this address belongs to another user."""
    holder = stack.holder(whop.user_of.get(stack.pool.people[sub].email, ""))
    return holder is not None and holder != sub


def _duplicates(stack: Stack, whop: _Whop) -> Iterator[str]:
    """Users with more accounts than allowed: one, and one more for each time that Whop did not know the user."""
    for sub, accounts in whop.accounts.items():
        ids = {account["metadata"]["external_id"] for account in accounts}  # type: ignore[index]
        owners = {str(account["owner_id"]) for account in accounts}
        forgotten = sum(stack.network.forgotten[owner] for owner in owners)
        if len(accounts) > len(ids) or len(ids) > 1 + forgotten:
            yield f"{sub} has {len(accounts)} accounts under {len(ids)} ids"


def _foreign(stack: Stack, whop: _Whop) -> Iterator[str]:
    """Accounts of a user under an address that the user never had."""
    for sub, accounts in whop.accounts.items():
        addresses = stack.pool.addresses(sub)
        yield from (f"{sub} has an account of {each['email']}" for each in accounts if each["email"] not in addresses)


def repaired(stack: Stack) -> int:
    """How many users have a second account."""
    return sum(len(accounts) > 1 for accounts in _Whop(stack).accounts.values())


def _shared(stack: Stack) -> Iterator[str]:
    """Whop users that are linked to two users, or to a user without the reservation."""
    holders: Counter[str] = Counter()
    for key, item in stack.table.items.items():
        if key.startswith("USER#") and item["status"]["S"] == "linked":
            whop_user, sub = item["whop_user_id"]["S"], item["sub"]["S"]
            holders[whop_user] += 1
            if stack.holder(whop_user) != sub:
                yield f"{whop_user} is linked to {sub}, but reserved for {stack.holder(whop_user)}"
    yield from (f"{whop_user} is linked to {count} users" for whop_user, count in holders.items() if count > 1)


def _left_over(stack: Stack) -> Iterator[str]:
    """Reservations for a user who has another Whop user, or none. A user may also have an account of their own."""
    for key, item in stack.table.items.items():
        kind, _, whop_user = key.partition("#")
        record = stack.record(item["sub"]["S"]) if kind == "WHOP" else {}
        if kind == "WHOP" and whop_user not in (record.get("whop_user_id"), record.get("own_whop_user_id")):
            yield f"{whop_user} is reserved for {item['sub']['S']}, who has another"


def _unaccounted(stack: Stack) -> Iterator[str]:
    """Messages that were neither handled nor are dead letters. At the end none may be left."""
    queue = stack.queue
    missing = queue.accepted + queue.copies - queue.handled - len(queue.dead)
    yield from (f"{message.body}" for message in queue.waiting.values())
    if missing != len(queue.waiting):
        yield f"{missing - len(queue.waiting)} are neither handled nor there"


def _above(stack: Stack) -> Iterator[str]:
    for operation, count in stack.simulator.counts().items():
        yield from (f"{operation}: at most {count.peak} in a window" for _ in range(count.refused))
