"""What a month uses of each service, with its arithmetic.

`tests/tools/costs/test_measured.py` measures the counts here by running the functions. Where a figure is assumed, its
comment says so. Each assumption is on the side of the higher bill.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tools.costs.stack import Stack, Work

DAYS = 30
_SECONDS = DAYS * 86400
# The schedule of reconcile that resumes a run ticks each minute.
_TICKS = DAYS * 1440
_GB = 1e9


@dataclass(frozen=True, slots=True)
class Calls:
    """What one piece of work asks of AWS and Whop, and what it logs."""

    reads: int
    """Read request units: an item of at most 4 KB, strongly consistent."""
    writes: int
    """Write request units: an item of at most 1 KB. A transaction counts two for each item."""
    whop: int
    """Calls to Whop."""
    log_bytes: int
    """Of our own lines, with the metrics in them."""


# A linked user gets a token: the circuit state is read, and the mint is counted on the record.
MINT = Calls(reads=1, writes=1, whop=1, log_bytes=799)
# A message about a user who is new: the user is enrolled and gets a name.
SYNC = Calls(reads=3, writes=10, whop=2, log_bytes=1164)
# A sign-up is enqueued.
SIGN_UP_LOG_BYTES = 247

# SQS: a message is sent, received and deleted.
_REQUESTS_A_MESSAGE = 3
# While a queue is empty, Lambda asks it by five long polls of 20 s at once (AWS, "Using Lambda with Amazon SQS").
_POLLS = 5 * _SECONDS // 20
# Assumed: Lambda's own lines about an invocation (start, end, report, as JSON), and a line of the access log.
_PLATFORM_BYTES, _ACCESS_BYTES = 900, 250
# Assumed: what leaves AWS for a token. The answer to the app and the request to Whop, with their headers.
_BYTES_OUT = 3000
# docs/figures/reuse.md: in the busiest minute of a day arrive three times as many page loads as on average.
_PEAK = 3
# Caches of secrets expire after five minutes (`whop_chat.runtime.secrets`), in each instance.
_SECRET_READS_AN_INSTANCE = _SECONDS // 300
# AWS X-Ray, default sampling: one request a second, and 5 % of the others.
_SAMPLED = 0.05
# docs/scale.md: a page of 60 users takes reconcile 0.25 s at 512 MB, and three writes; each record is read once, and
# five of them in one unit when it scans.
_USERS_A_PAGE, _PAGE_SECONDS, _PAGE_WRITES, _SCANNED_A_READ = 60, 0.25, 3, 5
# docs/scale.md: the records of a million users take about 1 GB, with their Whop users.
_BYTES_A_USER = 1000
# Whop's calls in docs/figures/memory.md take 30 ms, like all others.
_MEASURED_ROUND_TRIP_MS = 30


@dataclass(frozen=True, slots=True)
class Scenario:
    """Who uses the stack in a month of 30 days."""

    users: int
    """Monthly active users. The pool is assumed to have no others."""
    page_loads: float
    """Page loads of a user a day. Each mints one token, because `TokenReuse` is `never`."""
    new_users: int
    changes: int = 0
    """Changed, disabled and deleted users, which CloudTrail reports with WatchCloudTrail."""
    whop_ms: float = 300
    """Milliseconds of a call to Whop. Assumed: Whop's documents name no times."""
    cold_starts: float = 0.01
    """The share of mints that start an instance. Assumed."""
    metrics: int = 40
    """Custom metrics that have data."""
    created_pool: bool = False
    """Whether the stack created the user pool, in Cognito's plan Plus."""

    @property
    def mints(self) -> int:
        """Tokens a month."""
        return round(self.users * self.page_loads * DAYS)

    @property
    def syncs(self) -> int:
        """Messages that `sync_user` handles in a month."""
        return self.new_users + self.changes

    @property
    def busiest_minute(self) -> float:
        """Calls to mint in the busiest minute. Whop allows 600."""
        return _PEAK * self.mints / (_SECONDS / 60)


