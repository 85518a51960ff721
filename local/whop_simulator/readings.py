"""What Whop's pages leave open: one field for each open question. The default is the likelier answer."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args, get_type_hints


@dataclass(frozen=True, slots=True)
class Readings:
    """How the simulator answers each open question about Whop. `local.whop_simulator.rules` gives the reasons."""

    external_id_ignored: bool = False
    """Whop does not store, return or filter by the top-level external_id. Metadata works as usual."""

    metadata_external_id_counts: bool = True
    """Without a top-level external_id, metadata.external_id distinguishes accounts of one e-mail address."""

    existing_account_status: Literal[200, 201] = 200
    existing_account_updated: bool = False
    """A POST that finds an existing account updates its title and metadata."""

    email_returned: Literal["lowercase", "as_sent"] = "lowercase"
    metadata_patch: Literal["replace", "merge"] = "replace"
    deletion_frees_external_id: bool = True
    """If False, the external_id of a deleted account is a 409 for ever."""

    access_token_field: Literal["by_version", "either", "account_id", "company_id"] = "by_version"
    access_tokens_check_version: bool = True
    access_tokens_idempotent: bool = False
    long_expiry: Literal["refused", "clamped"] = "refused"
    mint_for_stranger: Literal["not_found", "forbidden", "allowed"] = "not_found"
    """Minting for a user who owns neither the key's company nor a child account of it."""

    token_outlives_key: bool = True
    token_outlives_account: bool = True
    profile_of_stranger: Literal["allowed", "not_found", "forbidden"] = "allowed"
    null_clears_override: bool = True
    file_processing: Literal["after_a_look", "at_once", "after_a_minute", "failed"] = "after_a_look"
    """How an uploaded file becomes ready. ``after_a_look``: the first GET still says processing."""

    file_attached_before_ready: bool = False
    """A file can become a picture as soon as it is uploaded."""

    retry_after_header: bool = False
    lost_answer: Literal["replayed", "held"] = "replayed"
    """An Idempotency-Key whose answer was lost: the answer is replayed, or it is a 409 until the key expires."""

    server_error: Literal["run_again", "replayed", "held"] = "run_again"
    """An Idempotency-Key whose request ended in a 5xx."""

    oauth_body: Literal["json", "form", "either"] = "json"
    """What the token endpoint reads."""

    oauth_issuer: Literal["host", "whop.com"] = "host"
    oauth_keys: Literal["well_known", "oauth"] = "well_known"
    oauth_iss: bool = True
    """The redirect to the app names the issuer (RFC 9207)."""

    oauth_scope_refused: bool = True
    """An app may ask for its requested permissions only, and hears that before anybody signs in."""

    oauth_scope_returned: bool = True
    oauth_reuse: Literal["ends_consent", "refused"] = "ends_consent"
    """What the reuse of a replaced refresh token does, besides being refused."""

    oauth_invalid_grant_status: Literal[400, 401] = 400
    oauth_access_seconds: Literal[3600, 240, 20] = 3600
    """Whop documents an hour. The others let a test see a refresh without waiting for it."""

    def with_changes(self, changes: Mapping[str, object]) -> "Readings":
        """A copy with ``changes``. Raises `ValueError` for an unknown name or value."""
        for name, value in changes.items():
            if name not in _CHOICES:
                raise ValueError(f"no such reading: {name}")
            if not any(type(value) is type(choice) and value == choice for choice in _CHOICES[name]):
                raise ValueError(f"{name} is one of {', '.join(map(str, _CHOICES[name]))}")
        known: dict[str, Any] = dict(changes)
        return replace(self, **known)

    def as_dict(self) -> dict[str, object]:
        """The readings by name."""
        return asdict(self)


def _choices() -> dict[str, tuple[object, ...]]:
    hints = get_type_hints(Readings)
    return {
        field.name: (True, False) if hints[field.name] is bool else get_args(hints[field.name])
        for field in fields(Readings)
    }


_CHOICES = _choices()


def choices() -> dict[str, tuple[object, ...]]:
    """The possible values of each reading."""
    return dict(_CHOICES)
