"""Builds the objects of OAuth. Apart from `whop_chat.bootstrap`, because most starts import nothing of OAuth."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from whop_chat.cognito.issuer import jwks_url
from whop_chat.cognito.jwks import JwkSet, http_fetch
from whop_chat.cognito.user import UserRef
from whop_chat.cognito.verifier import TokenVerifier
from whop_chat.minting.authorizer import Authorizer
from whop_chat.minting.features import FeaturePolicy
from whop_chat.oauth.attempts import Attempts
from whop_chat.oauth.authorization import OAuthClient
from whop_chat.oauth.links import OwnLinks
from whop_chat.oauth.revocations import Revocations
from whop_chat.oauth.server import OAuthServer, client_secret
from whop_chat.oauth.token import OwnTokens
from whop_chat.oauth.unlinking import Unlinking
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.deadline import Deadline, DeadlineExceeded
from whop_chat.runtime.http import HttpClient
from whop_chat.runtime.sealed import data_keys
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.settings import AwsSettings, OAuthCallerSettings, OAuthSettings
from whop_chat.sync.queue import Source, SyncQueue
from whop_chat.users.repository import DynamoDBUserRepository

# It comes on top of the caller's deadline, if a revocation has failed.
_ENQUEUE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class OAuthParts:
    """The objects that functions need for users with a Whop account of their own."""

    users: DynamoDBUserRepository
    server: OAuthServer
    attempts: Attempts
    links: OwnLinks
    revocations: Revocations
    tokens: OwnTokens
    unlinking: Unlinking


def oauth_parts(settings: OAuthSettings, aws: AwsClients, http: HttpClient, telemetry: Telemetry) -> OAuthParts:
    """The parts, which share the connections of ``http``."""
    client = OAuthClient(settings.oauth_client_id, settings.oauth_redirect_uri)
    secret = client_secret(aws, settings.oauth_secret_arn)
    server = OAuthServer(http, client, telemetry, base_url=settings.whop_base_url, secret=secret)
    keys, table = data_keys(aws, settings.data_key_secret_arn), settings.users_table
    users = DynamoDBUserRepository(aws, table)
    links = OwnLinks(aws, table, keys, client.client_id)
    revocations = Revocations(aws, table, keys, server, telemetry, _enqueue(settings, aws))
    return OAuthParts(
        users=users,
        server=server,
        attempts=Attempts(aws, table, keys),
        links=links,
        revocations=revocations,
        tokens=OwnTokens(links, revocations, server, telemetry),
        unlinking=Unlinking(users, links, revocations),
    )


def caller_authorizer(settings: OAuthCallerSettings, aws_settings: AwsSettings, http: HttpClient) -> Authorizer:
    """The authorizer of the callers. It fetches the pool's keys at the first request."""
    keys_url = jwks_url(settings.user_pool_id, aws_settings.endpoint, settings.user_pool_issuer)
    verifier = TokenVerifier(
        pool_id=settings.user_pool_id,
        pool_issuer=settings.user_pool_issuer,
        client_ids=settings.user_pool_client_ids,
        token_use=settings.token_use,
        required_scope=settings.required_scope,
        jwks=JwkSet(http_fetch(http, keys_url)),
    )
    policy = FeaturePolicy(
        settings.chat_features, denied_groups=settings.denied_groups, group_features=settings.group_features
    )
    return Authorizer(verifier, policy, pool_id=settings.user_pool_id)


def _enqueue(settings: OAuthSettings, aws: AwsClients) -> Callable[[UserRef], None] | None:
    """Enqueues the sync that revokes later. None without a queue. A failure does no harm: the next sync revokes too."""
    if settings.sync_queue_url is None:
        return None
    queue = SyncQueue(aws, settings.sync_queue_url)

    def enqueue(user: UserRef) -> None:
        with contextlib.suppress(AwsError, DeadlineExceeded):
            queue.send(user, Source.CHANGE, deadline=Deadline(_ENQUEUE_SECONDS))

    return enqueue
