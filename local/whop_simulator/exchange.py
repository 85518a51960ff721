"""One request on its way through the simulator, and the line about it in the call log."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from local.whop_simulator.faults import Fault
from local.whop_simulator.idempotency import Reservation, key_hash
from local.whop_simulator.operations import Operation
from local.whop_simulator.state import ApiKey, MintedToken
from local.whop_simulator.wire import Fate, Request, Response


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One line of the call log. It has no secret, no token, no body and no value of a header.

    ``status`` is None while the call is in flight, and 0 if its answer was lost. ``at`` is in Unix seconds.
    """

    operation: str
    method: str
    path: str
    at: float
    status: int | None = None
    credential: str | None = None
    api_version: str | None = None
    idempotency_key_hash: str | None = None
    replayed: bool = False
    fault: str | None = None
    header_names: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Exchange:
    """A request that Whop has received and has not answered yet.

    The caller waits ``delay`` seconds before `complete`. If the simulator's clock passes that time first, the exchange
    completes by itself. ``log_index`` is the place of its line in the call log.
    """

    request: Request
    operation: Operation | None
    resource: str
    received_at: float
    log_index: int
    finish: Callable[["Exchange"], Response] = field(repr=False)
    fault: Fault | None = None
    credential: ApiKey | MintedToken | None = None
    reservation: Reservation | None = None
    result: Response | None = None
    sent: Response | None = None

    @property
    def delay(self) -> float:
        """Seconds until the answer."""
        return self.fault.seconds if self.fault is not None and self.fault.kind == "delay" else 0.0

    def complete(self) -> Response:
        """Run the call if it has not run yet, and answer. Every further call returns the same answer."""
        return self.finish(self)


def record_of(exchange: Exchange, name: str) -> CallRecord:
    """The line of the call log for a call that has just arrived."""
    request = exchange.request
    key = request.header("idempotency-key")
    return CallRecord(
        operation=name,
        method=request.method,
        path=request.path,
        at=exchange.received_at,
        api_version=request.header("api-version-date"),
        idempotency_key_hash=key_hash(key) if key else None,
        fault=exchange.fault.kind if exchange.fault else None,
        header_names=tuple(sorted({header.lower() for header, _ in request.headers})),
    )


def completed(record: CallRecord, sent: Response) -> CallRecord:
    """The line of the call log for a call that was answered."""
    status = 0 if sent.fate in (Fate.DROPPED, Fate.TRUNCATED) else sent.status
    return replace(record, status=status, replayed=sent.header("idempotent-replayed") is not None)
