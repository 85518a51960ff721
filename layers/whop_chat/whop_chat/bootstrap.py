"""How the parts of enrolment fit together; the two functions that enrol users and the commands that do share it."""

from dataclasses import dataclass
from typing import Any

from whop_chat.cognito.pool import PoolUsers
from whop_chat.enrolment.email_policy import Addresses, AliasAddress, VerifiedAddress
from whop_chat.enrolment.enrol import Enrolment
from whop_chat.runtime.aws import AwsClients, carried_clients
from whop_chat.runtime.http import HttpClient
from whop_chat.runtime.partitions import aws_roots
from whop_chat.runtime.telemetry import Observer
from whop_chat.settings import AwsSettings, EnrolmentSettings, PoolSettings
from whop_chat.sync.queue import SyncQueue
from whop_chat.users.repository import Users
from whop_chat.whop.api_key import ApiKey
from whop_chat.whop.circuit_breaker import Circuit
from whop_chat.whop.circuit_state import Waits
from whop_chat.whop.client import Whop
from whop_chat.whop.rate_limit import Budget, Share, SharedSlots, ceiling


@dataclass(frozen=True, slots=True)
class EnrolmentParts:
    """What a function that enrols users is made of."""

    users: Users
    pool: PoolUsers
    whop: Whop
    queue: SyncQueue
    enrolment: Enrolment


def enrolment_parts(
    settings: EnrolmentSettings,
    aws: AwsClients,
    api_key: ApiKey,
    http: HttpClient,
    observer: Observer,
    waits: Waits,
    share: Share,
) -> EnrolmentParts:
    """All of them, on one connection pool; ``share`` is what the function may take of Whop's limit."""
    users = Users(aws, settings.users_table)
    pool = PoolUsers(aws, settings.user_pool_id, settings.profile_name)
    whop = Whop(
        http,
        api_key,
        base_url=settings.whop_base_url,
        company_id=settings.whop_company_id,
        api_version=settings.whop_api_version,
        company_field=settings.whop_company_field,
        circuit=Circuit(waits, observer),
        budget=Budget(SharedSlots(aws, settings.users_table), ceiling(share), observer),
    )
    queue = SyncQueue(aws, settings.sync_queue_url)
    enrolment = Enrolment(users, pool, whop, addresses(settings), reuse=settings.email_reuse)
    return EnrolmentParts(users, pool, whop, queue, enrolment)


def function_clients(settings: AwsSettings, **limits: Any) -> AwsClients:
    """AWS's clients for a function; ``limits`` are those of `whop_chat.runtime.aws.carried_clients`."""
    http = HttpClient(roots=aws_roots(settings.region))
    return carried_clients(http, region=settings.region, endpoint=settings.endpoint, **limits)


def addresses(settings: PoolSettings) -> Addresses:
    """Which address a user is enrolled under, as the team has set it."""
    if settings.enrolment_email == "alias":
        return AliasAddress(settings.alias_email_template)
    return VerifiedAddress(frozenset(settings.trusted_providers))
