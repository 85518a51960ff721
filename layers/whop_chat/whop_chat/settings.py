"""Reads the environment of each function into a frozen dataclass, once.

One error names every variable that is missing or malformed, so that an operator can fix them all at once.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Self

from whop_chat.cognito.display_name import name_rule
from whop_chat.minting.features import FEATURE_SCOPES
from whop_chat.runtime.partitions import LOOPBACK_URL

# Every call sends the API key to this host. It is Whop's production or sandbox host, or this machine for local runs.
_WHOP_BASE_URL = r"https://(api|sandbox-api)\.whop\.com|http://(127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?"
# Exact URLs, so a wildcard, a fragment and a user name are not possible. An app's own scheme is a domain of the team in
# reverse order (RFC 8252, section 7.1). Loopback addresses are for the local cloud, as the template makes sure.
_URL_REST = r"(/[A-Za-z0-9._~:/?@!$&'()*+;=%-]*)?"
_HTTPS_OR_LOOPBACK = r"(https://[A-Za-z0-9.-]+|http://127\.0\.0\.1)(:[0-9]{1,5})?"
_RETURN_URL = rf"{_HTTPS_OR_LOOPBACK}{_URL_REST}|(?!https?:)[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:{_URL_REST}"
_REDIRECT_URI = rf"{_HTTPS_OR_LOOPBACK}/[A-Za-z0-9._~/-]+"
_ISSUER = rf"{_HTTPS_OR_LOOPBACK}(/[A-Za-z0-9._~/-]*)?"
# An address has at most 64 octets before the @ and 254 in all, no dot at an edge of its parts, and no two in a row (RFC
# 5321, sections 4.1.2 and 4.5.3.1; erratum 1690). A sub has 36 characters, 31 more than its placeholder.
_ALIAS_TEMPLATE = (
    r"((?=.{1,223}$)(?=[^@]{5,33}@)(?!\.)(?!.*\.[.@])[A-Za-z0-9._+-]*\{sub\}[A-Za-z0-9._+-]*"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63})?"
)
# The name of a bucket (Amazon S3, "General purpose bucket naming rules"), and characters that are safe in a key.
_AVATAR_SOURCE = r"picture|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/(?:[A-Za-z0-9!_.()-]+/)*\{sub\}"
_FILES_SINCE = "2026-08-21-1"
_ALIAS_EXAMPLE = "like chat+{sub}@team.com, with at most 28 other characters before the @"


class SettingsError(Exception):
    """The environment is incomplete or wrong. The message names each variable, and never contains a value."""


def setting(name: str, parse: Callable[[str], Any], *, optional: bool = False) -> Any:
    """A dataclass field that is read from the variable ``name``.

    ``parse`` raises `ValueError`, whose message says what is wrong and follows the name.
    """

    def read(env: Mapping[str, str]) -> Any:
        if name not in env and not optional:
            raise SettingsError(f"{name} is missing")
        try:
            return parse(env.get(name, ""))
        except ValueError as error:
            raise SettingsError(f"{name} {error}") from None

    return field(metadata={"read": read})


def text(value: str) -> str:
    """``value`` unchanged. Raises `ValueError` if it is blank."""
    if not value.strip():
        raise ValueError("is empty")
    return value


def optional_text(value: str) -> str | None:
    """``value`` without the spaces around it, or None if it is blank."""
    return value.strip() or None


def matching(pattern: str, description: str) -> Callable[[str], str]:
    """A parser that accepts only what ``pattern`` matches as a whole. Its error says "is not ``description``"."""

    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"is not {description}")
        return value

    return parse


def _loopback(value: str) -> str | None:
    """A loopback address or None. No other host is accepted, because it would get signed calls and secrets."""
    return matching(LOOPBACK_URL, "a loopback address")(value) if value else None


def _pictures(value: str) -> str | None:
    """As `avatar_source`, or None without pictures. Functions that set none do not have the variable."""
    return None if value in ("", "off") else avatar_source(value)


def avatar_source(value: str) -> str:
    """``picture``, or the address of one object a user. Raises `ValueError`."""
    return matching(_AVATAR_SOURCE, "picture or like s3://bucket/prefix/{sub}")(value)


class Environment:
    """The base of every settings class, whose fields are made by `setting`."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """The settings in ``env``. Raises `SettingsError` with every name that is missing or wrong."""
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


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"is none of {', '.join(allowed)}")
        return value

    return parse


def _optional_list(value: str) -> tuple[str, ...]:
    """The items that commas separate. Raises `ValueError` if one of several is empty.

    An empty item is what is left of a list that a command line cut at a space.
    """
    if not value.strip():
        return ()
    items = tuple(item.strip() for item in value.split(","))
    if not all(items):
        raise ValueError("has an empty entry")
    return items


def _list(value: str) -> tuple[str, ...]:
    items = _optional_list(value)
    if not items:
        raise ValueError("is empty")
    return items


def _return_urls(value: str) -> tuple[str, ...]:
    urls = _list(value)
    for url in urls:
        matching(_RETURN_URL, "https URLs or app schemes with a dot, without a fragment")(url)
    return urls


def _features(value: str) -> tuple[str, ...]:
    items = _list(value)
    for item in items:
        _one_of(*FEATURE_SCOPES)(item)
    return items


def _group_features(value: str) -> Mapping[str, tuple[str, ...]]:
    """The features of each group, from ``group=feature+feature`` items that commas separate."""
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


@dataclass(frozen=True, kw_only=True)
class AwsSettings(Environment):
    """The variables that AWS defines (AWS, "Defined runtime environment variables").

    ``endpoint`` is the address of a local emulator, or None on AWS.
    """

    region: str = setting("AWS_REGION", text)
    endpoint: str | None = setting("AWS_ENDPOINT_URL", _loopback, optional=True)


@dataclass(frozen=True, kw_only=True)
class SignUpSettings(Environment):
    """The settings of `on_signup`. It gets no pool id: the pool refers to the function, so the event names the pool."""

    sync_queue_url: str = setting("SYNC_QUEUE_URL", text)


@dataclass(frozen=True, kw_only=True)
class TableSettings(Environment):
    """The users table."""

    users_table: str = setting("USERS_TABLE", text)


_api_version = matching(r"\d{4}-\d{2}-\d{2}(-\d+)?", "a dated API version")


@dataclass(frozen=True, kw_only=True)
class WhopSettings(TableSettings):
    """The settings of a client of Whop, whose limits are counted in the users table."""

    whop_secret_arn: str = setting("WHOP_SECRET_ARN", text)
    whop_company_id: str = setting("WHOP_COMPANY_ID", matching(r"biz_[A-Za-z0-9]+", "a Whop company id (biz_…)"))
    whop_base_url: str = setting(
        "WHOP_BASE_URL", matching(_WHOP_BASE_URL, "Whop's production or sandbox API, nor a loopback address")
    )
    whop_api_version: str = setting("WHOP_API_VERSION", _api_version)
    whop_company_field: Literal["account_id", "company_id"] = setting(
        "WHOP_COMPANY_FIELD", _one_of("account_id", "company_id")
    )


@dataclass(frozen=True, kw_only=True)
class PoolKeysSettings(TableSettings):
    """The settings that it takes to know the pool's keys. Without an API key, `check_readiness` needs no others."""

    user_pool_id: str = setting("USER_POOL_ID", text)
    user_pool_issuer: Literal["original", "updated"] = setting("USER_POOL_ISSUER", _one_of("original", "updated"))