@dataclass(frozen=True, slots=True)
class Line:
    """So much of something that has a price in `prices.json`."""

    service: str
    what: str
    price: str
    amount: float
    arithmetic: str


@dataclass(frozen=True, slots=True)
class _Term:
    """``count`` times ``each``."""

    count: int
    what: str
    each: int = 1

    def __str__(self) -> str:
        return f"{self.count:,} {self.what}" + (f" x {self.each:,}" if self.each != 1 else "")


def usage(scenario: Scenario, stack: Stack, architecture: str) -> list[Line]:
    """Every line of the bill."""
    return [
        *_lambda(scenario, stack, architecture),
        *_api(scenario),
        *_table(scenario),
        *_queue(scenario),
        *_secrets(scenario, stack),
        *_cloudwatch(scenario, stack),
        _x_ray(scenario),
        *_users_and_changes(scenario),
    ]


def _lambda(scenario: Scenario, stack: Stack, architecture: str) -> Iterator[Line]:
    starts = _starts(scenario)
    mint, started = (_work(work["mint_token"], MINT, scenario) for work in (stack.warm, stack.cold))
    # A tick makes one call and logs nothing, so it is taken for a warm on_signup.
    tick = stack.warm["on_signup"].seconds(stack.memory["reconcile"])
    sync = _work(stack.cold["sync_user"], SYNC, scenario)
    invocations = [
        ("mint_token, warm", "mint_token", scenario.mints - starts, mint.seconds(stack.memory["mint_token"])),
        ("mint_token, cold", "mint_token", starts, started.seconds(stack.memory["mint_token"])),
        # Sign-ups and syncs are rare enough that each may be a start.
        ("on_signup", "on_signup", scenario.new_users, stack.cold["on_signup"].seconds(stack.memory["on_signup"])),
        ("sync_user", "sync_user", scenario.syncs, sync.seconds(stack.memory["sync_user"])),
        ("reconcile, ticks", "reconcile", _TICKS, tick),
    ]
    pages = ("reconcile, pages of the nightly runs", "reconcile", DAYS * _pages(scenario), _PAGE_SECONDS)
    for what, function, count, seconds in [*invocations, pages]:
        memory = stack.memory[function]
        arithmetic = f"{count:,} x {seconds * 1000:,.0f} ms x {memory:,} MB / 1,024"
        yield Line("Lambda", what, f"lambda_{architecture}", count * seconds * memory / 1024, arithmetic)
    calls = sum(count for _, _, count, _ in invocations)
    yield Line("Lambda", "calls", "lambda_call", calls, "all of the above but the pages")


def _api(scenario: Scenario) -> Iterator[Line]:
    # Before a request, a browser may have to ask whether the origin is allowed.
    yield _line("API Gateway", "requests, with CORS", "http_api_request", _Term(scenario.mints, "tokens", 2))
    yield _line("Data transfer", "GB out", "transfer_gb", _Term(scenario.mints, "tokens", _BYTES_OUT), of=_GB)


def _table(scenario: Scenario) -> Iterator[Line]:
    mints, syncs, users = scenario.mints, scenario.syncs, scenario.users
    yield _line(
        "DynamoDB",
        "reads",
        "table_read",
        _Term(mints, "tokens", MINT.reads),
        _Term(syncs, "syncs", SYNC.reads),
        _Term(_TICKS, "ticks"),
        _Term(DAYS, "nights", users + math.ceil(users / _SCANNED_A_READ)),
    )
    yield _line(
        "DynamoDB",
        "writes",
        "table_write",
        _Term(mints, "tokens", MINT.writes),
        _Term(syncs, "syncs", SYNC.writes),
        _Term(DAYS, "nights", _pages(scenario) * _PAGE_WRITES),
    )
    stored = _Term(users, "users", _BYTES_A_USER)
    yield _line("DynamoDB", "GB stored", "table_storage", stored, of=_GB)
    yield _line("DynamoDB", "GB for point-in-time recovery", "table_recovery", stored, of=_GB)


