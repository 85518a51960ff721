"""How the parts of enrolment fit together; the two functions that enrol users and the commands that do share it."""

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
from whop_chat.settings import AwsSettings, EnrolmentSettings, PoolSettings
from whop_chat.sync.queue import SyncQueue
from whop_chat.users.repository import DynamoDBUserRepository
from whop_chat.whop.api_key import ApiKey
from whop_chat.whop.circuit_breaker import CircuitBreaker
from whop_chat.whop.circuit_state import CircuitStates
from whop_chat.whop.client import Whop
from whop_chat.whop.rate_limit import Priority, RateLimiter, SharedWindows, permits_per_window


@dataclass(frozen=True, slots=True)
class EnrolmentParts:
    """What a function that enrols users is made of."""

    users: DynamoDBUserRepository
    pool: UserPool
    whop: Whop
    queue: SyncQueue
    enrolment: Enrolment


def enrolment_parts(
    settings: EnrolmentSettings,
    aws: AwsClients,
    api_key: ApiKey,
    http: HttpClient,
    telemetry: Telemetry,
    states: CircuitStates,
    priority: Priority,
) -> EnrolmentParts:
    """All of them, on one connection pool; ``priority`` is what the function may take of Whop's limit."""
    users = DynamoDBUserRepository(aws, settings.users_table)
    pool = UserPool(aws, settings.user_pool_id, settings.profile_name)
    whop = Whop(
        http,
        api_key,
        base_url=settings.whop_base_url,
        company_id=settings.whop_company_id,
        api_version=settings.whop_api_version,
        company_field=settings.whop_company_field,
        circuit=CircuitBreaker(states, telemetry),
        rate_limiter=RateLimiter(SharedWindows(aws, settings.users_table), permits_per_window(priority), telemetry),
    )
    queue = SyncQueue(aws, settings.sync_queue_url)
    enrolment = Enrolment(users, pool, whop, email_policy(settings), reuse=settings.email_reuse)
    return EnrolmentParts(users, pool, whop, queue, enrolment)


def function_clients(settings: AwsSettings, **limits: Any) -> AwsClients:
    """AWS's clients for a function; ``limits`` are those of `whop_chat.runtime.aws_clients.carried_clients`."""
    http = HttpClient(roots=aws_roots(settings.region))
    return carried_clients(http, region=settings.region, endpoint=settings.endpoint, **limits)


def email_policy(settings: PoolSettings) -> EmailPolicy:
    """Which address a user is enrolled under, as the team has set it."""
    if settings.enrolment_email == "alias":
        return AliasEmail(settings.alias_email_template)
    return VerifiedEmail(frozenset(settings.trusted_providers))
