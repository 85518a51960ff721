"""What ``make deploy``, ``make rollback`` and ``make delete`` do, on the local cloud, with the policy for deployers.

The emulator checks the calls of the tools against the policy. On AWS, CloudFormation's own calls count too.
"""

import os
import stat
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local.sam import FAKE_KEYS, REGION, ROOT, architecture, interpreter
from local.stack import LocalStack
from local.whop_simulator import DEFAULT_COMPANY
from tests.e2e.harness import configuration

STACK = "whop-chat-local"
ANSWERS = {
    "AllowedOrigins": "http://localhost:3000, http://localhost:5173",
    "WhopCompanyId": DEFAULT_COMPANY,
    "DeniedGroups": "banned, people we block",
    "AlarmEmail": "on-call@example.test",
    "Architecture": architecture(),
}


class Operator:
    """Runs the commands of the makefile in a terminal of its own, with nobody there to answer."""

    def __init__(self, cloud: LocalStack, folder: Path, keys: Mapping[str, str]) -> None:
        self._cloud, self._folder, self._keys = cloud, folder, keys
        self.overlay = folder / "answers" / "local.toml"
        state = folder / "state"
        state.mkdir()
        # A fresh state folder would ask the package index for a newer version.
        (state / "metadata.json").write_text('{"lastVersionCheck": 32503680000.0}')

    def deploy(self, *arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
        """``make deploy STAGE=local``: of this tree, built once for all tests."""
        built, answers = str(self._cloud.build()), str(self.overlay.parent)
        return self.run("tools.deploy", "deploy", *_LOCAL, "--built", built, "--answers", answers, *arguments, **given)

    def rollback(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``make rollback STAGE=local ARGS=--yes``."""
        return self.run("tools.deploy", "rollback", *_LOCAL, *arguments)

    def run(self, module: str, *arguments: str, stdin: str = "", **given: str) -> subprocess.CompletedProcess[str]:
        """A Python program with these variables of the environment, against the emulator."""
        return subprocess.run(
            [str(interpreter("sam")), "-m", module, *arguments],
            cwd=ROOT,
            env={
                "PATH": f"{Path(sys.base_prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "LANG": "C.UTF-8",
                "NO_PROXY": "127.0.0.1",
                **self._keys,
                "AWS_ENDPOINT_URL": self._cloud.emulator_url,
                "AWS_REGION": REGION,
                "AWS_DEFAULT_REGION": REGION,
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "SAM_CLI_TELEMETRY": "0",
                "SAM_CLI_POLL_DELAY": "0.2",
                "__SAM_CLI_APP_DIR": str(self._folder / "state"),
                **given,
            },
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    @property
    def stack(self) -> Any:
        """The deployed stack, as CloudFormation describes it."""
        return self._cloud.cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of the deployed stack."""
        return {each["ParameterKey"]: each["ParameterValue"] for each in self.stack["Parameters"]}

    @property
    def versions(self) -> list[str]:
        """The versions that can be deployed again, the one deployed last first."""
        words = (line.split() for line in self.rollback().stdout.splitlines())
        return [each[1] for each in words if len(each) > 2 and each[1][:2] == "20"]


_LOCAL = ("--stage", "local", "--yes")


@pytest.fixture(scope="module")
def operator(cloud: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    operator = Operator(cloud, tmp_path_factory.mktemp("operator"), _deployer(cloud))
    done = operator.deploy(**ANSWERS, WhopBaseUrl=cloud.whop_url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert STACK in done.stdout
    return operator


def _deployer(cloud: LocalStack) -> dict[str, str]:
    """The keys of a user who may do what `docs/deployer-policy.json` allows, and nothing else."""
    iam: Any = boto3.client(
        "iam",
        endpoint_url=cloud.emulator_url,
        aws_access_key_id=FAKE_KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=FAKE_KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name=REGION,
        config=Config(proxies={}),
    )
    iam.create_user(UserName="deployer")
    policy = (ROOT / "docs" / "deployer-policy.json").read_text()
    iam.put_user_policy(UserName="deployer", PolicyName="deploy", PolicyDocument=policy)
    key = iam.create_access_key(UserName="deployer")["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def test_a_deployment_answers_and_is_protected(cloud: LocalStack, operator: Operator) -> None:
    assert cloud.http.get(f"{cloud.describe(STACK).api_url}/health").json()["status"] == "ok"
    assert operator.stack["EnableTerminationProtection"] is True
    assert cloud.describe(STACK)["AlarmTopicArn"].startswith("arn:aws:sns:")


def test_lists_with_spaces_arrive_whole(cloud: LocalStack, operator: Operator) -> None:
    function = cloud.describe(STACK)["MintTokenFunctionName"]

    variables = configuration(cloud, function)["Environment"]["Variables"]

    assert variables["DENIED_GROUPS"] == "banned,people we block"


def test_the_answers_are_kept_for_their_owner_only(operator: Operator) -> None:
    kept = tomllib.loads(operator.overlay.read_text())

    assert kept["AllowedOrigins"] == "http://localhost:3000,http://localhost:5173"
    assert stat.S_IMODE(operator.overlay.stat().st_mode) == 0o600


def test_a_second_deployment_needs_no_answer_and_changes_nothing(operator: Operator) -> None:
    before = operator.versions

    done = operator.deploy()

    assert done.returncode == 0, done.stderr
    assert "nothing to change" in done.stdout
    assert operator.versions == before


def test_a_colleague_without_the_answers_deploys_what_is_deployed(operator: Operator, tmp_path: Path) -> None:
    done = operator.deploy("--answers", str(tmp_path))

    assert done.returncode == 0, done.stderr
    assert "nothing to change" in done.stdout


def test_what_cloudformation_refuses_is_neither_a_version_nor_kept(operator: Operator) -> None:
    versions, kept = operator.versions, operator.overlay.read_text()

    done = operator.deploy(MintsPerMinute="many")

    assert done.returncode == 1
    assert "MintsPerMinute" in done.stderr
    assert (operator.versions, operator.overlay.read_text()) == (versions, kept)


def test_another_users_table_needs_a_flag(operator: Operator) -> None:
    refused = operator.deploy(UsersTableName="other")
    allowed = operator.deploy("--change-users-table", UsersTableName="other")

    assert refused.returncode == allowed.returncode == 1
    assert "--change-users-table" in refused.stderr
    # Past that question, the template has one of its own.
    assert "UsersTableName needs UserPoolId" in allowed.stderr


def test_with_a_domain_no_other_address_answers(cloud: LocalStack, operator: Operator) -> None:
    open_address = f"{cloud.describe(STACK).api_url}/chat/token"
    certificate = f"arn:aws:acm:{REGION}:123456789012:certificate/7c9f2f0e"

    done = operator.deploy(DomainName="chat.example.test", CertificateArn=certificate)

    assert done.returncode == 0, done.stderr
    assert "ApiUrl = https://chat.example.test\n" in done.stdout
    assert "ApiDomainTarget = d-" in done.stdout
    by_domain = cloud.http.post(f"{cloud.emulator_url}/chat/token", headers={"Host": "chat.example.test"})
    assert by_domain.status_code == 401
    assert cloud.http.post(open_address).status_code == 404
    assert operator.deploy(DomainName="", CertificateArn="").returncode == 0
    assert cloud.http.post(open_address).status_code == 401


def test_a_rollback_deploys_the_template_and_the_parameters_of_a_version(operator: Operator) -> None:
    first = operator.versions[0]
    assert operator.deploy(TokenTtlMinutes="30").returncode == 0
    assert operator.parameters["TokenTtlMinutes"] == "30"
    unapproved = operator.run("tools.deploy", "rollback", "--stage", "local", "--version", first)
    assert unapproved.returncode == 1
    assert operator.parameters["TokenTtlMinutes"] == "30"

    done = operator.rollback("--version", first)

    assert done.returncode == 0, done.stderr
    assert operator.parameters["TokenTtlMinutes"] == "60"
    assert operator.versions[0] == first


def test_a_version_that_nobody_deployed_is_refused(operator: Operator) -> None:
    done = operator.rollback("--version", "20200101T000000Z")

    assert done.returncode == 1
    assert "no version 20200101T000000Z" in done.stderr


def test_a_deployed_stack_is_deleted_and_deployed_again(cloud: LocalStack, operator: Operator) -> None:
    deleted = operator.run("tools.delete_stack", STACK, stdin=f"{STACK}\n")
    assert deleted.returncode == 0, deleted.stdout + deleted.stderr
    assert operator.run("tools.delete_stack", STACK, stdin=f"{STACK}\n").returncode != 0

    again = operator.deploy()

    assert again.returncode == 0, again.stderr
    assert operator.parameters["DeniedGroups"] == "banned,people we block"
    assert operator.stack["EnableTerminationProtection"] is True
