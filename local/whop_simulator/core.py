"""The simulator: it turns requests into responses, with all state in memory, without I/O and without waiting."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from local.whop_simulator import rules, versions
from local.whop_simulator.call import Call
from local.whop_simulator.exchange import CallRecord, Exchange, completed, record_of
from local.whop_simulator.faults import Fault, FaultPlan, delivered
from local.whop_simulator.idempotency import IdempotencyKeys
from local.whop_simulator.limits import Count, Limits, RateLimiter
from local.whop_simulator.oauth_state import App
from local.whop_simulator.operations import NAMES, UNKNOWN, Operation, route
from local.whop_simulator.readings import Readings
from local.whop_simulator.rules import implements
from local.whop_simulator.state import DEFAULT_PERMISSIONS, ApiKey, MintedToken, State, digest
from local.whop_simulator.wire import ApiError, Fate, Json, Request, Response, error_response

DEFAULT_COMPANY = "biz_SimPlatform"


class Simulator:
    """One simulated Whop. Threads can share it. ``clock`` returns Unix seconds."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        readings: Readings | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._clock = clock
        self._offset = 0.0
        self._lock = threading.RLock()
        self._readings = readings or Readings()
        self._state = State()
        self._keys = IdempotencyKeys()
        self._limiter = RateLimiter(limits or Limits())
        self._faults = FaultPlan()
        self._calls: list[CallRecord] = []
        self._pending: list[Exchange] = []

    # Requests

    def handle(self, request: Request) -> Response:
        """Receive a request and answer it at once, without waiting for a delay."""
        return self.receive(request).complete()

    def receive(self, request: Request) -> Exchange:
        """Receive a request. Its Idempotency-Key is in flight until the exchange is complete."""
        with self._lock:
            self._complete_due()
            operation, resource = route(request.method, request.path)
            name = operation.name if operation else UNKNOWN
            exchange = Exchange(
                request,
                operation,
                resource,
                now := self.now(),
                len(self._calls),
                self._finish,
                self._faults.take(name, now),
            )
            if exchange.fault is not None and exchange.fault.kind == "unreachable":
                exchange.sent = Response(0, fate=Fate.UNREACHABLE)
                return exchange
            self._calls.append(record_of(exchange, name))
            exchange.result = self._begin(exchange)
            if exchange.delay > 0:
                self._pending.append(exchange)
            return exchange

    def _begin(self, exchange: Exchange) -> Response | None:
        refusal = self._admit(exchange)
        fault = exchange.fault
        if fault is not None and fault.kind == "status":
            return self._fault_response(fault)
        if refusal is None and fault is not None and fault.kind == "delay" and fault.effect == "early":
            return self._run(exchange)
        return refusal

    def _finish(self, exchange: Exchange) -> Response:
        with self._lock:
            if exchange.sent is None:
                exchange.sent = self._answer(exchange)
                self._calls[exchange.log_index] = completed(self._calls[exchange.log_index], exchange.sent)
            if exchange in self._pending:
                self._pending.remove(exchange)
            return exchange.sent

    def _answer(self, exchange: Exchange) -> Response:
        kind = exchange.fault.kind if exchange.fault else None
        if kind in ("drop_before", "crash_before"):
            if kind == "drop_before" and exchange.reservation is not None:
                self._keys.release(exchange.reservation)
            return Response(0, fate=Fate.DROPPED)
        if exchange.result is None:
            exchange.result = self._run(exchange)
        self._settle(exchange, exchange.result)
        if exchange.fault is not None and kind == "status_after":
            return self._fault_response(exchange.fault)
        return delivered(exchange.result, exchange.fault)

    @implements(rules.BEARER, rules.RATE_LIMIT, rules.RETRY_AFTER)
    def _admit(self, exchange: Exchange) -> Response | None:
        """Check the credential, the rate limit and the Idempotency-Key. Returns an answer if the call must not run."""
        operation, request = exchange.operation, exchange.request
        if operation is None:
            return _no_endpoint(request)
        try:
            exchange.credential = self._authenticate(request, public=operation.public)
        except ApiError as refusal:
            return _refused(refusal)
        caller = exchange.credential.id if exchange.credential else "anonymous"
        self._calls[exchange.log_index] = replace(self._calls[exchange.log_index], credential=caller)
        wait = self._limiter.wait(operation.name, caller, self.now()) if operation.limited else None
        if wait is not None:
            return self._too_many(wait)
        return self._reserve(exchange, operation, caller)

    def _reserve(self, exchange: Exchange, operation: Operation, caller: str) -> Response | None:
        key = exchange.request.header("idempotency-key")
        if not key or not operation.honours_idempotency(self._readings):
            return None
        try:
            found = self._keys.reserve(caller, key, exchange.request, self.now())
        except ApiError as refusal:
            return _refused(refusal)
        if isinstance(found, Response):
            return found
        exchange.reservation = found
        return None

    @implements(rules.TOKEN_OUTLIVES, rules.TOKEN_OPAQUE)
    def _authenticate(self, request: Request, *, public: bool) -> ApiKey | MintedToken | None:
        header = request.header("authorization")
        if header is None and public:
            return None
        scheme, _, secret = (header or "").partition(" ")
        key = self._state.keys.get(digest(secret.strip()))
        token = self._state.tokens.get(secret.strip())
        if scheme.lower() != "bearer" or (key is None and token is None):
            raise ApiError(401, "Invalid or missing API key")
        if token is not None and not self._is_valid(token):
            raise ApiError(401, "The access token is expired or revoked")
        return key or token

    def _is_valid(self, token: MintedToken) -> bool:
        key_allows = self._readings.token_outlives_key or any(k.id == token.key_id for k in self._state.keys.values())
        account = self._state.accounts.get(token.account_id)
        company = account.parent_id or account.id if account else ""
        account_allows = (
            self._readings.token_outlives_account
            or token.user_id is None
            or self._state.belongs(token.user_id, company)
        )
        return self.now() < token.expires_at and key_allows and account_allows

    def _run(self, exchange: Exchange) -> Response:
        operation, credential = exchange.operation, exchange.credential
        if operation is None:
            return _no_endpoint(exchange.request)
        try:
            call = Call(
                request=exchange.request,
                state=self._state,
                readings=self._readings,
                now=self.now(),
                version=self._version(operation, exchange.request, credential),
                resource=exchange.resource,
                key=credential if isinstance(credential, ApiKey) else None,
                token=credential if isinstance(credential, MintedToken) else None,
            )
            return operation.handler(call)
        except ApiError as refusal:
            return _refused(refusal)

    def _version(self, operation: Operation, request: Request, credential: ApiKey | MintedToken | None) -> str:
        header = request.header("api-version-date")
        pinned = credential.pinned_version if isinstance(credential, ApiKey) else None
        if header not in versions.KNOWN and not operation.checks_version(self._readings):
            header = None
        return versions.resolve(header, pinned)

    @implements(rules.IDEMPOTENT_LOST, rules.IDEMPOTENT_5XX, rules.IDEMPOTENT_IN_FLIGHT, rules.RATE_WINDOW)
    def _settle(self, exchange: Exchange, result: Response) -> None:
        """Store the answer under the Idempotency-Key, forget the key, or hold it until it expires."""
        reservation = exchange.reservation
        if reservation is None:
            return
        kind = exchange.fault.kind if exchange.fault else None
        lost_and_held = kind in ("drop_after", "status_after", "truncated") and self._readings.lost_answer == "held"
        failed_and_held = result.status >= 500 and self._readings.server_error == "held"
        if kind == "crash_after" or lost_and_held or failed_and_held:
            return
        forgotten = result.status >= 500 and self._readings.server_error == "run_again"
        if forgotten or result.status in (401, 429):
            self._keys.release(reservation)
        else:
            reservation.response = result

    def _too_many(self, wait: int) -> Response:
        headers = (("retry-after", str(wait)),) if self._readings.retry_after_header else ()
        return error_response(429, f"Try again in {wait} seconds.", headers=headers)

    def _fault_response(self, fault: Fault) -> Response:
        if fault.body is not None:
            return Response(fault.status, (("content-type", "application/json"),), fault.body.encode())
        if fault.status == 429:
            return self._too_many(1 if fault.wait is None else fault.wait)
        return error_response(fault.status, _FAULT_MESSAGES.get(fault.status, "Something went wrong."))

    def _complete_due(self) -> None:
        for exchange in [e for e in self._pending if e.received_at + e.delay <= self.now()]:
            self._finish(exchange)

    # Control

    def now(self) -> float:
        """The simulator's time, Unix seconds."""
        return self._clock() + self._offset

    def advance(self, seconds: float) -> float:
        """Move the clock forward, and complete delayed calls that are due; the new time. Raises `ValueError`."""
        if seconds < 0:
            raise ValueError("the clock moves forward only")
        with self._lock:
            self._offset += seconds
            self._complete_due()
            return self.now()

    def add_company(self, company_id: str = DEFAULT_COMPANY, *, title: str = "Platform", owner_email: str = "") -> str:
        """Add a company unless it exists; its id."""
        with self._lock:
            if company_id not in self._state.accounts:
                email = owner_email or f"owner+{company_id.lower()}@whop-simulator.test"
                self._state.add_account(email=email, title=title, now=self.now(), account_id=company_id)
            return company_id

    def add_key(
        self,
        secret: str,
        *,
        company_id: str = DEFAULT_COMPANY,
        permissions: frozenset[str] = DEFAULT_PERMISSIONS,
        owner_level: bool = False,
        pinned_version: str = versions.LATEST,
    ) -> str:
        """Make ``secret`` an API key of the company, which is created if it does not exist; the key's id."""
        if pinned_version not in versions.KNOWN:
            raise ValueError("pinned_version is not a known date")
        if not secret:
            raise ValueError("a key is not empty")
        with self._lock:
            self.add_company(company_id)
            key = ApiKey(
                self._state.new_id("key"), digest(secret), company_id, permissions, owner_level, pinned_version
            )
            self._state.keys[key.digest] = key
            return key.id

    def revoke_key(self, secret: str) -> bool:
        """Revoke a key; whether it was valid."""
        with self._lock:
            return self._state.keys.pop(digest(secret), None) is not None

    def add_person(self, email: str, *, name: str | None = None) -> str:
        """Add a Whop user who has no account of ours; the user id."""
        with self._lock:
            return self._state.add_person(email.strip().lower(), name, self.now()).id

    def add_oauth_app(
        self,
        client_id: str,
        redirect_uris: Iterable[str],
        *,
        secret: str | None = None,
        permissions: Iterable[str] | None = None,
    ) -> None:
        """Register an app for OAuth, or change it. With ``secret`` it is a confidential client.

        ``permissions`` are the scopes that it may ask users for; None is all.
        """
        asked = None if permissions is None else frozenset(permissions)
        with self._lock:
            self.add_company()
            app = App(client_id, DEFAULT_COMPANY, tuple(redirect_uris), secret, permissions=asked)
            self._state.oauth.apps[client_id] = app

    def oauth_apps(self) -> tuple[App, ...]:
        """The registered apps, oldest first."""
        with self._lock:
            return tuple(self._state.oauth.apps.values())

    def end_consents(self, user_id: str) -> None:
        """End all OAuth consents of a user, as if they had removed the app at Whop."""
        with self._lock:
            self._state.oauth.end_user(user_id)

    def expire_tokens(self) -> None:
        """End the life of every minted token now."""
        with self._lock:
            self._state.expire_tokens(self.now())

    def block_deletion(self, account_id: str, reason: str | None) -> None:
        """Make DELETE of the account answer 400 with ``reason``, until ``reason`` is None. Raises `KeyError`."""
        with self._lock:
            self._state.accounts[account_id].undeletable = reason

    def add_fault(self, fault: Fault) -> None:
        """Add a fault. Raises `ValueError` for an unknown operation."""
        if fault.operation not in (*NAMES, "*"):
            raise ValueError(f"operation is * or one of {', '.join(NAMES)}")
        with self._lock:
            self._faults.add(fault, self.now())

    def clear_faults(self, operation: str | None = None) -> None:
        """Remove the faults of an operation, or all."""
        with self._lock:
            self._faults.clear(operation)

    def faults(self) -> tuple[Fault, ...]:
        """The faults in force."""
        with self._lock:
            return self._faults.pending(self.now())

    @property
    def readings(self) -> Readings:
        """The readings in force."""
        return self._readings

    def set_readings(self, readings: Readings) -> None:
        """Replace the readings."""
        with self._lock:
            self._readings = readings

    def change_readings(self, changes: Mapping[str, object]) -> Readings:
        """Change some readings by name; the readings now in force. Raises `ValueError`."""
        with self._lock:
            self._readings = self._readings.with_changes(changes)
            return self._readings

    @property
    def limits(self) -> Limits:
        """The rate limit in force."""
        return self._limiter.limits

    def set_limits(self, limits: Limits) -> None:
        """Change the rate limit. Calls that were counted stay counted."""
        with self._lock:
            self._limiter.limits = limits

    def calls(self, operation: str | None = None) -> tuple[CallRecord, ...]:
        """The call log, oldest first."""
        with self._lock:
            self._complete_due()
            return tuple(call for call in self._calls if operation in (None, call.operation))

    def counts(self) -> dict[str, Count]:
        """The authenticated calls of each operation, and the most in one window of one credential."""
        with self._lock:
            return self._limiter.counts()

    def dump(self) -> Json:
        """The state as JSON, without any secret or token."""
        with self._lock:
            self._complete_due()
            return self._state.as_json()

    def reset(self) -> None:
        """Forget all but the keys, their companies and the OAuth apps. Readings and limits get their defaults."""
        with self._lock:
            old = self._state
            self._state, self._keys, self._faults = State(), IdempotencyKeys(), FaultPlan()
            self._state.oauth.apps = old.oauth.apps
            self._limiter, self._readings = RateLimiter(Limits()), Readings()
            self._calls, self._pending, self._offset = [], [], 0.0
            for key in old.keys.values():
                company = old.accounts.get(key.company_id)
                if company is None or company.parent_id is not None:
                    continue
                self.add_company(company.id, title=company.title, owner_email=company.email)
                self._state.keys[key.digest] = replace(key, id=self._state.new_id("key"))


_FAULT_MESSAGES = {
    400: "The request is invalid.",
    401: "Invalid or missing API key",
    403: "Company API key is not authorized for this action.",
    404: "Not found.",
    409: "The resource was changed by another request.",
    422: "Verification required",
}


def _no_endpoint(request: Request) -> Response:
    return error_response(404, f"No such endpoint: {request.method} {request.path}")


def _refused(refusal: ApiError) -> Response:
    return error_response(refusal.status, refusal.message, code=refusal.code)
