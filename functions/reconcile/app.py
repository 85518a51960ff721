"""Compares the whole user pool with the records: on a schedule, on demand, and on a tick that resumes a run."""

import os
from typing import Any

from whop_chat.bootstrap import email_policy, function_clients
from whop_chat.cognito.pool import UserPool
from whop_chat.reconcile.checkpoint import CheckpointStore
from whop_chat.reconcile.command import Command, InvalidCommand
from whop_chat.reconcile.run import Reconcile
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import DeadlineExceeded
from whop_chat.runtime.telemetry import lambda_telemetry
from whop_chat.settings import AwsSettings, PoolSettings
from whop_chat.sync.queue import SyncQueue
from whop_chat.users.repository import DynamoDBUserRepository
from whop_chat.users.runs import DynamoDBRuns

# Nobody waits for this function. A page of a pool or a table is larger than a single item, and takes longer: a user may
# have 50 custom attributes of 2 KB (Cognito, "Quotas"), and ListUsers returns all of them.
_ATTEMPT_SECONDS = 4.0
_PAGE_BYTES = 16 * 1024 * 1024


def _compose(settings: PoolSettings, aws_settings: AwsSettings) -> Reconcile:
    aws = function_clients(aws_settings, attempt_seconds=_ATTEMPT_SECONDS, max_bytes=_PAGE_BYTES)
    return Reconcile(
        UserPool(aws, settings.user_pool_id, settings.profile_name, settings.avatar_source),
        DynamoDBUserRepository(aws, settings.users_table),
        SyncQueue(aws, settings.sync_queue_url),
        CheckpointStore(aws, settings.users_table, settings.user_pool_id),
        DynamoDBRuns(aws, settings.users_table, settings.user_pool_id),
        email_policy(settings),
        _telemetry,
        pool_id=settings.user_pool_id,
    )


_telemetry = lambda_telemetry()
_reconcile = _compose(PoolSettings.from_env(os.environ), AwsSettings.from_env(os.environ))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Carry out one command, and return the progress of the run.

    Raises `AwsError` or `DeadlineExceeded` if a scheduled command fails. Lambda then invokes the function again.
    """
    _telemetry.bind_request(context)
    try:
        return _reconcile.handle(Command.of(event), lambda: context.get_remaining_time_in_millis() / 1000)
    except InvalidCommand as error:
        _telemetry.warning("invalid command", error)
        return {"refused": str(error)}
    except (AwsError, DeadlineExceeded):
        raise
    except Exception:
        _telemetry.exception("unexpected error")
        return {"refused": "unexpected error; the log says more"}
    finally:
        _telemetry.flush()
