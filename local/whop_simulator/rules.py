"""Every rule that the simulator implements, with its evidence, its source and the code that implements it.

A rule is PROVEN if the official SDK's own requests and typed answers show it, DOCUMENTED if a Whop page says it, and
GUESSED if no page does. Most guesses name the `Readings` field that switches to another reading.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

SDK = "whop-sdk 2.6.0"
API_DOCS = "docs.whop.com/developer/api"
GUIDES = "docs.whop.com/developer/guides"
OPENAPI = "docs.whop.com/openapi/api-v1-stable.json"
TROUBLE = "docs.whop.com/developer/troubleshooting"
ENROL = "docs.whop.com/developer/platforms/enroll-subaccounts"


class Evidence(StrEnum):
    """How sure we are that Whop behaves like this."""

    PROVEN = "PROVEN"
    DOCUMENTED = "DOCUMENTED"
    GUESSED = "GUESSED"


@dataclass(frozen=True, slots=True)
class Rule:
    """One sentence about Whop. ``readings`` names the `Readings` fields that change it."""

    id: str
    evidence: Evidence
    text: str
    source: str
    readings: tuple[str, ...] = ()


def _proven(name: str, text: str, source: str) -> Rule:
    return Rule(name, Evidence.PROVEN, text, source)


def _documented(name: str, text: str, source: str) -> Rule:
    return Rule(name, Evidence.DOCUMENTED, text, source)


def _guessed(name: str, text: str, source: str, *readings: str) -> Rule:
    return Rule(name, Evidence.GUESSED, text, source, readings)


# The request as such
PATHS = _proven("api.paths", "Paths and methods under /api/v1 are those of the SDK.", SDK)
BEARER = _documented(
    "api.bearer",
    "A bearer API key belongs to one company and has permissions; a missing or unknown key is a 401 "
    "'Invalid or missing API key'.",
    f"{OPENAPI} (bearerAuth), {TROUBLE}",
)
PERMISSION = _documented(
    "api.permission",
    "A call without its permission is a 403 that names the permission.",
    TROUBLE,
)
READ_PERMISSION = _guessed(
    "api.read-permission",
    "Reading accounts needs company:basic:read, changing them company:update; retrieving a user needs nothing.",
    "suggested permission sets of the guides; no page lists them per call",
)
PERMISSION_LIST = _proven(
    "api.permission-list",
    "GET /permissions answers for each action whether the credential is granted it for the resource; of a "
    "resource that the credential cannot see it is granted nothing.",
    f"{SDK} permissions.list",
)
PERMISSION_UNKNOWN = _guessed(
    "api.permission-unknown",
    "An action that the key does not have is listed as not granted, also one that Whop does not know.",
    "no page says",
)
ENVELOPE = _documented(
    "api.envelope",
    'An error is {"error": {"type", "message", "code"?}}.',
    OPENAPI,
)
ERROR_TYPES = _guessed(
    "api.error-types",
    "The type of a 409 is 'conflict' and of a 422 'unprocessable_entity'; messages that no page quotes are ours.",
    "only the types of 400, 401, 403, 404, 429 and 500 are printed",
)
VERSION_KNOWN = _documented(
    "version.known",
    "The header overrides the key's pin, and the pin overrides 2025-01-01; an unknown date is a 400 that lists the "
    "known ones.",
    f"{API_DOCS}/versioning",
)
VERSION_LIST = _guessed(
    "version.list",
    "The list has every date that pages and SDK releases name; Whop may know more.",
    f"{API_DOCS}/versioning and SDK pins up to 2026-11-03-1",
)
VERSION_ON_TOKENS = _guessed(
    "version.on-access-tokens",
    "/access_tokens refuses an unknown version too, though legacy endpoints ignore it.",
    "docs.whop.com/api-reference/stability lists it as legacy in one crawl and not in a later one",
    "access_tokens_check_version",
)
PARENT_FIELD = _documented(
    "version.parent-account",
    "An account names its parent as the object parent_account from 2026-07-31, as parent_account_id before.",
    f"{API_DOCS}/versioning",
)
RATE_LIMIT = _documented(
    "limits.rate",
    "600 calls a minute per operation and credential; more is a 429 'Try again in N seconds.'.",
    "Whop docs, rate limits",
)
RATE_WINDOW = _guessed(
    "limits.window",
    "The minute is a sliding window, refused calls do not count, and a 429 is not stored for an Idempotency-Key.",
    "no page says",
)
RETRY_AFTER = _guessed(
    "limits.retry-after",
    "A REST 429 has no Retry-After header, only the sentence.",
    "documented 'if present' for OAuth alone",
    "retry_after_header",
)

# Idempotency-Key
IDEMPOTENT_REPLAY = _documented(
    "idempotency.replay",
    "On a POST of the current API, a key that was used within 24 h replays status and body byte for byte, also of a "
    "4xx, with Idempotent-Replayed: true; keys belong to the caller and have at most 255 bytes.",
    f"{API_DOCS}/idempotency",
)
IDEMPOTENT_MISMATCH = _documented(
    "idempotency.mismatch",
    "The same key with another method, path, query, body or Api-Version-Date is a 400 idempotency_key_mismatch.",
    f"{API_DOCS}/idempotency",
)
IDEMPOTENT_IN_FLIGHT = _documented(
    "idempotency.in-flight",
    "The same key is a 409 while the first request runs; if its outcome is unknown, until the key expires.",
    f"{API_DOCS}/idempotency",
)
IDEMPOTENT_LOST = _guessed(
    "idempotency.lost-answer",
    "The answer to a completed request is stored even if the connection was lost before it arrived.",
    "the page mentions an unknown outcome only",
    "lost_answer",
)
IDEMPOTENT_5XX = _guessed(
    "idempotency.server-error",
    "A 5xx is not stored: a request with the same key runs again.",
    "the page mentions success and 4xx only",
    "server_error",
)
IDEMPOTENT_TOKENS = _guessed(
    "idempotency.access-tokens",
    "/access_tokens and /messages ignore the key.",
    "the specification declares it for neither of them",
    "access_tokens_idempotent",
)

# POST /access_tokens
TOKEN_SHAPE = _proven(
    "tokens.shape",
    "POST /access_tokens takes account_id, user_id, scoped_actions and expires_at and answers token and expires_at.",
    f"{SDK} access_tokens.create",
)
TOKEN_STATUS = _documented("tokens.status", "The answer is a 200.", f"{OPENAPI} createAccessToken")
TOKEN_BOTH_IDS = _documented(
    "tokens.both-ids",
    "A chat token needs company and user; a company alone gives an account token, which cannot act as a user.",
    f"{GUIDES}/chat/authentication, {GUIDES}/auth-scoping",
)
TOKEN_USER_ALONE = _documented(
    "tokens.user-alone",
    "user_id alone is a 400 'User access tokens are not yet supported with API key authentication'.",
    "whopio/whop-tutorials fiverr-clone, which measured it",
)
TOKEN_FIELD = _guessed(
    "tokens.company-field",
    "The company is company_id up to 2026-09-02-1 and account_id from 2026-09-02-2; the other name is ignored.",
    "SDK releases changed the name at that date; the changelog does not mention it",
    "access_token_field",
)
TOKEN_COMPANY = _documented(
    "tokens.company",
    "The company is the key's own or its direct child.",
    f"{OPENAPI} createAccessToken, older wording",
)
TOKEN_REACH = _guessed(
    "tokens.reach",
    "An unknown company or user is a 404, a foreign company a 403.",
    "the specification lists the statuses, not the cases",
)
TOKEN_STRANGER = _guessed(
    "tokens.stranger",
    "A user who owns neither the company nor a child account of it is a 404.",
    "no page says",
    "mint_for_stranger",
)
TOKEN_SCOPES = _documented(
    "tokens.scopes",
    "scoped_actions is a subset of the key's permissions; if it is missing or empty, the token gets them all.",
    f"{SDK} access_tokens.create, {GUIDES}/auth-scoping",
)
TOKEN_SCOPES_STATUS = _guessed(
    "tokens.scopes-status",
    "A scope that the key does not have is a 403.",
    "no page gives the status",
)
TOKEN_EXPIRY = _documented(
    "tokens.expiry",
    "expires_at defaults to one hour from now and is at most three hours away.",
    f"{SDK} access_tokens.create",
)
TOKEN_LONG_EXPIRY = _guessed(
    "tokens.long-expiry",
    "More than three hours is a 400, and so is a time in the past or one that is not ISO 8601.",
    "no page says",
    "long_expiry",
)
TOKEN_OPAQUE = _guessed(
    "tokens.opaque",
    "A token is an opaque random string that ends at its expires_at; Whop's are said to be signed JWTs.",
    "the claims of a minted token are documented nowhere",
)
TOKEN_OUTLIVES = _guessed(
    "tokens.outlives",
    "A token stays valid when its key is revoked or its user's account is deleted.",
    "no revocation is documented",
    "token_outlives_key",
    "token_outlives_account",
)

# /accounts
ACCOUNT_SHAPE = _proven(
    "accounts.shape",
    "An account has the fields that the SDK's Account requires; its user is owner.id, its platform is parent_account.",
    f"{SDK} types.Account",
)
ACCOUNT_CREATE = _documented(
    "accounts.create",
    "POST /accounts creates a child of the key's account (201); the e-mail is required; the title defaults to "
    "metadata.external_id, then to the e-mail; status is null until the account is listed or retrieved.",
    f"{SDK} accounts.create, {ENROL}",
)
ACCOUNT_PERSON = _documented(
    "accounts.person",
    "Accounts with the same e-mail have the same Whop user as owner, also one whom Whop knew before.",
    ENROL,
)
ACCOUNT_NEW_PERSON = _guessed(
    "accounts.new-person",
    "A new user is named after the title, with a username from the local part of the e-mail.",
    "whopio/whop-tutorials kofi-clone for the username",
)
ACCOUNT_EMAIL = _guessed(
    "accounts.email",
    "The case of an e-mail address is ignored, and it is returned in lower case.",
    "no page says",
    "email_returned",
)
EXTERNAL_ID_NEW = _documented(
    "accounts.external-id-new", "A new external_id creates a new account, even for an e-mail in use.", ENROL
)
EXTERNAL_ID_SAME = _documented(
    "accounts.external-id-same", "The same e-mail and external_id return the existing account.", ENROL
)
EXTERNAL_ID_CONFLICT = _documented("accounts.external-id-conflict", "An external_id of another e-mail is a 409.", ENROL)
EXTERNAL_ID_NONE = _documented(
    "accounts.external-id-none",
    "Without external_id, the account of that e-mail that has no external_id is returned, if there is one.",
    ENROL,
)
EXTERNAL_ID_METADATA = _guessed(
    "accounts.external-id-in-metadata",
    "metadata.external_id counts as the external_id if there is no top-level one.",
    f"{ENROL}: the English page has it in metadata, the newer translations at the top level",
    "metadata_external_id_counts",
)
EXTERNAL_ID_TOP_LEVEL = _guessed(
    "accounts.external-id-top-level",
    "Older pinned versions read and return the top-level external_id too, which no SDK release knows yet.",
    f"{ENROL} (translations of November 2026); 'new optional fields appear in every version'",
    "external_id_ignored",
)
EXTERNAL_ID_LOOKUP = _documented(
    "accounts.external-id-lookup",
    "GET /accounts?external_id= matches exactly, with case and _; a trailing % matches a prefix; % is allowed nowhere "
    "else.",
    ENROL,
)
EXTERNAL_ID_PATCH = _documented(
    "accounts.external-id-patch",
    "PATCH /accounts/{id} sets or clears external_id; only the platform can.",
    ENROL,
)
EXTERNAL_ID_PATCH_CONFLICT = _guessed(
    "accounts.external-id-patch-conflict",
    "PATCH to an external_id of another account is a 409.",
    "no page says",
)
EXISTING_STATUS = _guessed(
    "accounts.existing-status", "An existing account is returned with 200.", "no page says", "existing_account_status"
)
EXISTING_UPDATED = _guessed(
    "accounts.existing-updated",
    "Title and metadata of an existing account do not change.",
    "no page says",
    "existing_account_updated",
)
METADATA_PATCH = _guessed(
    "accounts.metadata-patch", "PATCH replaces metadata as a whole.", "no page says", "metadata_patch"
)
ACCOUNT_LIST = _proven(
    "accounts.list",
    "GET /accounts answers data and page_info with cursors.",
    f"{SDK} accounts.list",
)
ACCOUNT_PAGING = _documented(
    "accounts.paging",
    "The key's own account is in the list; first defaults to 10 and is at most 50; owner_id and parent_account_id "
    "exclude each other, the latter needs payout:account:read; volume order needs stats:read.",
    f"{SDK} accounts.list",
)
ACCOUNT_ORDER = _guessed(
    "accounts.order",
    "The newest account comes first; a page larger than 50 is cut to 50; sorting by volume sorts by time.",
    "no page says",
)
ACCOUNT_REACH = _guessed(
    "accounts.reach",
    "An unknown account is a 404; one that is neither the key's own nor a child of it is a 403.",
    "the pages list both statuses, not the cases",
)
ACCOUNT_DELETE = _documented(
    "accounts.delete",
    "DELETE /accounts/{id} with company:delete_child removes a direct child at once and answers id and deleted; an "
    "account that still has money or memberships is a 400.",
    f"{SDK} accounts.delete",
)
ACCOUNT_DELETED_ID = _guessed(
    "accounts.deleted-external-id",
    "The external_id of a deleted account can be used again.",
    "the page says that the clean-up continues in the background",
    "deletion_frees_external_id",
)

# /users
USER_SHAPE = _proven("users.shape", "A user has the fields that the SDK's User requires.", f"{SDK} types.User")
USER_SELECTOR = _documented(
    "users.selector",
    "PATCH /users/{id} takes the account from the body's company_id before 2026-06-08; if it is missing, the global "
    "profile changes. From then on it takes account_id from the query, and an API key without it gets a 400.",
    f"{API_DOCS}/versioning, {SDK} users.update",
)
USER_OVERRIDE = _documented(
    "users.override",
    "With an account, the profile is an override for that account, and GET with that account returns it; the global "
    "profile does not change.",
    f"{SDK} users.update, users.retrieve",
)
USER_PERMISSION = _documented(
    "users.permission",
    "PATCH needs user:profile:update or an owner-level key.",
    "docs.whop.com/api-reference/users/update-user",
)
USER_NAME_LENGTH = _guessed(
    "users.name-length",
    "name has at most 100 characters in every version.",
    "stated for the old version only",
)
USER_STRANGER = _guessed(
    "users.stranger",
    "A key can override the profile of any user for an account that it reaches.",
    "no page says",
    "profile_of_stranger",
)
USER_NULL = _guessed(
    "users.null",
    "null removes an override.",
    "stated for the old version only",
    "null_clears_override",
)
USER_PUBLIC = _documented(
    "users.public",
    "GET /users/{id} is public, by id or username; 'me' needs a user's token; only 'me' returns the e-mail.",
    f"{SDK} users.retrieve",
)

USER_PICTURE = _guessed(
    "users.picture",
    "profile_picture takes the id of a file; the picture is then the file's url.",
    f"{SDK} users.update; no page says what url is answered",
)

# /files
FILE_CREATE = _documented(
    "files.create",
    "POST /files with a filename answers 201, the id, the upload_url and the upload_headers; the content type follows "
    "from the filename, and visibility is private unless it says public. No scope is needed.",
    f"{GUIDES}/direct-file-uploads, {SDK} files.create",
)
FILE_SHAPE = _proven("files.shape", "A file has the fields that the SDK's File requires.", f"{SDK} types.File")
FILE_VERSION = _documented(
    "files.version",
    "Before 2026-08-21-1 a file has no object, and its size is a text.",
    f"{GUIDES}/direct-file-uploads",
)
FILE_UPLOAD = _documented(
    "files.upload",
    "A PUT of the content to upload_url needs all upload_headers, and no Authorization of Whop's; else it is a 403.",
    f"{GUIDES}/direct-file-uploads",
)
FILE_UPLOAD_HOUR = _documented(
    "files.upload-hour", "An upload_url is valid for an hour; then it is a 403.", f"{GUIDES}/direct-file-uploads"
)
FILE_READ = _documented(
    "files.read", "Only the key that created a file can read it; for any other it is a 404.", f"{SDK} files.retrieve"
)
FILE_PROCESSING = _guessed(
    "files.processing",
    "An uploaded file is processing when it is read first, and then ready.",
    "the pages name pending, processing, ready and failed, and no time",
    "file_processing",
)
FILE_ATTACH = _guessed(
    "files.attach",
    "A file can become a picture once it is ready, else it is a 400; a file of another key is a 404.",
    "upload-files says right away, direct-file-uploads says once it is ready",
    "file_attached_before_ready",
)

# /messages, where a minted token is used
MESSAGE_SHAPE = _proven(
    "messages.shape",
    "POST and GET /messages take channel_id and content and answer messages with their user.",
    f"{SDK} messages.create, messages.list",
)
MESSAGE_SCOPES = _documented(
    "messages.scopes",
    "Writing needs chat:message:create, dms:message:manage or support_chat:message:create, reading chat:read, dms:read "
    "or support_chat:read.",
    f"{SDK} messages.create, messages.list",
)
MESSAGE_CHANNELS = _guessed(
    "messages.channels",
    "chat_feed_ and exp_ channels ask for the chat scopes, feed_ for those of direct messages or support; every such "
    "channel exists in the token's company; posting answers 200 with the user's name in that company.",
    "no page ties an id's form to a scope",
)
MESSAGE_TOKEN_ONLY = _guessed(
    "messages.token-only",
    "An API key and an account token are refused with 403: only a user's token can write or read.",
    f"{GUIDES}/auth-scoping for account tokens; for API keys stricter than Whop, on purpose",
)

# OAuth
OAUTH = f"{GUIDES}/oauth"
OAUTH_AUTHORIZE = _documented(
    "oauth.authorize",
    "Authorization needs a registered client_id, its exact redirect_uri, S256, and with openid a nonce.",
    OAUTH,
)
OAUTH_SCOPES = _guessed(
    "oauth.scopes",
    "An app that asks for a scope which is not among its requested permissions gets invalid_scope, before anybody "
    "signs in.",
    f"{OAUTH} names the error; the SDK names requested_permissions",
    "oauth_scope_refused",
)
OAUTH_ISS = _guessed("oauth.iss", "The redirect names the issuer (RFC 9207).", "no page", "oauth_iss")
OAUTH_BODY = _guessed(
    "oauth.body",
    "The token endpoint reads JSON; forms are refused.",
    f"{OAUTH} documents JSON; about forms, third parties disagree",
    "oauth_body",
)
OAUTH_CODE = _documented("oauth.code", "A code is good once, for its client, redirect_uri and verifier.", OAUTH)
OAUTH_ROTATION = _guessed(
    "oauth.rotation",
    "A refresh token is replaced at each use. Reuse of a replaced one is invalid_grant and ends the consent; an access "
    "token lives an hour; the answer names the scopes.",
    f"{OAUTH} documents the rotation and the hour",
    "oauth_reuse",
    "oauth_invalid_grant_status",
    "oauth_access_seconds",
    "oauth_scope_returned",
)
OAUTH_CLIENT = _guessed(
    "oauth.client",
    "A public client sends no secret; an app with a secret has to send it; another one is invalid_client, 401.",
    f"{OAUTH} shows public clients only",
)
OAUTH_REVOKE = _documented("oauth.revoke", "Revocation of a refresh token ends the consent.", OAUTH)
OAUTH_USERINFO = _documented("oauth.userinfo", "Userinfo answers sub, names, picture and e-mail.", OAUTH)
OAUTH_DISCOVERY = _guessed("oauth.discovery", "Discovery is at the API host.", "third parties")
OAUTH_KEYS = _guessed("oauth.keys", "The key set is at /.well-known/jwks.json.", "third parties", "oauth_keys")
OAUTH_ID_TOKEN = _guessed("oauth.id-token", "ID tokens are ES256, for an hour.", f"{OAUTH} names ES256 only")
OAUTH_ISSUER = _guessed("oauth.issuer", "The issuer is the API host.", "no page", "oauth_issuer")
OAUTH_ERRORS = _documented("oauth.errors", 'An error is {"error", "error_description"}.', TROUBLE)

APP_SHAPE = _proven("apps.shape", "An app has redirect_uris, oauth_client_type and requested_permissions.", SDK)
APP_CREATE = _proven(
    "apps.create", "POST /apps takes name and redirect_uris, and answers no client secret.", f"{SDK} apps.create"
)
APP_LIST = _proven(
    "apps.list", "GET /apps takes account_id, and query, which is matched against names.", f"{SDK} apps.list"
)
APP_UPDATE = _proven("apps.update", "PATCH /apps/{id} replaces redirect_uris.", f"{SDK} apps.update")
APP_PERMISSION = _guessed(
    "apps.permission",
    "Creating an app takes developer:create_app, changing it developer:update_app. A new app requests no permission.",
    f"{SDK} names developer:update_app for another field",
)

RULES: tuple[Rule, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Rule))

_implemented_by: dict[str, list[str]] = {}


def implements[F: Callable[..., object]](*rules: Rule) -> Callable[[F], F]:
    """Mark a function as the one that implements these rules."""

    def mark(function: F) -> F:
        place = f"{function.__module__.rpartition('.')[2]}.{getattr(function, '__qualname__', '?')}"
        for rule in rules:
            _implemented_by.setdefault(rule.id, []).append(place)
        return function

    return mark


def implemented_by(rule: Rule) -> tuple[str, ...]:
    """The functions that keep ``rule``; complete once the simulator's core is imported."""
    return tuple(_implemented_by.get(rule.id, ()))


def listing() -> str:
    """The table of rules as text for a terminal, with the guesses last."""
    lines: list[str] = []
    for evidence in Evidence:
        chosen = [rule for rule in RULES if rule.evidence is evidence]
        lines.append(f"{evidence} ({len(chosen)})")
        for rule in chosen:
            lines.append(f"  {rule.id}: {rule.text}")
            lines.append(f"      source: {rule.source}")
            if rule.readings:
                lines.append(f"      other reading: {', '.join(rule.readings)}")
            lines.append(f"      implemented by: {', '.join(implemented_by(rule))}")
        lines.append("")
    return "\n".join(lines)
