"""doctor compares the issuer of the pool with the one that the stack was deployed for."""

from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from manage import stack
from manage.checks import user_pool_issuer
from tests.fakes.whole_pool import REGION
from tests.tools.manage.pools_at_aws import POOL_ID, Aws


@pytest.mark.parametrize(("type_", "found"), [("UPDATED", []), ("ORIGINAL", ["other_issuer"])])
def test_the_pool_has_to_have_the_issuer_of_the_stack(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, type_: str, found: list[str]
) -> None:
    monkeypatch.setattr(boto3, "Session", aws.session)
    aws.pool.settings["IssuerConfiguration"] = {"Type": type_}

    deployment: Any = SimpleNamespace(stack=stack.find(boto3.Session(region_name=REGION), "chat"), pool_id=POOL_ID)
    assert [each.code for each in user_pool_issuer.check(deployment)] == found
