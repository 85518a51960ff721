"""A first day, as docs/local.md has it: its commands, on the cloud that ``make local`` starts.

test_make_deploy has the details of a deployment, test_kept_table those of a table that outlived its stack, and
test_alarms every alarm.
"""

import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config

from local.processes import Command, running, wait_until
from local.sam import ROOT, interpreter
from local.stack import LocalStack
from local.whop_simulator.control import SimulatorControl

STACK = "whop-chat-local"
EMAIL = "ada@people.example.test"
_START_SECONDS = 60.0
# `make local` with other files than those of somebody who runs it now.
_SERVE = "import pathlib, sys; from local.__main__ import main; sys.exit(main(pathlib.Path(sys.argv[1])))"


class Terminal:
    """The second terminal of the page: it has read the file that ``make local`` wrote."""

    def __init__(self, folder: Path, built: Path) -> None:
        self._folder, self._built = folder, built
        self.environment = _sourced(folder / "environment")
        self.key_file = folder / "whop-api-key.txt"

    def make_deploy(self, **given: str) -> subprocess.CompletedProcess[str]:
        """``make deploy STAGE=local … ARGS=--yes``: of this tree, built once for all tests."""
        files = ("--built", str(self._built), "--answers", str(self._folder / "answers"))
        return self._done(interpreter("sam"), "tools.deploy", "deploy", "--stage", "local", "--yes", *files, **given)

    def make_rollback(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``make rollback STAGE=local … ARGS=--yes``."""
        return self._done(interpreter("sam"), "tools.deploy", "rollback", "--stage", "local", "--yes", *arguments)

    def make_delete(self) -> subprocess.CompletedProcess[str]:
        """``make delete STACK=whop-chat-local``, and its name once more."""
        return self._done(interpreter("sam"), "tools.delete_stack", STACK, stdin=f"{STACK}\n")

    def make_alarms(self) -> list[list[str]]:
        """The lines of ``make alarms STACK=whop-chat-local``, as words."""
        done = self._done(Path(sys.executable), "tools.watch", STACK)
        return [line.split() for line in done.stdout.splitlines()]

    def make_manage(self, *arguments: str) -> str:
        """What ``make manage ARGS="--stack whop-chat-local …"`` says."""
        path = {"PYTHONPATH": "layers/whop_chat"}
        return self._done(Path(sys.executable), "manage", "--stack", STACK, *arguments, **path).stdout

    def out(self, output: str) -> str:
        """An output of the stack."""
        (stack,) = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return str({each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}[output])

    def parameter(self, name: str) -> str:
        """A parameter of the stack."""
        (stack,) = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return str({each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}[name])

    def api(self, path: str) -> httpx.Response:
        """``GET`` of the API at its address on this machine."""
        api_id = self.out("ApiUrl").split("/")[2].split(".")[0]
        url = f"{self.environment['AWS_ENDPOINT_URL']}/_aws/execute-api/{api_id}/$default{path}"
        return httpx.get(url, trust_env=False, timeout=30)

    def check(self) -> Any:
        """Check the readiness now; the result of each part."""
        answer = self.client("lambda").invoke(FunctionName=self.out("CheckReadinessFunctionName"))
        return json.loads(answer["Payload"].read())["checks"]

    def is_ready(self, status: int, **checks: str) -> bool:
        """Whether ``GET /health/ready`` answers so within its ten seconds."""

        def answers() -> bool:
            answer = self.api("/health/ready")
            return answer.status_code == status and checks.items() <= answer.json().get("checks", {}).items()

        return wait_until(answers, 15, poll=0.5)

    def store_key(self) -> None:
        """Put the key of the file into the secret."""
        secret = self.key_file.read_text().strip()
        self.client("secretsmanager").put_secret_value(SecretId=self.out("WhopSecretArn"), SecretString=secret)

    def client(self, service: str) -> Any:
        """A client of boto3 with the variables of this terminal."""
        session: Any = boto3.session.Session(
            self.environment["AWS_ACCESS_KEY_ID"],
            self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name=self.environment["AWS_REGION"],
        )
        return session.client(service, endpoint_url=self.environment["AWS_ENDPOINT_URL"], config=Config(proxies={}))

    def _done(
        self, python: Path, module: str, *arguments: str, stdin: str = "", **given: str
    ) -> subprocess.CompletedProcess[str]:
        state = self._folder / "sam"
        state.mkdir(exist_ok=True)
        # A fresh state folder would ask the package index for a newer version.
        (state / "metadata.json").write_text('{"lastVersionCheck": 32503680000.0}')
        sam = {"SAM_CLI_TELEMETRY": "0", "SAM_CLI_POLL_DELAY": "0.2", "__SAM_CLI_APP_DIR": str(state)}
        done = subprocess.run(
            [str(python), "-m", module, *arguments],
            cwd=ROOT,
            env=self.environment | sam | given,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done


def _clean() -> dict[str, str]:
    return {"PATH": f"{Path(sys.base_prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}", "LANG": "C.UTF-8"}


def _sourced(file: Path) -> dict[str, str]:
    """The variables of a shell of an operator with an AWS profile, after it has read ``file``."""
    profile = {"AWS_PROFILE": "prod", "AWS_SESSION_TOKEN": "of-the-profile"}
    listed = subprocess.run(
        ["/bin/sh", "-c", '. "$0" && env -0', str(file)], env=_clean() | profile, capture_output=True, check=True
    )
    return dict(each.split("=", 1) for each in listed.stdout.decode().rstrip("\0").split("\0"))


@pytest.fixture(scope="module")
def terminal(cloud: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    folder = tmp_path_factory.mktemp("local")
    command = Command([sys.executable, "-c", _SERVE, str(folder)], _clean(), folder=ROOT, log=folder / "local.log")
    with running(command) as served:
        served.wait_until((folder / "environment").exists, _START_SECONDS)
        yield Terminal(folder, cloud.build())
        served.process.terminate()
        assert served.process.wait(timeout=30) == 0
    assert not (folder / "environment").exists()
    assert not (folder / "whop-api-key.txt").exists()


@pytest.fixture(scope="module")
def simulator(terminal: Terminal) -> Iterator[SimulatorControl]:
    with SimulatorControl(terminal.environment["WhopBaseUrl"]) as simulator:
        yield simulator


def test_the_file_leads_to_no_account(terminal: Terminal) -> None:
    assert {"AWS_PROFILE", "AWS_SESSION_TOKEN"} & terminal.environment.keys() == set()
    assert terminal.environment["AWS_CONFIG_FILE"] == terminal.environment["AWS_SHARED_CREDENTIALS_FILE"] == os.devnull


def test_a_deployed_stack_links_its_first_user(terminal: Terminal) -> None:
    terminal.make_deploy(AllowedOrigins="http://localhost:3000", AlarmEmail="ops@example.test")
    terminal.store_key()
    assert terminal.api("/health").json()["status"] == "ok"
    terminal.check()
    assert terminal.is_ready(200, api_key="ok")

    cognito, app = terminal.client("cognito-idp"), {"ClientId": terminal.out("UserPoolClientId"), "Username": EMAIL}
    attributes = [{"Name": "email", "Value": EMAIL}]
    cognito.sign_up(**app, Password=f"Aa1-{secrets.token_urlsafe(12)}", UserAttributes=attributes)
    cognito.confirm_sign_up(**app, ConfirmationCode="123456")

    assert wait_until(lambda: "linked: " in terminal.make_manage("status", EMAIL), 20, poll=0.5)


def test_a_revoked_key_shows_in_the_alarms_and_at_health_ready(terminal: Terminal) -> None:
    assert "ALARM" not in {line[0] for line in terminal.make_alarms()}
    keys, revoked = f"{terminal.environment['WhopBaseUrl']}/_simulator/keys", terminal.key_file.read_text()
    assert httpx.request("DELETE", keys, json={"key": revoked}, trust_env=False).is_success

    terminal.check()

    ringing, reason, *_ = terminal.make_alarms()
    assert ringing == ["ALARM", "KeyRefusedAlarm"]
    assert reason[-1] == "docs/runbook.md#key-refused"
    assert terminal.is_ready(503, api_key="refused")
    terminal.key_file.write_text(f"apik_{secrets.token_hex(20)}\n")
    new = {"key": terminal.key_file.read_text().strip(), "company_id": terminal.environment["WhopCompanyId"]}
    assert httpx.post(keys, json=new, trust_env=False).is_success
    terminal.store_key()
    # The secret is read again within ten seconds of a refusal.
    assert wait_until(lambda: terminal.check()["api_key"] == "ok", 15, poll=1)
    assert terminal.is_ready(200, api_key="ok")


def test_a_regretted_deployment_is_rolled_back(terminal: Terminal) -> None:
    terminal.make_deploy(TokenTtlMinutes="5")
    assert terminal.parameter("TokenTtlMinutes") == "5"
    regretted, first = re.findall(r"\d{8}T\d{6}Z\S*", terminal.make_rollback().stdout)
    assert first < regretted

    terminal.make_rollback("--version", first)

    assert terminal.parameter("TokenTtlMinutes") == "60"
    terminal.check()
    assert terminal.is_ready(200, api_key="ok")


def test_a_stack_that_was_deleted_is_deployed_again_for_the_same_users(
    terminal: Terminal, simulator: SimulatorControl
) -> None:
    before = terminal.make_manage("status", EMAIL)
    (line,) = re.findall(r"UsersTableName=.*", terminal.make_delete().stdout)

    terminal.make_deploy(**dict(each.split("=") for each in line.split()))
    terminal.store_key()
    terminal.make_manage("attach", terminal.out("UserPoolId"), "--yes")

    assert terminal.make_manage("status", EMAIL).splitlines()[:4] == before.splitlines()[:4]
    assert [each["email"] for each in simulator.state()["accounts"]].count(EMAIL) == 1
    assert "problem" not in terminal.make_manage("doctor")
