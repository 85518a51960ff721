"""The environment of each function, read once into a frozen dataclass.

Every missing or malformed name is reported in one error, so that a wrong deployment is mended in one go.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Self

from whop_chat.profile import name_rule
from whop_chat.scopes import FEATURE_SCOPES
from whop_chat.user_pool import LOOPBACK_URL

# The API key goes there with every call: to Whop's production or sandbox host, or to this machine, for local runs.
_WHOP_BASE_URL = r"https://(api|sandbox-api)\.whop\.com|http://(127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?"
# The SDKs' rule for the address that credentials come from ("Container credential provider"): https, or this machine,
# or the link-local hosts of ECS and EKS. Here localhost may stand, because Lambda writes the address.
_CREDENTIALS_URL = (
    r"(https://[A-Za-z0-9.-]+|http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\]|169\.254\.170\.(2|23)|\[fd00:ec2::23\]))"
    r"(:[0-9]{1,5})?([/?][!-~]*)?"
)
_HEADER_VALUE = r"[ -~]*"
_ALIAS_TEMPLATE = r"([A-Za-z0-9._+-]*\{sub\}[A-Za-z0-9._+-]*@([A-Za-z0-9-]+\.)+[A-Za-z]{2,63})?"


class SettingsError(Exception):
    """The environment is incomplete or wrong; the message names each variable and never repeats a value."""


def _setting(name: str, parse: Callable[[str], Any], *, optional: bool = False, secret: bool = False) -> Any:
    def read(env: Mapping[str, str]) -> Any:
        if name not in env and not optional:
            raise SettingsError(f"{name} is missing")
        try:
            return parse(env.get(name, ""))
        except ValueError as error:
            raise SettingsError(f"{name} {error}") from None

    return field(metadata={"read": read}, repr=not secret)


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty")
    return value


def _optional_text(value: str) -> str | None:
    return value.strip() or None


def _matching(pattern: str, description: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"is not {description}")
        return value

    return parse


def _loopback(value: str) -> str | None:
    """Signed calls and secrets go there."""
    return _matching(LOOPBACK_URL.pattern, "a loopback address")(value) if value else None


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"is none of {', '.join(allowed)}")
        return value

    return parse


def _optional_list(value: str) -> tuple[str, ...]:
    return tuple(item for item in (part.strip() for part in value.split(",")) if item)


def _list(value: str) -> tuple[str, ...]:
    items = _optional_list(value)
    if not items:
        raise ValueError("is empty")
    return items


def _features(value: str) -> tuple[str, ...]:
    items = _list(value)
    for item in items:
        _one_of(*FEATURE_SCOPES)(item)
    return items


def _group_features(value: str) -> Mapping[str, tuple[str, ...]]:
    """``group=feature+feature`` for each group, separated by commas."""
    result: dict[str, tuple[str, ...]] = {}
    for item in _optional_list(value):
        group, equals, features = (part.strip() for part in item.rpartition("="))
        if not group or not equals or group in result:
            raise ValueError("is not like group=channels+dms, with each group once")
        result[group] = _features(features.replace("+", ","))
    return MappingProxyType(result)


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
            raise ValueError(f"is not a whole number from {least} to {most}")
        return int(value)

    return parse


class _Environment:
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
class AwsCredentials(_Environment):
    """Credentials of the function's role."""

    access_key_id: str = _setting("AWS_ACCESS_KEY_ID", _text)
    secret_access_key: str = _setting("AWS_SECRET_ACCESS_KEY", _text, secret=True)
    session_token: str | None = _setting("AWS_SESSION_TOKEN", _optional_text, optional=True, secret=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsEndpoint(_Environment):
    """Where a function under SnapStart asks for its credentials, and what it shows there.

    Its environment holds none, because they would be those of the snapshot (AWS, "Using SnapStart with AWS SDKs").
    """

    url: str = _setting(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        _matching(_CREDENTIALS_URL, "an address that credentials may come from"),
    )
    authorization: str = _setting(
        "AWS_CONTAINER_AUTHORIZATION_TOKEN", _matching(_HEADER_VALUE, "fit for a header"), optional=True, secret=True
    )


def _credentials(env: Mapping[str, str]) -> AwsCredentials | CredentialsEndpoint:
    """What the environment holds itself goes first, as with the SDKs."""
    if "AWS_ACCESS_KEY_ID" not in env and "AWS_CONTAINER_CREDENTIALS_FULL_URI" in env:
        return CredentialsEndpoint.from_env(env)
    return AwsCredentials.from_env(env)


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsSettings(_Environment):
    """What Lambda itself tells a function of where it is and who it is (AWS, "Defined runtime environment variables").

    ``endpoint`` is set where the AWS SDKs are pointed at a local emulator; None on AWS. ``snap_start`` says whether
    this environment is going to be copied.
    """

    region: str = _setting("AWS_REGION", _text)
    credentials: AwsCredentials | CredentialsEndpoint = field(metadata={"read": _credentials})
    endpoint: str | None = _setting("AWS_ENDPOINT_URL", _loopback, optional=True)
    snap_start: bool = _setting("AWS_LAMBDA_INITIALIZATION_TYPE", lambda value: value == "snap-start", optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignUpSettings(_Environment):
    """What the sign-up trigger needs. The pool is not among it: the pool names the function, so it comes by event."""

    sync_queue_url: str = _setting("SYNC_QUEUE_URL", _text)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSettings(SignUpSettings):
    """What it takes to say of a user of the pool whether and how they are enrolled."""

    user_pool_id: str = _setting("USER_POOL_ID", _text)
    users_table: str = _setting("USERS_TABLE", _text)
    enrolment_email: Literal["verified", "alias"] = _setting("ENROLMENT_EMAIL", _one_of("verified", "alias"))
    alias_email_template: str = _setting("ALIAS_EMAIL_TEMPLATE", _matching(_ALIAS_TEMPLATE, "like chat+{sub}@team.com"))
    trusted_providers: tuple[str, ...] = _setting("TRUSTED_PROVIDERS", _optional_list)
    profile_name: tuple[tuple[str, ...], ...] = _setting("PROFILE_NAME", name_rule)

    def __post_init__(self) -> None:
        if self.enrolment_email == "alias" and not self.alias_email_template:
            raise SettingsError("ALIAS_EMAIL_TEMPLATE is needed when ENROLMENT_EMAIL is alias")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentSettings(PoolSettings):
    """What it takes to make sure that a Cognito user exists at Whop."""

    whop_secret_arn: str = _setting("WHOP_SECRET_ARN", _text)
    whop_company_id: str = _setting("WHOP_COMPANY_ID", _matching(r"biz_[A-Za-z0-9]+", "a Whop company id (biz_…)"))
    whop_base_url: str = _setting(
        "WHOP_BASE_URL", _matching(_WHOP_BASE_URL, "Whop's production or sandbox API, nor a loopback address")
    )
    whop_api_version: str = _setting("WHOP_API_VERSION", _matching(r"\d{4}-\d{2}-\d{2}(-\d+)?", "a dated API version"))
    whop_company_field: Literal["account_id", "company_id"] = _setting(
        "WHOP_COMPANY_FIELD", _one_of("account_id", "company_id")
    )
    email_reuse: Literal["refuse", "inherit"] = _setting("EMAIL_REUSE", _one_of("refuse", "inherit"))


def _data_key_secret_arn(env: Mapping[str, str]) -> str | None:
    """Needed where tokens are kept, and of no use elsewhere."""
    if env.get("TOKEN_REUSE") not in ("on-error", "always"):
        return None
    arn = _optional_text(env.get("DATA_KEY_SECRET_ARN", ""))
    if arn is None:
        raise SettingsError("DATA_KEY_SECRET_ARN is needed unless TOKEN_REUSE is never")
    return arn


@dataclass(frozen=True, slots=True, kw_only=True)
class MintSettings(EnrolmentSettings):
    """What the token endpoint needs on top."""

    user_pool_client_ids: tuple[str, ...] = _setting("USER_POOL_CLIENT_IDS", _list)
    token_use: Literal["access", "id"] = _setting("TOKEN_USE", _one_of("access", "id"))
    chat_features: tuple[str, ...] = _setting("CHAT_FEATURES", _features)
    token_ttl_minutes: int = _setting("TOKEN_TTL_MINUTES", _number(5, 180))
    required_scope: str | None = _setting("REQUIRED_SCOPE", _optional_text)
    denied_groups: tuple[str, ...] = _setting("DENIED_GROUPS", _optional_list)
    group_features: Mapping[str, tuple[str, ...]] = _setting("GROUP_FEATURES", _group_features)
    mints_per_minute: int = _setting("MINTS_PER_MINUTE", _number(1, 600))
    token_reuse: Literal["never", "on-error", "always"] = _setting(
        "TOKEN_REUSE", _one_of("never", "on-error", "always")
    )
    data_key_secret_arn: str | None = field(metadata={"read": _data_key_secret_arn})
    """None where tokens are not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings(EnrolmentSettings):
    """What the queue worker needs on top."""

    sync_dead_letter_queue_url: str = _setting("SYNC_DEAD_LETTER_QUEUE_URL", _text)
    delete_policy: Literal["keep-account", "delete-account"] = _setting(
        "DELETE_POLICY", _one_of("keep-account", "delete-account")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileSettings(PoolSettings):
    """What comparing the whole pool with the records needs on top."""

    reconcile_per_minute: int = _setting("RECONCILE_PER_MINUTE", _number(10, 540))