def _queue(scenario: Scenario) -> Iterator[Line]:
    messages = _Term(scenario.syncs, "messages", _REQUESTS_A_MESSAGE)
    yield _line("SQS", "requests", "queue_request", messages, _Term(_POLLS, "polls of an empty queue"))


def _secrets(scenario: Scenario, stack: Stack) -> Iterator[Line]:
    yield _line("Secrets Manager", "secrets", "secret", _Term(stack.secrets, "by default"))
    seconds = _work(stack.warm["mint_token"], MINT, scenario).seconds(stack.memory["mint_token"])
    yield _line(
        "Secrets Manager",
        "reads",
        "secret_read",
        _Term(_starts(scenario), "starts"),
        _Term(scenario.syncs, "syncs"),
        _Term(math.ceil(scenario.busiest_minute / 60 * seconds), "busy instances", _SECRET_READS_AN_INSTANCE),
    )


def _cloudwatch(scenario: Scenario, stack: Stack) -> Iterator[Line]:
    logs = [
        _Term(scenario.mints, "tokens", MINT.log_bytes + _PLATFORM_BYTES + _ACCESS_BYTES),
        _Term(scenario.new_users, "sign-ups", SIGN_UP_LOG_BYTES + _PLATFORM_BYTES),
        _Term(scenario.syncs, "syncs", SYNC.log_bytes + _PLATFORM_BYTES),
        _Term(_TICKS, "ticks", _PLATFORM_BYTES),
    ]
    written = _line("CloudWatch", "GB of logs written", "log_gb", *logs, of=_GB)
    kept = written.amount * stack.log_days / DAYS
    yield written
    yield Line("CloudWatch", "GB of logs kept", "log_storage", kept, f"these, for {stack.log_days} days")
    yield _line("CloudWatch", "custom metrics", "metric", _Term(scenario.metrics, "with data all month"))
    yield _line("CloudWatch", "alarms", "alarm", _Term(stack.alarm_metrics, "metrics of the template's alarms"))
    yield _line("CloudWatch", "dashboards", "dashboard", _Term(stack.dashboards, "in the template"))


def _x_ray(scenario: Scenario) -> Line:
    calls = {"tokens": scenario.mints, "sign-ups": scenario.new_users, "syncs": scenario.syncs, "ticks": _TICKS}
    traces = [_Term(_traces(count), f"of {count:,} {what}") for what, count in calls.items()]
    return _line("X-Ray", "traces, at most", "trace", *traces)


def _users_and_changes(scenario: Scenario) -> Iterator[Line]:
    yield _line("Cognito", "trigger calls", "trigger", _Term(scenario.new_users, "sign-ups"))
    if scenario.created_pool:
        yield _line("Cognito", "users", "user_plus", _Term(scenario.users, "users"))
    changes = _Term(scenario.changes, "changes by CloudTrail")
    yield _line("EventBridge", "events", "rule", changes, _Term(_TICKS, "ticks"), _Term(DAYS, "nights"))


def _line(service: str, what: str, price: str, *terms: _Term, of: float = 1) -> Line:
    """The sum of ``terms`` that are not 0, in units of ``of``."""
    arithmetic = " + ".join(str(term) for term in terms if term.count) or "none"
    return Line(service, what, price, sum(term.count * term.each for term in terms) / of, arithmetic)


def _work(measured: Work, calls: Calls, scenario: Scenario) -> Work:
    """``measured`` with the scenario's time for Whop's calls."""
    return measured.longer(calls.whop * (scenario.whop_ms - _MEASURED_ROUND_TRIP_MS))


def _starts(scenario: Scenario) -> int:
    return round(scenario.mints * scenario.cold_starts)


def _pages(scenario: Scenario) -> int:
    return math.ceil(scenario.users / _USERS_A_PAGE)


def _traces(calls: int) -> int:
    """At most: as if the calls were spread evenly over the month."""
    return min(calls, _SECONDS) + round(_SAMPLED * max(0, calls - _SECONDS))
