"""The functions that a user pool calls: adds and removes those of a stack, and keeps every other setting of the pool.

A trigger is its name in LambdaConfig (``PostConfirmation``) with the ARN of a function's alias.
"""

import time
from collections.abc import Mapping
from typing import Any

from manage.errors import AWS_ERRORS, Refused, reason
from manage.pool_settings import Difference, PoolState, UserPool, differences
from manage.stack import Stack

# DescribeUserPool is not documented to show a write at once. It is asked again after each of these waits, in seconds.
_WAITS = (1.0, 2.0, 4.0)


class OtherFunction(Exception):
    """The pool has a function of another owner at this trigger."""

    def __init__(self, trigger: str, arn: str) -> None:
        super().__init__(f"{trigger} is {arn}")
        self.trigger = trigger
        self.arn = arn


def triggers_of(stack: Stack) -> Mapping[str, str]:
    """The triggers that the parameter PoolTriggers asks for. Raises `Refused` if the stack does not have the output.

    ``none`` is about a pool that the stack creates. A pool of one's own has sign-ups at least, or is not attached.
    """
    function = stack.output("OnSignupFunctionArn")
    names = ["PostConfirmation"]
    if stack.parameters.get("PoolTriggers") == "sign-up-and-sign-in":
        names.append("PostAuthentication")
    return dict.fromkeys(names, function)


def names_function(pool: PoolState, function: str) -> bool:
    """Whether any trigger of ``pool`` is ``function``, under any version or alias."""
    return any(is_function(value, function) for value in pool.triggers.values())


def with_ours(pool: PoolState, ours: Mapping[str, str]) -> PoolState:
    """``pool`` with our triggers. Raises `OtherFunction` if another function is at one of them.

    If the pool names our function without its alias, this adds the alias, because Cognito may call the alias only.
    """
    for trigger, function in ours.items():
        current = pool.triggers.get(trigger)
        if current is not None and not is_function(current, function):
            raise OtherFunction(trigger, current)
    return pool.with_triggers({**pool.triggers, **ours})


def without(pool: PoolState, function: str) -> PoolState:
    """``pool`` without the triggers that are ``function``, under any version or alias."""
    return pool.with_triggers(
        {name: value for name, value in pool.triggers.items() if not is_function(value, function)}
    )


def is_function(trigger: Any, function: str) -> bool:
    """Whether ``trigger`` is ``function``, under any version or alias. Some triggers are structures, never ours."""
    return isinstance(trigger, str) and _unversioned(trigger) == _unversioned(function)


def _unversioned(arn: str) -> list[str]:
    """``arn:<partition>:lambda:<region>:<account>:function:<name>``, without the version or alias that may follow."""
    return arn.split(":")[:7]


def write(pool: UserPool, shown: PoolState, wanted: PoolState) -> None:
    """Change the pool from ``shown``, which the operator has seen, to ``wanted``, and check that nothing else changes.

    Raises `Refused` if the pool is no longer as shown (then nothing is written), or if Cognito refuses the update. If
    the pool is not as wanted afterwards, writes the settings of ``shown`` back and raises `Refused` as well.
    """
    changed = differences(shown, pool.read())
    if changed:
        raise Refused(
            _with_list(f"Somebody has changed user pool {pool.id}; nothing was written. Run it again.", changed),
            outcome="changed_meanwhile",
            differences=as_data(changed),
        )
    try:
        pool.write(wanted.settings)
    except AWS_ERRORS as error:
        raise Refused(
            f"The update of user pool {pool.id} failed. Run it again with --dry-run to see the state of the pool.\n"
            f"{reason(error)}",
            outcome="failed",
        ) from None
    wrong = _remaining(pool, wanted)
    if wrong:
        raise _rolled_back(pool, shown, wrong)


def _remaining(pool: UserPool, wanted: PoolState) -> list[Difference]:
    """The differences between the pool and ``wanted``, once DescribeUserPool has had time to show the write."""
    try:
        left = differences(wanted, pool.read())
        for seconds in _WAITS:
            if not left:
                break
            time.sleep(seconds)
            left = differences(wanted, pool.read())
    except AWS_ERRORS as error:
        raise Refused(
            f"User pool {pool.id} was written, but could not be read again to check that nothing else has changed.\n"
            f"{reason(error)}",
            outcome="not_verified",
        ) from None
    return left


def _rolled_back(pool: UserPool, shown: PoolState, wrong: list[Difference]) -> Refused:
    """Write ``shown`` back, and return the refusal that says whether that worked."""
    text = _with_list(f"The update of user pool {pool.id} changed other settings, or did not take effect:", wrong)
    try:
        pool.write(shown.settings)
        if differences(shown, pool.read()):
            pool.write_mfa(shown.mfa)
        left = _remaining(pool, shown)
    except (*AWS_ERRORS, Refused) as error:
        text += f"\nWriting the former settings back failed as well. {reason(error)}"
        return Refused(text, outcome="not_restored", differences=as_data(wrong))
    if left:
        text = _with_list(f"{text}\nThe former settings were written back, but you must fix these by hand:", left)
        return Refused(text, outcome="not_restored", differences=as_data(left))
    text += "\nThe former settings were written back; the pool is as it was."
    return Refused(text, outcome="restored", differences=as_data(wrong))


def as_data(found: list[Difference]) -> list[dict[str, Any]]:
    """Differences, for a JSON answer."""
    return [{"setting": each.setting, "before": each.before, "after": each.after} for each in found]


def _with_list(text: str, found: list[Difference]) -> str:
    return "\n".join([text, *(f"  {each}" for each in found)])
