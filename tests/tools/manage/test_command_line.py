"""Which stack and region a command line names, and what is refused."""

import pytest

from tests.fakes.whole_pool import REGION
from tests.tools.manage.deployment import ACCOUNT, DeployedStack
from tests.tools.manage.pools_at_aws import POOL_ID, Aws, Operator
from whop_chat.cognito.user import UserRef


def test_an_arn_names_the_account_of_the_stack(run: DeployedStack, ann: UserRef) -> None:
    run.account = "999999999999"
    arn = f"arn:aws:cloudformation:eu-west-1:{ACCOUNT}:stack/chat/1"
    refused = run("--stack", arn, "deny", ann.sub)

    assert refused.status == 1
    assert (
        f"in eu-west-1 of account {ACCOUNT}, but the credentials are for eu-west-1 of account 999999999999"
        in refused.err
    )
    assert "cloudformation:DescribeStacks" not in run.asked
    assert run.items() == {}


def test_an_output_of_another_account_is_refused(run: DeployedStack, ann: UserRef) -> None:
    run.outputs["WhopSecretArn"] = "arn:aws:secretsmanager:eu-west-1:999999999999:secret:whop"
    refused = run("deny", ann.sub)

    assert (refused.status, "WhopSecretArn is in eu-west-1 of account 999999999999" in refused.err) == (1, True)


def test_the_region_comes_from_the_option_or_the_environment(
    operate: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")

    assert "the credentials are for eu-west-1" in operate("attach", POOL_ID, "--dry-run").err
    assert operate("--region", REGION, "attach", POOL_ID, "--dry-run").status == 0


@pytest.mark.parametrize(
    "arguments", [(), ("bob", "--by-verified-email"), ("--by-verified-email", "--per-minute", "600")]
)
def test_a_wrong_command_line_is_refused(run: DeployedStack, arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="2"):
        run("relink", *arguments)


def test_an_error_of_aws_is_one_line_and_no_traceback(aws: Aws, operate: Operator) -> None:
    aws.denied.add("GetUserPoolMfaConfig")
    refused = operate("attach", POOL_ID, "--yes")

    assert (refused.status, refused.out) == (1, "")
    assert refused.err == (
        "GetUserPoolMfaConfig: AccessDeniedException: not authorized to perform: GetUserPoolMfaConfig\n"
    )
