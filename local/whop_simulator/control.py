"""A typed client that controls a served simulator."""

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self, cast

import httpx

from local.whop_simulator.core import DEFAULT_COMPANY
from local.whop_simulator.exchange import CallRecord
from local.whop_simulator.faults import Fault
from local.whop_simulator.limits import Count, Limits
from local.whop_simulator.readings import Readings
from local.whop_simulator.wire import Json


class ControlError(Exception):
    """The simulator refused a control request."""


class SimulatorControl:
    """Controls the simulator at ``base_url`` (``http://127.0.0.1:PORT``). Its methods are those of `Simulator`.

    They raise `ControlError` for an invalid request, and `httpx.HTTPError` if there is no simulator.
    """

    def __init__(self, base_url: str, *, transport: httpx.BaseTransport | None = None, timeout: float = 10.0) -> None:
        self.api_url = f"{base_url.rstrip('/')}/api/v1"
        self._client = httpx.Client(
            base_url=f"{base_url.rstrip('/')}/_simulator/", transport=transport, timeout=timeout, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def is_ready(self) -> bool:
        """Whether the simulator answers."""
        try:
            return self._ask("GET", "ready").get("ready") is True
        except (httpx.HTTPError, ControlError):
            return False

    def state(self) -> dict[str, list[dict[str, Any]]]:
        """The state: accounts, deleted_accounts, users, profiles, tokens, keys and messages, without secrets."""
        return cast(dict[str, list[dict[str, Any]]], self._ask("GET", "state"))

    def calls(self, operation: str | None = None) -> tuple[CallRecord, ...]:
        """The call log, oldest first."""
        found = self._ask("GET", "calls", params={"operation": operation} if operation else {})
        return tuple(
            CallRecord(**{**call, "header_names": tuple(call["header_names"])})
            for call in cast(list[dict[str, Any]], found["calls"])
        )

    def counts(self) -> dict[str, Count]:
        """Per operation: all calls, calls over the rate limit, and the most calls in one window."""
        return {name: Count(**cast(dict[str, int], count)) for name, count in self._ask("GET", "counts").items()}

    def rules(self) -> list[Json]:
        """Every rule, with its evidence and source."""
        return cast(list[Json], self._ask("GET", "rules")["rules"])

    def add_fault(self, fault: Fault) -> None:
        """Add a fault."""
        self._ask("POST", "faults", json=fault.as_dict())

    def faults(self) -> tuple[Fault, ...]:
        """The faults in force."""
        return tuple(Fault.from_dict(fault) for fault in cast(list[Json], self._ask("GET", "faults")["faults"]))

    def clear_faults(self, operation: str | None = None) -> None:
        """Remove the faults of an operation, or all."""
        self._ask("DELETE", "faults", params={"operation": operation} if operation else {})

    def readings(self) -> Readings:
        """The readings in force."""
        return Readings().with_changes(self._ask("GET", "readings"))

    def set_readings(self, readings: Readings) -> None:
        """Replace the readings."""
        self._ask("PATCH", "readings", json=readings.as_dict())

    def change_readings(self, **changes: object) -> Readings:
        """Change some readings by name."""
        return Readings().with_changes(self._ask("PATCH", "readings", json=changes))

    def set_limits(self, limits: Limits) -> None:
        """Change the rate limit."""
        self._ask("PUT", "limits", json={"calls": limits.calls, "seconds": limits.seconds})

    def add_company(self, company_id: str = DEFAULT_COMPANY, *, title: str = "Platform", owner_email: str = "") -> str:
        """Add a company; its id."""
        body: Json = {"company_id": company_id, "title": title, "owner_email": owner_email}
        return str(self._ask("POST", "companies", json=body)["id"])

    def add_key(
        self,
        secret: str,
        *,
        company_id: str = DEFAULT_COMPANY,
        permissions: Iterable[str] | None = None,
        owner_level: bool = False,
        pinned_version: str | None = None,
    ) -> str:
        """Make ``secret`` an API key of the company; the key's id."""
        body: Json = {"key": secret, "company_id": company_id, "owner_level": owner_level}
        if permissions is not None:
            body["permissions"] = sorted(permissions)
        if pinned_version is not None:
            body["pinned_version"] = pinned_version
        return str(self._ask("POST", "keys", json=body)["id"])

    def add_oauth_app(
        self,
        client_id: str,
        redirect_uris: Iterable[str],
        *,
        secret: str | None = None,
        permissions: Iterable[str] | None = None,
    ) -> None:
        """Register an app for OAuth, or change it. ``permissions`` are the scopes that it may ask for; None is all."""
        asked = None if permissions is None else [*permissions]
        body: Json = {
            "client_id": client_id,
            "redirect_uris": [*redirect_uris],
            "secret": secret,
            "permissions": asked,
        }
        self._ask("POST", "oauth_apps", json=body)

    def end_consents(self, user_id: str) -> None:
        """End all OAuth consents of a user."""
        self._ask("POST", "end_consents", json={"user_id": user_id})

    def revoke_key(self, secret: str) -> bool:
        """Revoke a key; whether it was valid."""
        return self._ask("DELETE", "keys", json={"key": secret})["revoked"] is True

    def add_person(self, email: str, *, name: str | None = None) -> str:
        """Add a Whop user who has no account of ours; the user id."""
        return str(self._ask("POST", "people", json={"email": email, "name": name})["id"])

    def expire_tokens(self) -> None:
        """End the life of every minted token now."""
        self._ask("POST", "expire_tokens")

    def block_deletion(self, account_id: str, reason: str | None) -> None:
        """Make DELETE of the account answer 400 with ``reason``, until ``reason`` is None."""
        self._ask("POST", "block_deletion", json={"account_id": account_id, "reason": reason})

    def now(self) -> float:
        """The simulator's time, in Unix seconds."""
        return float(cast(float, self._ask("GET", "clock")["now"]))

    def advance(self, seconds: float) -> float:
        """Move the simulator's clock forward; the new time."""
        return float(cast(float, self._ask("POST", "clock/advance", json={"seconds": seconds})["now"]))

    def reset(self) -> None:
        """Forget everything except the keys, their companies and the OAuth apps."""
        self._ask("POST", "reset")

    def _ask(self, method: str, path: str, *, json: object = None, params: dict[str, str] | None = None) -> Json:
        response = self._client.request(method, path, json=json, params=params)
        if response.status_code != 200:
            raise ControlError(f"{method} {path}: {response.status_code} {response.text}")
        return cast(Json, response.json())
