"""detach, as an operator runs it."""

import pytest

from tests.fakes import whole_pool
from tests.tools.manage.pools_at_aws import OURS, POOL_ID, Aws, Operator, Pool

SOMEBODY = whole_pool.function("of-somebody-else")


def test_detach_gives_back_the_pool_as_it_was(aws: Aws, operate: Operator) -> None:
    before = aws.pool.described(POOL_ID)
    operate("attach", POOL_ID, "--yes")
    done = operate("--json", "detach", "--yes")

    assert (done.status, done.json["outcome"]) == (0, "detached")
    assert done.json["changes"] == [{"setting": "LambdaConfig.PostConfirmation", "before": OURS, "after": None}]
    assert aws.pool.described(POOL_ID) == before
    assert aws.pool.mfa == whole_pool.MFA


def test_the_last_trigger_of_a_pool_can_be_detached(aws: Aws, operate: Operator) -> None:
    aws.pool.settings["LambdaConfig"] = {"PostConfirmation": OURS}

    assert operate("detach", POOL_ID, "--yes").status == 0
    assert aws.pool.settings["LambdaConfig"] == {}


def test_detach_of_an_unattached_pool_writes_nothing(aws: Aws, operate: Operator) -> None:
    done = operate("--json", "detach")

    assert (done.status, done.json["outcome"]) == (0, "not_attached")
    assert aws.updates == []


def test_detach_leaves_another_function_alone(aws: Aws, operate: Operator) -> None:
    aws.pool.settings["LambdaConfig"]["PostConfirmation"] = SOMEBODY
    done = operate("--json", "detach", "--yes")

    assert (done.status, done.json["outcome"], done.json["function"]) == (0, "not_attached", SOMEBODY)
    assert aws.updates == []


def test_a_former_pool_of_the_stack_can_be_detached(aws: Aws, operate: Operator) -> None:
    aws.pools["us-east-1_Earlier"] = earlier = Pool()
    earlier.settings["LambdaConfig"]["PostConfirmation"] = OURS

    assert operate("detach", "us-east-1_Earlier", "--yes").status == 0
    assert earlier.settings["LambdaConfig"] == whole_pool.SETTINGS["LambdaConfig"]


@pytest.mark.parametrize(
    ("pool_id", "why"),
    [
        ("eu-west-1_AbCdEfGhI", "is in eu-west-1, and stack chat is in us-east-1"),
        ("people", "people is not a user pool id"),
        ("us-east-1_Nobody", "There is no user pool us-east-1_Nobody"),
    ],
)
def test_detach_refuses_a_pool_that_is_elsewhere(operate: Operator, pool_id: str, why: str) -> None:
    refused = operate("detach", pool_id, "--yes")

    assert (refused.status, why in refused.err) == (1, True)


def test_a_stack_stays_protected_while_its_own_pool_names_it(aws: Aws, operate: Operator) -> None:
    operate("attach", POOL_ID, "--yes")
    aws.pools["us-east-1_Earlier"] = earlier = Pool()
    earlier.settings["LambdaConfig"]["PostConfirmation"] = OURS

    assert operate("detach", "us-east-1_Earlier", "--yes").status == 0
    assert aws.protected
    assert operate("detach", "us-east-1_Earlier").status == 0
    assert aws.protected


def test_a_dry_run_leaves_the_protection_alone(aws: Aws, operate: Operator) -> None:
    aws.protected = True
    operate("detach", "--dry-run")
    assert aws.protected
    operate("detach")
    assert not aws.protected


# A stack that is deleted already


def test_the_function_of_a_deleted_stack_can_be_detached(aws: Aws, operate: Operator) -> None:
    before = aws.pool.described(POOL_ID)
    operate("attach", POOL_ID, "--yes")
    aws.stack_exists = False

    refused = operate("detach", "--function-arn", OURS, "--yes")
    assert (refused.status, "Name the user pool" in refused.err) == (1, True)
    done = operate("--json", "detach", POOL_ID, "--function-arn", OURS, "--yes")
    assert (done.status, done.json["outcome"]) == (0, "detached")
    assert aws.pool.described(POOL_ID) == before


@pytest.mark.parametrize(
    ("arn", "why"),
    [
        ("chat-on-signup", "is not the ARN of a Lambda function"),
        (f"arn:aws:sqs:us-east-1:{whole_pool.ACCOUNT}:chat-queue:live", "is not the ARN of a Lambda function"),
        ("arn:aws:lambda:eu-west-1:123456789012:function:chat:live", "is in eu-west-1"),
        ("arn:aws:lambda:us-east-1:999999999999:function:chat:live", "of account 999999999999"),
    ],
)
def test_an_arn_of_another_place_is_refused(aws: Aws, operate: Operator, arn: str, why: str) -> None:
    refused = operate("detach", POOL_ID, "--function-arn", arn, "--yes")

    assert (refused.status, why in refused.err, aws.updates) == (1, True, [])
