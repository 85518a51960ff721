"""Faults: what goes wrong with the next calls of an operation."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal, get_args

from local.whop_simulator.wire import Fate, Response

type FaultKind = Literal[
    "status",
    "status_after",
    "delay",
    "unreachable",
    "drop_before",
    "drop_after",
    "crash_before",
    "crash_after",
    "malformed",
    "truncated",
    "drip",
]

KINDS: tuple[str, ...] = get_args(FaultKind.__value__)


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the next ``count`` calls of ``operation``, after ``skip`` calls without a fault.

    ``operation`` is a name such as ``accounts.create``, or ``*``. With ``count`` None, the fault applies until it is
    removed, and with ``lasts`` at most for so many seconds. "Done" means that the call had its effect at Whop.

    ========================  =======================================================================================
    ``status``                not done; the answer is ``status``, with ``body`` or else Whop's error envelope; a 429
                              names a wait of ``wait`` seconds
    ``status_after``          done; the answer is ``status``, as from a gateway between Whop and us
    ``delay``                 the call is in flight for ``seconds``; ``effect`` says whether it is done after them
                              (``late``) or before them (``early``)
    ``unreachable``           not done; no connection (over a socket: the connection is dropped)
    ``drop_before``           not done; the connection is dropped
    ``drop_after``            done; the connection is dropped before the answer
    ``crash_before``/``after``  the same two, but Whop loses track: an Idempotency-Key is held until it expires
    ``malformed``             done; the answer is ``body``, or text that is not JSON
    ``truncated``             done; the connection is dropped after half of the body
    ``drip``                  done; the body arrives one byte every ``seconds``
    ========================  =======================================================================================
    """

    operation: str
    kind: FaultKind
    count: int | None = 1
    lasts: float | None = None
    skip: int = 0
    status: int = 500
    body: str | None = None
    wait: int | None = None
    seconds: float = 0.0
    effect: Literal["late", "early"] = "late"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}")
        if self.effect not in ("late", "early"):
            raise ValueError("effect is late or early")
        if (self.count is not None and self.count < 1) or min(self.skip, self.seconds, self.lasts or 0) < 0:
            raise ValueError("count is at least 1; skip, seconds and lasts are not negative")
        if not 400 <= self.status <= 599:
            raise ValueError("status is an error status")

    @classmethod
    def from_dict(cls, value: Mapping[str, object]) -> "Fault":
        """A fault from JSON. Raises `ValueError` for an unknown field or an invalid value."""
        unknown = value.keys() - cls.__dataclass_fields__.keys()
        if unknown:
            raise ValueError(f"unknown fields: {', '.join(sorted(unknown))}")
        for name, allowed in _FIELD_TYPES.items():
            if name in value and not _is(value[name], allowed):
                raise ValueError(f"{name} has the wrong type")
        try:
            return cls(**value)  # type: ignore[arg-type]
        except TypeError:
            raise ValueError("operation and kind are required") from None

    def as_dict(self) -> dict[str, object]:
        """The fault as JSON."""
        return asdict(self)


_FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "operation": (str,),
    "kind": (str,),
    "count": (int, type(None)),
    "lasts": (int, float, type(None)),
    "skip": (int,),
    "status": (int,),
    "body": (str, type(None)),
    "wait": (int, type(None)),
    "seconds": (int, float),
    "effect": (str,),
}


def _is(value: object, allowed: tuple[type, ...]) -> bool:
    return isinstance(value, allowed) and not isinstance(value, bool)


@dataclass(slots=True)
class _Active:
    fault: Fault
    skip: int
    left: int | None
    until: float


class FaultPlan:
    """The faults in force, oldest first. Not thread-safe."""

    def __init__(self) -> None:
        self._active: list[_Active] = []

    def add(self, fault: Fault, now: float) -> None:
        """Add a fault."""
        until = math.inf if fault.lasts is None else now + fault.lasts
        self._active.append(_Active(fault, fault.skip, fault.count, until))

    def clear(self, operation: str | None = None) -> None:
        """Remove the faults of ``operation``, or all."""
        self._active = [] if operation is None else [a for a in self._active if a.fault.operation != operation]

    def pending(self, now: float) -> tuple[Fault, ...]:
        """The faults in force."""
        return tuple(active.fault for active in self._active if now < active.until)

    def take(self, operation: str, now: float) -> Fault | None:
        """The fault that applies to this call, or None. Counts it as used."""
        for active in list(self._active):
            if active.fault.operation not in (operation, "*") or now >= active.until:
                continue
            if active.skip > 0:
                active.skip -= 1
                continue
            self._use(active)
            return active.fault
        return None

    def _use(self, active: _Active) -> None:
        if active.left is not None:
            active.left -= 1
            if active.left == 0:
                self._active.remove(active)


def delivered(result: Response, fault: Fault | None) -> Response:
    """The response as it reaches the client."""
    kind = fault.kind if fault else None
    if fault is None:
        return result
    if kind in ("drop_after", "crash_after"):
        return Response(0, fate=Fate.DROPPED)
    if kind == "malformed":
        return replace(result, body=(fault.body if fault.body is not None else '{"token": ').encode())
    if kind == "truncated":
        length = ("content-length", str(len(result.body)))
        half = result.body[: len(result.body) // 2]
        return replace(result, headers=(*result.headers, length), body=half, fate=Fate.TRUNCATED)
    if kind == "drip":
        return replace(result, fate=Fate.DRIPPED, drip_seconds=fault.seconds)
    return result
