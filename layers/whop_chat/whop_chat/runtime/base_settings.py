"""How the environment is read into frozen dataclasses, and what of it each function has; the rest is in `settings`.

Every missing or malformed name is reported in one error, so that a wrong deployment is mended in one go. On its own
because each dataclass costs a start half a millisecond, and the sign-up trigger needs no others.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from whop_chat.runtime.partitions import LOOPBACK_URL, dns_suffix


class SettingsError(Exception):
    """The environment is incomplete or wrong; the message names each variable and never repeats a value."""


def setting(name: str, parse: Callable[[str], Any], *, optional: bool = False, secret: bool = False) -> Any:
    """A field that is read from the variable ``name``; ``parse`` raises `ValueError` with what is wrong."""

    def read(env: Mapping[str, str]) -> Any:
        if name not in env and not optional:
            raise SettingsError(f"{name} is missing")
        try:
            return parse(env.get(name, ""))
        except ValueError as error:
            raise SettingsError(f"{name} {error}") from None

    return field(metadata={"read": read}, repr=not secret)


def text(value: str) -> str:
    """Anything but nothing."""
    if not value.strip():
        raise ValueError("is empty")
    return value


def optional_text(value: str) -> str | None:
    """None for nothing."""
    return value.strip() or None


def matching(pattern: str, description: str) -> Callable[[str], str]:
    """What ``pattern`` matches as a whole; ``description`` says what it is not, if it is not."""

    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"is not {description}")
        return value

    return parse


def _loopback(value: str) -> str | None:
    """Signed calls and secrets go there."""
    return matching(LOOPBACK_URL, "a loopback address")(value) if value else None


class Environment:
    """Reads the fields of a settings class."""

    __slots__ = ()

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Raises `SettingsError` with every name that is missing or wrong."""
        values: dict[str, Any] = {}
        wrong: list[str] = []
        for item in dataclasses.fields(cls):  # type: ignore[arg-type]
            try:
                values[item.name] = item.metadata["read"](env)
            except SettingsError as error:
                wrong.append(str(error))
        if wrong:
            raise SettingsError("; ".join(wrong))
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsCredentials(Environment):
    """Credentials of the function's role."""

    access_key_id: str = setting("AWS_ACCESS_KEY_ID", text)
    secret_access_key: str = setting("AWS_SECRET_ACCESS_KEY", text, secret=True)
    session_token: str | None = setting("AWS_SESSION_TOKEN", optional_text, optional=True, secret=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings(Environment):
    """What Lambda itself tells a function of where it is and who it is (AWS, "Defined runtime environment variables").

    ``endpoint`` is set where the AWS SDKs are pointed at a local emulator; None on AWS.
    """

    region: str = setting("AWS_REGION", text)
    credentials: AwsCredentials = field(metadata={"read": AwsCredentials.from_env})
    endpoint: str | None = setting("AWS_ENDPOINT_URL", _loopback, optional=True)

    def url(self, service: str) -> str:
        """Where ``service``, by its name in host names, is called."""
        return self.endpoint or f"https://{service}.{self.region}.{dns_suffix(self.region)}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUpSettings(Environment):
    """What the sign-up trigger needs. The pool is not among it: the pool names the function, so it comes by event."""

    sync_queue_url: str = setting("SYNC_QUEUE_URL", text)
