"""Orders to the function ``reconcile``, and how its run stands."""

import json
import time
from collections.abc import Callable
from typing import Any

from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from manage.console import Refused
from manage.deployment import Deployment
from manage.stack import LIVE
from whop_chat.reconcile.checkpoint import Phase
from whop_chat.reconcile.report import standing

# The function works on for up to 15 minutes, also when nobody listens any more. Whether it takes an order it says at
# once. An order that is sent twice would be refused the second time.
_LOOK_SECONDS = 2.0
_LISTENING = Config(read_timeout=20, retries={"total_max_attempts": 1})


def send(deployment: Deployment, order: dict[str, Any]) -> dict[str, Any]:
    """What the function answers to ``order``, or how the run stands if it is busy with it. Raises `Refused`."""
    before = deployment.ledger.load(deadline=deployment.deadline())
    try:
        answer = _invoke(deployment, order)
    except ReadTimeoutError:
        run = deployment.ledger.load(deadline=deployment.deadline())
        if run is None or (before is not None and run.run == before.run):
            raise Refused("The function does not answer; its log says more.", outcome="failed") from None
        return standing(run)
    if "refused" in answer:
        raise Refused(f"Reconcile: {answer['refused']}.", outcome="refused", run=answer)
    return answer


def follow(deployment: Deployment, run: str, tell: Callable[[int], None]) -> dict[str, Any]:
    """Wait until ``run`` has ended, and ``tell`` how many users it has seen; how it stands then.

    Raises `Refused` if another run has taken its place.
    """
    while True:
        now = deployment.ledger.load(deadline=deployment.deadline())
        if now is None or now.run != run:
            raise Refused(f"Another run has taken the place of {run}.", outcome="replaced")
        told = standing(now)
        tell(told["counts"]["seen"])
        if now.phase is Phase.FINISHED:
            return told
        time.sleep(_LOOK_SECONDS)


def _invoke(deployment: Deployment, order: dict[str, Any]) -> dict[str, Any]:
    client = deployment.stack.session.client("lambda", config=_LISTENING)
    answer = client.invoke(
        FunctionName=deployment.stack.output("ReconcileFunctionName"),
        Qualifier=LIVE,
        Payload=json.dumps(order).encode(),
    )
    told = json.loads(answer["Payload"].read())
    if "FunctionError" in answer or not isinstance(told, dict):
        raise Refused("The function failed; its log says more.", outcome="failed")
    return told
