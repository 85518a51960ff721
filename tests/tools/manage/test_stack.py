"""Which stack a command works on, and when it does not."""

import re

import pytest

from manage import stack
from manage.errors import Refused
from tests.fakes.whole_pool import ACCOUNT, REGION
from tests.tools.manage.pools_at_aws import POOL_ID, Aws


@pytest.fixture
def aws() -> Aws:
    return Aws()


def test_a_stack_is_known_by_its_parameters_outputs_region_and_account(aws: Aws) -> None:
    found = stack.find(aws.session(), "chat")

    assert (found.partition, found.region, found.account) == ("aws", REGION, ACCOUNT)
    assert found.parameters == {"UserPoolId": POOL_ID}
    assert found.output("UserPoolId") == POOL_ID


def test_there_has_to_be_such_a_stack(aws: Aws) -> None:
    with pytest.raises(Refused, match=re.escape(f"There is no stack other in {REGION} of account {ACCOUNT}.")):
        stack.find(aws.session(), "other")


def test_the_credentials_have_to_be_of_the_account_of_the_stack(aws: Aws) -> None:
    aws.account = "999999999999"

    with pytest.raises(Refused, match=f"in {REGION} of account {ACCOUNT}, but the credentials are for .* 999999999999"):
        stack.find(aws.session(), "chat")


def test_the_region_has_to_be_that_of_the_stack(aws: Aws) -> None:
    aws.stack_region = "eu-west-1"

    with pytest.raises(Refused, match=f"in eu-west-1 of account {ACCOUNT}, but the credentials are for {REGION}"):
        stack.find(aws.session(), "chat")


def test_a_region_has_to_be_known(monkeypatch: pytest.MonkeyPatch, aws: Aws) -> None:
    session = aws.session()
    monkeypatch.setattr(type(session), "region_name", None)

    with pytest.raises(Refused, match="--region"):
        stack.find(session, "chat")


def test_an_output_that_is_missing_is_named_with_the_status_of_the_stack(aws: Aws) -> None:
    del aws.outputs["OnSignupFunctionArn"]

    with pytest.raises(Refused, match=r"no output OnSignupFunctionArn \(its status is CREATE_COMPLETE\)"):
        stack.find(aws.session(), "chat").output("OnSignupFunctionArn")
