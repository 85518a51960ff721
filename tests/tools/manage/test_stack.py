"""Which stack a command works on, and when it does not."""

import re

import pytest

from manage import stack
from manage.errors import Refused
from tests.fakes.whole_pool import ACCOUNT, REGION
from tests.tools.manage.pools_at_aws import POOL_ID, Aws


def test_find_reads_parameters_outputs_and_the_arn(aws: Aws) -> None:
    found = stack.find(aws.session(), "chat")

    assert (found.partition, found.region, found.account) == ("aws", REGION, ACCOUNT)
    assert found.parameters == {"UserPoolId": POOL_ID, "UserPoolIssuer": "updated"}
    assert found.output("UserPoolId") == POOL_ID


def test_an_unknown_stack_is_refused(aws: Aws) -> None:
    with pytest.raises(Refused, match=re.escape(f"There is no stack other in {REGION} of account {ACCOUNT}.")):
        stack.find(aws.session(), "other")


def test_a_stack_of_another_account_is_refused(aws: Aws) -> None:
    aws.account = "999999999999"

    with pytest.raises(Refused, match=f"in {REGION} of account {ACCOUNT}, but the credentials are for .* 999999999999"):
        stack.find(aws.session(), "chat")


def test_a_stack_of_another_region_is_refused(aws: Aws) -> None:
    aws.stack_region = "eu-west-1"

    with pytest.raises(Refused, match=f"in eu-west-1 of account {ACCOUNT}, but the credentials are for {REGION}"):
        stack.find(aws.session(), "chat")


def test_a_missing_region_is_refused(monkeypatch: pytest.MonkeyPatch, aws: Aws) -> None:
    session = aws.session()
    monkeypatch.setattr(type(session), "region_name", None)

    with pytest.raises(Refused, match="--region"):
        stack.find(session, "chat")


def test_a_missing_output_is_named_with_the_status(aws: Aws) -> None:
    del aws.outputs["OnSignupFunctionArn"]

    with pytest.raises(Refused, match=r"no output OnSignupFunctionArn \(its status is CREATE_COMPLETE\)"):
        stack.find(aws.session(), "chat").output("OnSignupFunctionArn")
