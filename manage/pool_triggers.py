"""The functions that a user pool runs: ours put in and taken out, and everything else of the pool left as it is.

A trigger is given by its name in LambdaConfig (``PostConfirmation``) and the ARN of the function's alias.
"""

import time
from collections.abc import Mapping
from typing import Any

from manage.console import Refused
from manage.errors import ERRORS, reason
from manage.pool_settings import Difference, PoolState, UserPool, differences
from manage.stack import Stack

# DescribeUserPool is not documented to show a write at once; what it shows after these waits, in seconds, counts.
_WAITS = (1.0, 2.0, 4.0)


class OtherFunction(Exception):
    """The pool has a function of somebody else's at this trigger."""

    def __init__(self, trigger: str, arn: str) -> None:
        super().__init__(f"{trigger} is {arn}")
        self.trigger = trigger
        self.arn = arn


def triggers_of(stack: Stack) -> Mapping[str, str]:
    """The triggers of a stack. Raises `Refused` when it has no such output."""
    return {"PostConfirmation": stack.output("OnSignupFunctionArn")}


def with_ours(pool: PoolState, ours: Mapping[str, str]) -> PoolState:
    """``pool`` with our triggers.

    Our own function is replaced where the pool names it without the alias, which Cognito may not call. Raises
    `OtherFunction` for any other.
    """
    for trigger, arn in ours.items():
        _see_that_it_is_ours_or_none(pool, trigger, arn)
    return pool.with_triggers({**pool.triggers, **ours})


def without_ours(pool: PoolState, ours: Mapping[str, str]) -> PoolState:
    """``pool`` without our triggers, under whichever version or alias. Raises `OtherFunction`."""
    for trigger, arn in ours.items():
        _see_that_it_is_ours_or_none(pool, trigger, arn)
    return pool.with_triggers({name: value for name, value in pool.triggers.items() if name not in ours})


def _see_that_it_is_ours_or_none(pool: PoolState, trigger: str, ours: str) -> None:
    there = pool.triggers.get(trigger)
    if there is not None and _function(there) != _function(ours):
        raise OtherFunction(trigger, there)


def _function(arn: str) -> list[str]:
    """``arn:<partition>:lambda:<region>:<account>:function:<name>``, without the version or alias that may follow."""
    return arn.split(":")[:7]


def write(pool: UserPool, shown: PoolState, wanted: PoolState) -> None:
    """Turn ``shown``, which the operator has seen, into ``wanted``, and see that nothing else changes.

    Raises `Refused` when the pool is not as shown any more (nothing is written), when Cognito does not take it, and
    when the pool is not as wanted afterwards; then the settings of ``shown`` are written back.
    """
    meanwhile = differences(shown, pool.read())
    if meanwhile:
        raise Refused(
            _with_list(f"User pool {pool.id} was changed meanwhile; nothing was written. Run it again.", meanwhile),
            outcome="changed_meanwhile",
            differences=as_data(meanwhile),
        )
    try:
        pool.write(wanted.settings)
    except ERRORS as error:
        raise Refused(
            f"The update of user pool {pool.id} failed. Run it again with --dry-run to see how the pool is.\n"
            f"{reason(error)}",
            outcome="failed",
        ) from None
    wrong = _left_to_do(pool, wanted)
    if wrong:
        raise _restored(pool, shown, wrong)


def _left_to_do(pool: UserPool, wanted: PoolState) -> list[Difference]:
    """How the pool differs from what was wanted, once it has had time to show it."""
    try:
        left = differences(wanted, pool.read())
        for seconds in _WAITS:
            if not left:
                break
            time.sleep(seconds)
            left = differences(wanted, pool.read())
    except ERRORS as error:
        raise Refused(
            f"User pool {pool.id} was written, but could not be read again to see that nothing else changed.\n"
            f"{reason(error)}",
            outcome="not_verified",
        ) from None
    return left


def _restored(pool: UserPool, shown: PoolState, wrong: list[Difference]) -> Refused:
    """Write ``shown`` back, and tell how that went."""
    told = _with_list(f"The update of user pool {pool.id} changed what it should not, or did not arrive:", wrong)
    try:
        pool.write(shown.settings)
        if differences(shown, pool.read()):
            pool.write_mfa(shown.mfa)
        left = _left_to_do(pool, shown)
    except (*ERRORS, Refused) as error:
        told += f"\nWriting the former settings back failed as well. {reason(error)}"
        return Refused(told, outcome="not_restored", differences=as_data(wrong))
    if left:
        told = _with_list(f"{told}\nThe former settings were written back, but these must be mended by hand:", left)
        return Refused(told, outcome="not_restored", differences=as_data(left))
    told += "\nThe former settings were written back; the pool is as it was."
    return Refused(told, outcome="restored", differences=as_data(wrong))


def as_data(found: list[Difference]) -> list[dict[str, Any]]:
    """Differences, for JSON."""
    return [{"setting": each.setting, "before": each.before, "after": each.after} for each in found]


def _with_list(text: str, found: list[Difference]) -> str:
    return "\n".join([text, *(f"  {each}" for each in found)])
