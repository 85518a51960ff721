"""Cognito: a user pool, as far as the service reads it, and its signing keys.

`ListUsers` shows the pool as it was some seconds ago, `AdminGetUser` as it is now. Now and then a search by `ListUsers`
overlooks a user.
"""

import dataclasses
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from soak.errors import Refused
from soak.scheduler import Scheduler

POOL_ID = "eu-west-1_Soak"
CLIENT_ID = "1example23456789"
ISSUER = f"https://cognito-idp.eu-west-1.amazonaws.com/{POOL_ID}"
TOKEN_SECONDS = 1800.0  # template.yaml, UserPoolClient
_LISTED_AFTER_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the pool at one moment."""

    sub: str
    username: str
    email: str
    name: str
    verified: bool = True
    enabled: bool = True

    def row(self) -> dict[str, Any]:
        """The user as the API's UserType."""
        attributes = {
            "sub": self.sub,
            "email": self.email,
            "email_verified": str(self.verified).lower(),
            "name": self.name,
        }
        return {
            "Username": self.username,
            "Attributes": [{"Name": name, "Value": value} for name, value in attributes.items()],
            "Enabled": self.enabled,
            "UserStatus": "CONFIRMED",
        }


class SigningKey:
    """A key of the pool."""

    def __init__(self, number: int) -> None:
        self.kid = f"key-{number}"
        self.private = _private_key(number)

    def jwk(self) -> dict[str, Any]:
        """The public key."""
        key: dict[str, Any] = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**key, "use": "sig", "alg": "RS256", "kid": self.kid}


class Pool:
    """The pool. ``people`` has its users, ``gone`` the deleted ones, both by ``sub``.

    ``overlooked`` is the probability that a search does not show a user who is there.
    """

    def __init__(self, scheduler: Scheduler, *, overlooked: float = 0.0) -> None:
        self._scheduler = scheduler
        self._overlooked = overlooked
        self.people: dict[str, Person] = {}
        self.gone: dict[str, Person] = {}
        self._by_name: dict[str, str] = {}
        self._order: list[str] = []
        self._history: dict[str, list[tuple[float, Person | None]]] = {}
        self.keys = [SigningKey(0)]
        self._signed = 0

    def sign_up(self, email: str, name: str, *, username: str | None = None, verified: bool = True) -> Person:
        """Add a confirmed user."""
        sub = str(uuid.UUID(int=self._scheduler.chance.getrandbits(128), version=4))
        person = Person(sub, username or f"name-of-{sub}", email, name, verified)
        if person.username in self._by_name:
            raise AssertionError("the user name is taken")
        self._order.append(sub)
        self._become(person)
        return person

    def change(self, sub: str, **changes: Any) -> Person:
        """Change attributes of a user, or ``enabled``."""
        person = dataclasses.replace(self.people[sub], **changes)
        self._become(person)
        return person

    def delete(self, sub: str) -> None:
        """Delete a user. The user name is free again."""
        person = self.gone[sub] = self.people.pop(sub)
        del self._by_name[person.username]
        self._history[sub].append((self._scheduler.now, None))

    def was_verified(self, sub: str) -> bool:
        """Whether the user's address is or ever was verified."""
        return any(person is not None and person.verified for _, person in self._history[sub])

    def addresses(self, sub: str) -> set[str]:
        """Every address that the user has or had."""
        return {person.email for _, person in self._history[sub] if person is not None}

    def rotate(self) -> None:
        """Sign with a new key. Only the key before it stays published."""
        self.keys = [SigningKey(self._number + 1), self.keys[0]]

    def token(self, sub: str) -> str:
        """An access token, as at a sign-in or with a refresh token; raises `Refused` if the user may not sign in."""
        person = self.people.get(sub)
        if person is None or not person.enabled:
            raise Refused("NotAuthorizedException")
        now = int(self._scheduler.now)
        self._signed += 1
        claims = {
            "sub": sub,
            "iss": ISSUER,
            "client_id": CLIENT_ID,
            "token_use": "access",
            "scope": "aws.cognito.signin.user.admin",
            "auth_time": now,
            "iat": now,
            "exp": now + int(TOKEN_SECONDS),
            "jti": str(self._signed),
            "username": person.username,
        }
        key = self.keys[0]
        return jwt.encode(claims, key.private, algorithm="RS256", headers={"kid": key.kid, "typ": None})

    def key_set(self) -> bytes:
        """The body of `/.well-known/jwks.json`."""
        return json.dumps({"keys": [key.jwk() for key in self.keys]}).encode()

    def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of the API. Raises `Refused`."""
        match operation:
            case "AdminGetUser":
                name = request["Username"]
                person = self.people.get(self._by_name.get(name, name))
                if person is None:
                    raise Refused("UserNotFoundException")
                row = person.row()
                return {**row, "UserAttributes": row.pop("Attributes")}
            case "ListUsers" if "Filter" in request:
                match = re.fullmatch(r'sub = "([^"]+)"', request["Filter"])
                overlooked = self._scheduler.chance.random() < self._overlooked
                listed = self._listed(match[1]) if match and not overlooked else None
                return {"Users": [listed.row()] if listed else []}
            case "ListUsers":
                start = int(request.get("PaginationToken", "0"))
                subs = self._order[start : start + request["Limit"]]
                users = [listed.row() for listed in map(self._listed, subs) if listed]
                end = start + len(subs)
                return {"Users": users, **({"PaginationToken": str(end)} if end < len(self._order) else {})}
        raise Refused("UnknownOperationException", operation)

    def _listed(self, sub: str) -> Person | None:
        """The user as a list shows them: as of up to three seconds ago."""
        moment = self._scheduler.now - self._scheduler.chance.uniform(0, _LISTED_AFTER_SECONDS)
        shown = None
        for at, person in self._history.get(sub, []):
            if at <= moment:
                shown = person
        return shown

    @property
    def _number(self) -> int:
        return int(self.keys[0].kid.removeprefix("key-"))

    def _become(self, pool_user: Person) -> None:
        self.people[pool_user.sub] = pool_user
        self._by_name[pool_user.username] = pool_user.sub
        self._history.setdefault(pool_user.sub, []).append((self._scheduler.now, pool_user))


_private_keys: dict[int, rsa.RSAPrivateKey] = {}


def _private_key(number: int) -> rsa.RSAPrivateKey:
    """The key is made once for all runs: nothing in a run depends on its value."""
    if number not in _private_keys:
        _private_keys[number] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return _private_keys[number]
