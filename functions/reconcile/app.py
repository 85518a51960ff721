"""Compares the whole user pool with the records: on a schedule, on demand, and a tick that goes on with a run."""

import os
from typing import Any

from whop_chat.bootstrap import addresses, function_clients
from whop_chat.cognito.pool import PoolUsers
from whop_chat.reconcile.checkpoint import Ledger
from whop_chat.reconcile.command import NotAnOrder, Order
from whop_chat.reconcile.run import Reconcile
from whop_chat.runtime.telemetry import observer
from whop_chat.settings import AwsSettings, PoolSettings
from whop_chat.sync.queue import SyncQueue
from whop_chat.users.repository import Users

# Nobody waits for it, and pages of a pool or a table take longer than single items and are larger: a user may have 50
# custom attributes of 2 KB (Cognito, "Quotas"), and the pool lists them with all.
_ATTEMPT_SECONDS = 4.0
_PAGE_BYTES = 16 * 1024 * 1024


def _compose(settings: PoolSettings, aws_settings: AwsSettings) -> Reconcile:
    aws = function_clients(aws_settings, attempt_seconds=_ATTEMPT_SECONDS, max_bytes=_PAGE_BYTES)
    return Reconcile(
        PoolUsers(aws, settings.user_pool_id, settings.profile_name),
        Users(aws, settings.users_table),
        SyncQueue(aws, settings.sync_queue_url),
        Ledger(aws, settings.users_table, settings.user_pool_id),
        addresses(settings),
        _observer,
        pool_id=settings.user_pool_id,
    )


_observer = observer()
_reconcile = _compose(PoolSettings.from_env(os.environ), AwsSettings.from_env(os.environ))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Carry out one order, and answer how the run stands."""
    _observer.started(context)
    try:
        return _reconcile.handle(Order.of(event), lambda: context.get_remaining_time_in_millis() / 1000)
    except NotAnOrder as error:
        _observer.failed("not an order", error)
        return {"refused": str(error)}
    except Exception:
        _observer.broke("unexpected error")
        return {"refused": "unexpected error; the log says more"}
    finally:
        _observer.finished()