@dataclass(frozen=True, kw_only=True)
class ReadinessSettings(PoolKeysSettings, WhopSettings):
    """The settings of `check_readiness`."""


@dataclass(frozen=True, kw_only=True)
class PoolSettings(SignUpSettings, TableSettings):
    """The settings that decide whether and how a user of the pool is enrolled. `reconcile` needs no others."""

    user_pool_id: str = setting("USER_POOL_ID", text)
    enrolment_email: Literal["verified", "alias"] = setting("ENROLMENT_EMAIL", _one_of("verified", "alias"))
    alias_email_template: str = setting(
        "ALIAS_EMAIL_TEMPLATE",
        matching(_ALIAS_TEMPLATE, _ALIAS_EXAMPLE),
    )
    trusted_providers: tuple[str, ...] = setting("TRUSTED_PROVIDERS", _optional_list)
    profile_name: tuple[tuple[str, ...], ...] = setting("PROFILE_NAME", name_rule)
    avatar_source: str | None = setting("AVATAR_SOURCE", _pictures, optional=True)
    """Where the users' pictures are, as for `PictureSettings`. None: they get none."""

    def __post_init__(self) -> None:
        if self.enrolment_email == "alias" and not self.alias_email_template:
            raise SettingsError("ALIAS_EMAIL_TEMPLATE is needed when ENROLMENT_EMAIL is alias")


