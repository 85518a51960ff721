"""What goes wrong between reading and writing a pool, or after that."""

from collections.abc import Callable

import pytest

from tests.fakes import whole_pool
from tests.tools.manage.pools_at_aws import OURS, POOL_ID, Aws, Operator, Pool


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        (lambda pool: pool.settings.update(DeletionProtection="INACTIVE"), "DeletionProtection"),
        (lambda pool: pool.mfa.update(MfaConfiguration="ON"), "GetUserPoolMfaConfig.MfaConfiguration"),
        (lambda pool: setattr(pool, "name", "renamed"), "PoolName"),
    ],
    ids=["a setting", "an MFA setting", "the name"],
)
def test_a_pool_changed_in_the_meantime_is_not_written(
    aws: Aws, operate: Operator, change: Callable[[Pool], None], setting: str
) -> None:
    # The first look is shown, the second is the one before the write.
    aws.before["DescribeUserPool"] = lambda: aws.before.update(DescribeUserPool=lambda: change(aws.pool))
    refused = operate("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["outcome"]) == (1, "changed_meanwhile")
    assert [each["setting"] for each in refused.json["differences"]] == [setting]
    assert aws.updates == []


def test_settings_that_the_update_lost_are_restored(aws: Aws, operate: Operator) -> None:
    before = aws.pool.described(POOL_ID)
    aws.forgets = [{"DeviceConfiguration"}]
    refused = operate("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["outcome"]) == (1, "restored")
    assert [each["setting"] for each in refused.json["differences"]] == ["DeviceConfiguration"]
    assert aws.pool.described(POOL_ID) == before


def test_mfa_settings_that_the_update_lost_are_restored(aws: Aws, operate: Operator) -> None:
    aws.forgets = [{"SoftwareTokenMfaConfiguration"}]
    refused = operate("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["outcome"]) == (1, "restored")
    assert aws.pool.mfa == whole_pool.MFA


def test_settings_that_cannot_be_restored_are_listed(aws: Aws, operate: Operator) -> None:
    aws.forgets = [{"DeviceConfiguration"}, {"DeviceConfiguration"}]
    refused = operate("attach", POOL_ID, "--yes")

    assert refused.status == 1
    assert "by hand:\n  - DeviceConfiguration: {" in refused.err


def test_a_failed_restoration_lists_what_was_lost(aws: Aws, operate: Operator) -> None:
    aws.forgets = [{"DeviceConfiguration"}]

    def let_only_one_through() -> None:
        aws.before["UpdateUserPool"] = lambda: aws.denied.add("UpdateUserPool")

    aws.before["UpdateUserPool"] = let_only_one_through
    refused = operate("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["outcome"]) == (1, "not_restored")
    assert [each["setting"] for each in refused.json["differences"]] == ["DeviceConfiguration"]
    assert "UpdateUserPool: AccessDeniedException" in refused.json["error"]


def test_a_pool_that_cannot_be_read_again_is_unverified(aws: Aws, operate: Operator) -> None:
    aws.before["UpdateUserPool"] = lambda: aws.denied.add("DescribeUserPool")
    refused = operate("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["outcome"]) == (1, "not_verified")
    assert aws.pool.settings["LambdaConfig"]["PostConfirmation"] == OURS


def test_a_stale_answer_is_no_difference(aws: Aws, operate: Operator) -> None:
    aws.stale_answers = 2

    assert operate("attach", POOL_ID, "--yes").status == 0
    assert len(aws.updates) == 1


def test_a_refusal_of_cognito_is_shown_in_its_words(aws: Aws, operate: Operator) -> None:
    lambdas = aws.pool.settings["LambdaConfig"]
    lambdas["PreTokenGeneration"] = whole_pool.function("some-other")
    refused = operate("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["outcome"]) == (1, "failed")
    assert "UpdateUserPool: InvalidParameterException: PreTokenGeneration" in refused.json["error"]
    assert "PostConfirmation" not in aws.pool.settings["LambdaConfig"]
