"""doctor finds a stack that a plain `sam delete` would delete under a pool."""

from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from manage import stack
from manage.checks import termination
from tests.fakes.whole_pool import REGION
from tests.tools.manage.pools_at_aws import OURS, POOL_ID, Aws


@pytest.mark.parametrize(
    ("named", "protected", "found"),
    [(False, False, []), (True, True, []), (True, False, ["not_protected"]), (False, True, [])],
)
def test_a_pool_that_names_the_function_asks_for_protection(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, named: bool, protected: bool, found: list[str]
) -> None:
    monkeypatch.setattr(boto3, "Session", aws.session)
    aws.protected = protected
    if named:
        aws.pool.settings["LambdaConfig"]["PostConfirmation"] = OURS

    found_stack = stack.find(boto3.Session(region_name=REGION), "chat")
    deployment: Any = SimpleNamespace(stack=found_stack, pool_id=POOL_ID)
    assert [each.code for each in termination.check(deployment)] == found