@dataclass(frozen=True, kw_only=True)
class EnrolmentSettings(PoolSettings, WhopSettings):
    """The settings that it takes to enrol a Cognito user at Whop."""

    email_reuse: Literal["refuse", "inherit"] = setting("EMAIL_REUSE", _one_of("refuse", "inherit"))
    oauth: bool = setting("OAUTH_CLIENT_ID", bool, optional=True)
    """Whether users can link Whop accounts of their own. Then `OAuthSettings` are there too."""


def _with_files(value: str) -> str:
    """A version of Whop's API that has files (Whop, "Direct file uploads"). Raises `ValueError` for an older one."""
    version, since = (tuple(map(int, each.split("-"))) for each in (_api_version(value), _FILES_SINCE))
    if version < since:
        raise ValueError(f"is older than {_FILES_SINCE}, which pictures need")
    return value


def _data_key_secret_arn(env: Mapping[str, str]) -> str | None:
    """The ARN of the secret, or None if tokens are not cached. Required if they are."""
    if env.get("TOKEN_REUSE") not in ("on-error", "always"):
        return None
    arn = optional_text(env.get("DATA_KEY_SECRET_ARN", ""))
    if arn is None:
        raise SettingsError("DATA_KEY_SECRET_ARN is needed unless TOKEN_REUSE is never")
    return arn


@dataclass(frozen=True, kw_only=True)
class MintSettings(EnrolmentSettings):
    """The settings of `mint_token`."""

    user_pool_client_ids: tuple[str, ...] = setting("USER_POOL_CLIENT_IDS", _list)
    user_pool_issuer: Literal["original", "updated"] = setting("USER_POOL_ISSUER", _one_of("original", "updated"))
    token_use: Literal["access", "id"] = setting("TOKEN_USE", _one_of("access", "id"))
    chat_features: tuple[str, ...] = setting("CHAT_FEATURES", _features)
    token_ttl_minutes: int = setting("TOKEN_TTL_MINUTES", _number(5, 180))
    required_scope: str | None = setting("REQUIRED_SCOPE", optional_text)
    denied_groups: tuple[str, ...] = setting("DENIED_GROUPS", _optional_list)
    group_features: Mapping[str, tuple[str, ...]] = setting("GROUP_FEATURES", _group_features)
    mints_per_minute: int = setting("MINTS_PER_MINUTE", _number(1, 600))
    token_reuse: Literal["never", "on-error", "always"] = setting("TOKEN_REUSE", _one_of("never", "on-error", "always"))
    data_key_secret_arn: str | None = field(metadata={"read": _data_key_secret_arn})
    """None if tokens are not cached."""


