"""Sends commands to the function ``reconcile``, and follows its run."""

import json
import time
from collections.abc import Callable
from typing import Any

from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from manage.deployment import Deployment
from manage.errors import Refused
from whop_chat.reconcile.checkpoint import Phase
from whop_chat.reconcile.report import progress_of

_POLL_SECONDS = 2.0
# The function works for up to 15 minutes, also after its caller has gone. It refuses a command at once, so the command
# need not wait for the end. A repeated command would be refused, because the first one has started a run.
_CONFIG = Config(read_timeout=20, retries={"total_max_attempts": 1})


def send(deployment: Deployment, command: dict[str, Any]) -> dict[str, Any]:
    """The function's answer to ``command``, or the state of the run that it is busy with.

    Raises `Refused` if the function refuses the command, fails or does not answer. Raises the errors of AWS.
    """
    before = deployment.checkpoints.load(deadline=deployment.deadline())
    try:
        answer = _invoke(deployment, command)
    except ReadTimeoutError:
        run = deployment.checkpoints.load(deadline=deployment.deadline())
        if run is None or (before is not None and run.run == before.run):
            raise Refused("The function does not answer. Its log says more.", outcome="failed") from None
        return progress_of(run)
    if "refused" in answer:
        run_id = f" ({answer['run']})" if "run" in answer else ""
        raise Refused(f"Reconcile: {answer['refused']}{run_id}.", outcome="refused", run=answer)
    return answer


def follow(deployment: Deployment, run: str, show: Callable[[int], None]) -> dict[str, Any]:
    """Wait until ``run`` has ended and return its final state. Calls ``show`` with the number of users seen so far.

    Raises `Refused` if another run has replaced it. Raises the errors of AWS.
    """
    while True:
        checkpoint = deployment.checkpoints.load(deadline=deployment.deadline())
        if checkpoint is None or checkpoint.run != run:
            raise Refused(f"Another run has replaced {run}.", outcome="replaced")
        state = progress_of(checkpoint)
        show(state["counts"]["seen"])
        if checkpoint.phase is Phase.FINISHED:
            return state
        time.sleep(_POLL_SECONDS)


def _invoke(deployment: Deployment, command: dict[str, Any]) -> dict[str, Any]:
    client = deployment.stack.session.client("lambda", config=_CONFIG)
    name = deployment.stack.output("ReconcileFunctionName")
    response = client.invoke(FunctionName=name, Payload=json.dumps(command).encode())
    answer = json.loads(response["Payload"].read())
    if "FunctionError" in response or not isinstance(answer, dict):
        raise Refused("The function failed. Its log says more.", outcome="failed")
    return answer
