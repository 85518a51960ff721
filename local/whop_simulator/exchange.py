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
    """One line of the call log: never a secret, a token, a body or a header's value.

    ``status`` is None while the call is in flight and 0 if its answer was lost; ``at`` is Unix seconds.
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
    """A request that Whop has received and not answered yet.

    ``delay`` seconds are to pass before `complete`; if they do on the simulator's clock, it completes by itself.
    """

    request: Request
    operation: Operation | None
    resource: str
    received_at: float
    place: int
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
        """Do what is still to be done and answer; the same answer however often it is asked."""
        return self.finish(self)


def record_of(exchange: Exchange, name: str) -> CallRecord:
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
    status = 0 if sent.fate in (Fate.DROPPED, Fate.TRUNCATED) else sent.status
    return replace(record, status=status, replayed=sent.header("idempotent-replayed") is not None)