@dataclass(frozen=True, kw_only=True)
class SyncSettings(EnrolmentSettings):
    """The settings of `sync_user`."""

    user_pool_client_ids: tuple[str, ...] = setting("USER_POOL_CLIENT_IDS", _list)
    sync_dead_letter_queue_url: str = setting("SYNC_DEAD_LETTER_QUEUE_URL", text)
    delete_policy: Literal["keep-account", "delete-account"] = setting(
        "DELETE_POLICY", _one_of("keep-account", "delete-account")
    )
    avatar_queue_url: str | None = setting("AVATAR_QUEUE_URL", optional_text, optional=True)
    """The queue of ``sync_avatar``. None without pictures."""


def _same_as(cls: type, name: str) -> Any:
    """A field that is read as ``name`` of ``cls``."""
    return field(metadata=cls.__dataclass_fields__[name].metadata)  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthSettings(Environment):
    """The settings that it takes to use the links of users to their own Whop accounts."""

    users_table: str = setting("USERS_TABLE", text)
    whop_base_url: str = _same_as(EnrolmentSettings, "whop_base_url")
    oauth_client_id: str = setting("OAUTH_CLIENT_ID", matching(r"app_[A-Za-z0-9]{1,64}", "a Whop app id (app_…)"))
    oauth_redirect_uri: str = setting("OAUTH_REDIRECT_URI", matching(_REDIRECT_URI, "an https URL with a path"))
    oauth_secret_arn: str = setting("OAUTH_SECRET_ARN", text)
    data_key_secret_arn: str = setting("DATA_KEY_SECRET_ARN", text)
    sync_queue_url: str | None = setting("SYNC_QUEUE_URL", optional_text, optional=True)
    """None where users link their own accounts only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthCallerSettings(OAuthSettings):
    """As `OAuthSettings`, with those that decide who may call and what they may do."""

    user_pool_id: str = _same_as(MintSettings, "user_pool_id")
    user_pool_client_ids: tuple[str, ...] = _same_as(MintSettings, "user_pool_client_ids")
    user_pool_issuer: Literal["original", "updated"] = _same_as(MintSettings, "user_pool_issuer")
    token_use: Literal["access", "id"] = _same_as(MintSettings, "token_use")
    chat_features: tuple[str, ...] = _same_as(MintSettings, "chat_features")
    required_scope: str | None = _same_as(MintSettings, "required_scope")
    denied_groups: tuple[str, ...] = _same_as(MintSettings, "denied_groups")
    group_features: Mapping[str, tuple[str, ...]] = _same_as(MintSettings, "group_features")
    mints_per_minute: int = _same_as(MintSettings, "mints_per_minute")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings(OAuthCallerSettings):
    """The settings of `whop_oauth`."""

    oauth_issuer: str = setting("OAUTH_ISSUER", matching(_ISSUER, "an https URL"))
    oauth_return_urls: tuple[str, ...] = setting("OAUTH_RETURN_URLS", _return_urls)

    def __post_init__(self) -> None:
        loopback = [url for url in (self.oauth_redirect_uri, *self.oauth_return_urls) if url.startswith("http:")]
        if loopback and not self.whop_base_url.startswith("http:"):
            raise SettingsError("OAUTH_REDIRECT_URI and OAUTH_RETURN_URLS have a loopback address outside a local run")


@dataclass(frozen=True, kw_only=True)
class AvatarSettings(WhopSettings):
    """The settings of ``sync_avatar``."""

    user_pool_id: str = setting("USER_POOL_ID", text)
    avatar_source: str = setting("AVATAR_SOURCE", avatar_source)
    avatar_queue_url: str = setting("AVATAR_QUEUE_URL", text)
    avatar_dead_letter_queue_url: str = setting("AVATAR_DEAD_LETTER_QUEUE_URL", text)
    fetch_picture_function: str = setting("FETCH_PICTURE_FUNCTION", text)
    whop_api_version: str = setting("WHOP_API_VERSION", _with_files)


@dataclass(frozen=True)
class PictureSettings(Environment):
    """The settings of ``fetch_picture``.

    ``avatar_source`` is ``picture`` for any public https address, or ``s3://bucket/prefix/{sub}``.
    """

    avatar_source: str = setting("AVATAR_SOURCE", avatar_source)
