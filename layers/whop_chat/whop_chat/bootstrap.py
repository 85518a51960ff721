"""Builds the objects that enrolment needs, for `mint_token`, `sync_user` and the operator's commands."""

from dataclasses import dataclass
from typing import Any

from whop_chat.cognito.pool import UserPool
from whop_chat.enrolment.email_policy import AliasEmail, EmailPolicy, VerifiedEmail
from whop_chat.enrolment.enrol import Enrolment
from whop_chat.runtime.aws_clients import carried_clients
from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.http import HttpClient
from whop_chat.runtime.partitions import aws_roots
from whop_chat.runtime.telemetry import Telemetry
from whop_chat.settings import AwsSettings, EnrolmentSettings, PoolSettings, WhopSettings
from whop_chat.sync.queue import SyncQueue
from whop_chat.users.refusals import Refusals, RememberingPool
from whop_chat.users.repository import DynamoDBUserRepository
from whop_chat.whop.api_key import ApiKey
from whop_chat.whop.circuit_breaker import CircuitBreaker
from whop_chat.whop.circuit_state import CircuitStates
from whop_chat.whop.client import Whop
from whop_chat.whop.rate_limit import Priority, RateLimiter, SharedWindows, permits_per_window


@dataclass(frozen=True, slots=True)
class EnrolmentParts:
    """The objects that a function needs to enrol users."""

    users: DynamoDBUserRepository
    pool: UserPool
    whop: Whop
    queue: SyncQueue
    enrolment: Enrolment
    refusals: Refusals


def enrolment_parts(
    settings: EnrolmentSettings,
    aws: AwsClients,
    api_key: ApiKey,
    http: HttpClient,
    telemetry: Telemetry,
    states: CircuitStates,
    priority: Priority,
) -> EnrolmentParts:
    """The parts, which share the connections of ``http``. ``priority`` is the caller's part of Whop's rate limit."""
    users = DynamoDBUserRepository(aws, settings.users_table)
    pool = UserPool(aws, settings.user_pool_id, settings.profile_name, settings.avatar_source)
    whop = whop_client(settings, aws, api_key, http, telemetry, states, priority)
    queue = SyncQueue(aws, settings.sync_queue_url)
    refusals = Refusals(aws, settings.users_table)
    signed_in = RememberingPool(pool, refusals)
    enrolment = Enrolment(users, signed_in, whop, email_policy(settings), telemetry, reuse=settings.email_reuse)
    return EnrolmentParts(users, pool, whop, queue, enrolment, refusals)


def whop_client(
    settings: WhopSettings,
    aws: AwsClients,
    api_key: ApiKey,
    http: HttpClient,
    telemetry: Telemetry,
    states: CircuitStates,
    priority: Priority,
) -> Whop:
    """Whop's API for the company of the settings. ``priority`` is the caller's part of Whop's rate limit."""
    return Whop(
        http,
        api_key,
        base_url=settings.whop_base_url,
        company_id=settings.whop_company_id,
        api_version=settings.whop_api_version,
        company_field=settings.whop_company_field,
        circuit=CircuitBreaker(states, telemetry),
        rate_limiter=RateLimiter(SharedWindows(aws, settings.users_table), permits_per_window(priority), telemetry),
        telemetry=telemetry,
    )


def function_clients(settings: AwsSettings, **limits: Any) -> AwsClients:
    """AWS's clients for a function. ``limits`` go to `whop_chat.runtime.aws_clients.carried_clients`."""
    http = HttpClient(roots=aws_roots(settings.region))
    return carried_clients(http, region=settings.region, endpoint=settings.endpoint, **limits)


def email_policy(settings: PoolSettings) -> EmailPolicy:
    """The policy of the settings, which says under which address a user is enrolled."""
    if settings.enrolment_email == "alias":
        return AliasEmail(settings.alias_email_template)
    return VerifiedEmail(frozenset(settings.trusted_providers))
