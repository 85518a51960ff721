"""Sends commands to the function ``reconcile``, and follows a run until all of its users are settled."""

import json
import time
from typing import Any

from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from manage.deployment import Deployment
from manage.errors import Refused
from manage.progress import Progress
from whop_chat.reconcile.checkpoint import Phase
from whop_chat.reconcile.report import progress_of
from whop_chat.users.runs import RunProgress, State

_POLL_SECONDS = 2.0
# SQS's counts are approximate, and right after a minute at most (SQS, GetQueueAttributes).
_EMPTY_POLLS = 30
# A sync that began before its run was stopped ends within ten seconds.
_IN_FLIGHT_POLLS = 6
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


def follow_listing(deployment: Deployment, run: str, progress: Progress) -> dict[str, Any]:
    """Wait until the function has listed all users of ``run``, and return the run's final state.

    Raises `Refused` if another run has replaced it. Raises the errors of AWS.
    """
    while True:
        checkpoint = deployment.checkpoints.load(deadline=deployment.deadline())
        if checkpoint is None or checkpoint.run != run:
            raise Refused(f"Another run has replaced {run}.", outcome="replaced")
        state = progress_of(checkpoint)
        users = deployment.runs.progress(run, deadline=deployment.deadline())
        progress.show(state["counts"]["seen"], title=f"reconcile ({_told(users)})")
        if checkpoint.phase is Phase.FINISHED:
            return state
        time.sleep(_POLL_SECONDS)


def follow_users(deployment: Deployment, run: str, progress: Progress) -> RunProgress:
    """Wait until `sync_user` has settled all users of ``run``, and return their final counts.

    It also returns when the queue has been empty for a minute: messages that are neither handled nor there are dead
    letters. Raises the errors of AWS.
    """
    empty = 0
    while True:
        users = deployment.runs.progress(run, deadline=deployment.deadline())
        progress.show(users.settled, total=users.handed_on, title=_told(users))
        if not users.waiting or empty == _EMPTY_POLLS:
            return users
        empty = 0 if any(deployment.queue.depth(deadline=deployment.deadline())) else empty + 1
        time.sleep(_POLL_SECONDS)


def after_stop(deployment: Deployment, run: str) -> RunProgress:
    """The counts of a run that was just stopped, once no sync that began before can enrol anybody any more."""
    for _ in range(_IN_FLIGHT_POLLS):
        users = deployment.runs.progress(run, deadline=deployment.deadline())
        if not users.waiting:
            return users
        time.sleep(_POLL_SECONDS)
    return deployment.runs.progress(run, deadline=deployment.deadline())


def _told(users: RunProgress) -> str:
    return f"{users.handed_on} handed on, {users.counts[State.ENROLLED]} enrolled"


def _invoke(deployment: Deployment, command: dict[str, Any]) -> dict[str, Any]:
    client = deployment.stack.session.client("lambda", config=_CONFIG)
    name = deployment.stack.output("ReconcileFunctionName")
    response = client.invoke(FunctionName=name, Payload=json.dumps(command).encode())
    answer = json.loads(response["Payload"].read())
    if "FunctionError" in response or not isinstance(answer, dict):
        raise Refused("The function failed. Its log says more.", outcome="failed")
    return answer
