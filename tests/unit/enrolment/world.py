"""A pool, the users, a Whop, and the enrolment of one user between them."""

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import httpx

from local.whop_simulator import Simulator
from local.whop_simulator.httpx_transport import as_httpx_transport
from tests.fakes.memory_users import MemoryUserRepository
from tests.fakes.telemetry import RecordingTelemetry
from tests.fakes.whop import circuit, rate_limiter
from whop_chat.cognito.pool import ListedUser, PoolStatus, PoolUser, UserGone
from whop_chat.cognito.user import UserRef
from whop_chat.enrolment.email_policy import EmailPolicy, VerifiedEmail
from whop_chat.enrolment.enrol import EmailReuse, Enrolment
from whop_chat.enrolment.errors import BLOCK_REASONS, Blocked, Link
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.http import HttpClient
from whop_chat.users.record import Record
from whop_chat.whop.client import Whop

COMPANY = "biz_Company"
POOL = "eu-west-1_Pool"
ANN = UserRef(pool_id=POOL, sub="sub-ann", username="ann")
BEN = UserRef(pool_id=POOL, sub="sub-ben", username="ben")
HOUR = 3600
DAY = 24 * HOUR


class World:
    """A pool, a directory and a Whop, and the enrolment between them."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.users = MemoryUserRepository()
        self.people = {user.sub: person(user.sub) for user in (ANN, BEN)}
        self.simulator = Simulator(clock=lambda: self.now)
        self.simulator.add_company(COMPANY)
        self.simulator.add_key("key", company_id=COMPANY)
        self.addresses: EmailPolicy = VerifiedEmail(frozenset())
        self.reuse: EmailReuse = "refuse"
        self.old_answers: list[httpx.Response] = []
        self.keyless: Exception | None = None
        self.rate_limiter = rate_limiter()
        self.telemetry = RecordingTelemetry()
        self.sleep: Callable[[float], None] = lambda _seconds: None

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.old_answers and request.method == "POST":
            return self.old_answers.pop()
        return as_httpx_transport(self.simulator).handle_request(request)

    def admin_get(self, user: UserRef, *, deadline: Deadline | None = None) -> PoolUser:
        if user.sub not in self.people:
            raise UserGone
        return self.people[user.sub]

    def lookup(self, user: UserRef, *, deadline: Deadline | None = None) -> ListedUser:
        return ListedUser(user, PoolStatus.ACTIVE, self.admin_get(user))

    def current(self, *, deadline: Deadline) -> str:
        if self.keyless is not None:
            raise self.keyless
        return "key"

    def after_refusal(self, refused: str, *, deadline: Deadline) -> str | None:
        return None

    @property
    def enrolment(self) -> Enrolment:
        """A new worker: nothing is remembered from the last one but what the directory and Whop hold."""
        whop = Whop(
            HttpClient(httpx.MockTransport(self._answer)),
            self,
            base_url="http://127.0.0.1",
            company_id=COMPANY,
            api_version="2026-10-15-1",
            company_field="account_id",
            circuit=circuit(),
            rate_limiter=self.rate_limiter,
            telemetry=self.telemetry,
            sleep=lambda _seconds: None,
        )
        return Enrolment(
            self.users,
            self,
            whop,
            self.addresses,
            self.telemetry,
            reuse=self.reuse,
            clock=lambda: self.now,
            sleep=self.sleep,
        )

    def enrol(self, user: UserRef = ANN) -> Link:
        try:
            return self.enrolment.enrol(user, self.users.get(user), deadline=Deadline(3))
        except Blocked as refusal:
            if refusal.reason not in BLOCK_REASONS:
                raise AssertionError(refusal.reason) from refusal
            raise

    def record(self, user: UserRef = ANN) -> Record:
        record = self.users.get(user)
        assert record is not None
        return record

    def write(self, record: Record, user: UserRef = ANN) -> Record:
        return self.users.put(user, record, expected=self.users.get(user))

    def accounts(self) -> list[dict[str, Any]]:
        accounts: Any = self.simulator.dump()["accounts"]
        return [account for account in accounts if account["parent_id"] == COMPANY]

    def creates(self) -> list[str | None]:
        """The Idempotency-Keys of the creates so far, hashed."""
        return [call.idempotency_key_hash for call in self.simulator.calls("accounts.create")]


def person(sub: str, **changes: Any) -> PoolUser:
    return dataclasses.replace(
        PoolUser(sub=sub, email=f"{sub}@home.test", email_verified=True, name=None, providers=()), **changes
    )


def forged(**changes: Any) -> str:
    """Whop's answer about Ann's account, with ``changes``."""
    account = {
        "id": "biz_Other",
        "email": "sub-ann@home.test",
        "external_id": "cognito:eu-west-1_Pool:sub-ann:1",
        "owner": {"id": "user_Other"},
        "parent_account": {"id": COMPANY},
        **changes,
    }
    return json.dumps(account)
