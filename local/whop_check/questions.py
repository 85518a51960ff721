"""What is asked, what we assume, and what to change if Whop answers otherwise.

"Reading" is a setting of the simulator: see `local.whop_simulator.readings`.
"""

from dataclasses import dataclass

from local.whop_check import oauth_probes, probes
from local.whop_check.probes import Probe
from local.whop_simulator.versions import SDK_PIN

OTHER_USER = "--other-user"
OAUTH_CLIENT = "--oauth-client"
RATE_LIMIT = "--provoke-rate-limit"
_OLD_VERSION = "2026-09-02-1"  # the last one whose SDK release says company_id


@dataclass(frozen=True, slots=True)
class Question:
    """``otherwise``: what to change here if the answer is not ``assumed``. ``needs``: an option of the command."""

    text: str
    assumed: str
    otherwise: str
    probe: Probe
    needs: str | None = None


_CURRENT = "account_id 200, company_id 400, both 200"

QUESTIONS: tuple[Question, ...] = (
    Question(
        f"Under which name does POST /access_tokens take the company, at Api-Version-Date {SDK_PIN}?",
        _CURRENT,
        "WhopCompanyField, unless account_id is 200; reading access_token_field",
        probes.company_fields(SDK_PIN),
    ),
    Question(
        "… and without Api-Version-Date?",
        _CURRENT,
        "nothing: the header is always sent",
        probes.company_fields(None),
    ),
    Question(
        f"… and at {_OLD_VERSION}?",
        "account_id 400, company_id 200, both 200",
        "WhopCompanyField, before WhopApiVersion is set back; reading access_token_field",
        probes.company_fields(_OLD_VERSION),
    ),
    Question(
        "What is a minted token?",
        "opaque",
        "nothing: the service does not read tokens",
        probes.token_format,
    ),
    Question(
        "What does POST /access_tokens do with a repeated Idempotency-Key?",
        "ignored",
        "nothing: a mint sends no key; reading access_tokens_idempotent",
        probes.repeated_mint,
    ),
    Question(
        "Which of the fields that enrolment compares does POST /accounts return as sent?",
        "owner.id, parent_account.id, email, external_id",
        "whop package, how an Account is read; reading external_id_ignored",
        probes.fields_returned,
    ),
    Question(
        "How does an e-mail address with capitals come back?",
        "in other case",
        "nothing: the service ignores case in addresses; reading email_returned",
        probes.email_with_capitals,
    ),
    Question(
        "What does a second POST /accounts with the same e-mail and external_id answer?",
        "200, the same account",
        "reading existing_account_status; enrolment, if it is another account",
        probes.repeated_create,
    ),
    Question(
        "Does it update the account?",
        "title kept, metadata kept",
        "nothing: the service sends the same each time; reading existing_account_updated",
        probes.repeated_create_updates,
    ),
    Question(
        "One e-mail, two values of metadata.external_id, no external_id: how many accounts?",
        "two accounts",
        "whop/client.py, create_account; reading metadata_external_id_counts",
        probes.external_id_in_metadata,
    ),
    Question(
        "What does GET /accounts?external_id= find?",
        "that account alone",
        "whop/client.py, find_accounts, which would have to page; reading external_id_ignored",
        probes.look_up_by_external_id,
    ),
    Question(
        "What does PATCH /accounts/{id} with external_id null do?",
        "not found any more",
        "nothing: the service never clears an external_id; reading external_id_ignored",
        probes.cleared_external_id,
    ),
    Question(
        "What does POST /accounts answer for an external_id of another e-mail?",
        "409 conflict",
        "whop package, the errors; enrolment, what follows a conflict",
        probes.external_id_of_another_email,
    ),
    Question(
        "What does it answer for an Idempotency-Key whose first request is still running?",
        "409 conflict",
        "whop package, the errors; enrolment, what follows a conflict",
        probes.key_in_flight,
    ),
    Question(
        "Does null clear a name in PATCH /users/{id} with account_id?",
        "the name is gone",
        "reading null_clears_override",
        probes.name_set_to_null,
    ),
    Question(
        "What does a mint for a user who owns none of our accounts answer?",
        "404",
        "minting, what follows a 404; reading mint_for_stranger",
        probes.mint_for_stranger,
        needs=OTHER_USER,
    ),
    Question(
        "… and for a user whose account was deleted?",
        "404",
        "minting, what follows a 404; reading mint_for_stranger",
        probes.mint_after_deletion,
    ),
    Question(
        "Does a token outlive its user's account?",
        "still works",
        "nothing: lifetimes are short either way; reading token_outlives_account",
        probes.token_after_deletion,
    ),
    Question(
        "Is the external_id of a deleted account free?",
        "free again",
        "enrolment, how generations are counted; reading deletion_frees_external_id",
        probes.external_id_after_deletion,
    ),
    Question(
        "Does GET /permissions tell what the key may do?",
        "the two granted",
        "manage/whop_api.py, granted, by which doctor and rotate-key judge a key",
        probes.permissions_of_the_key,
    ),
    Question(
        "Who issues ID tokens, by the discovery document?",
        "the host itself",
        "OAuthIssuer, for this host; reading oauth_issuer",
        oauth_probes.issuer,
    ),
    Question(
        "Where are the keys of ID tokens?",
        "/.well-known/jwks.json, ES256",
        "oauth/server.py, key_set, and oauth/id_token.py; reading oauth_keys",
        oauth_probes.key_set,
    ),
    Question(
        "Does the OAuth token endpoint read JSON, or a form?",
        "JSON 401 invalid_client, form 400 invalid_request",
        "oauth/server.py, the body, unless JSON is invalid_client; reading oauth_body",
        oauth_probes.token_body,
    ),
    Question(
        "What does it answer to the app without a client secret, for a made-up code?",
        "400 invalid_grant",
        "a client secret in OAuthClientSecretArn, if it is invalid_client; reading oauth_invalid_grant_status",
        oauth_probes.client_secret,
        needs=OAUTH_CLIENT,
    ),
    # Last, because Whop refuses this operation for a minute afterwards.
    Question(
        "Does a 429 have a Retry-After header?",
        "no header",
        "nothing: the service reads both header and sentence; reading retry_after_header",
        probes.retry_after,
        needs=RATE_LIMIT,
    ),
)
