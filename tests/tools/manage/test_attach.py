"""attach, as an operator runs it, and the code that it prints."""

import copy
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.fakes import whole_pool
from tests.fakes.whole_pool import ACCOUNT, REGION
from tests.tools.manage.pools_at_aws import OURS, POOL_ID, QUEUE_URL, Aws, Operator, Pool
from whop_chat.cognito.user import UserRef
from whop_chat.sync.queue import Source, decode

SOMEBODY = whole_pool.function("of-somebody-else")


def _everything(aws: Aws, **triggers: str) -> dict[str, Any]:
    """The pool as it was created, with these triggers added."""
    settings = copy.deepcopy(whole_pool.SETTINGS)
    settings["LambdaConfig"].update(triggers)
    return Pool(settings, name=aws.pool.name).described(POOL_ID)


def test_attach_adds_the_trigger_and_keeps_every_setting(aws: Aws, operate: Operator) -> None:
    done = operate("attach", POOL_ID, "--yes")

    assert (done.status, done.err) == (0, "")
    assert aws.pool.described(POOL_ID) == _everything(aws, PostConfirmation=OURS)
    assert aws.pool.mfa == whole_pool.MFA


def test_the_change_is_shown_and_nothing_else(operate: Operator) -> None:
    done = operate("attach", POOL_ID, "--yes")

    marked = [line for line in done.out.splitlines() if line.startswith("  ")]
    assert marked == [f"  + LambdaConfig.PostConfirmation: {OURS}"]


def test_as_json_there_is_one_object_on_standard_output(operate: Operator) -> None:
    assert operate("--json", "attach", POOL_ID, "--yes").json == {
        "outcome": "attached",
        "stack": "chat",
        "user_pool_id": POOL_ID,
        "changes": [{"setting": "LambdaConfig.PostConfirmation", "before": None, "after": OURS}],
    }


@pytest.mark.parametrize(
    ("of_the_pool", "parameter"),
    [
        ({"Type": "UPDATED"}, {}),
        ({"Type": "ORIGINAL"}, {"UserPoolIssuer": "updated"}),
        ({}, {"UserPoolIssuer": "updated"}),
    ],
    ids=str,
)
def test_a_pool_with_another_issuer_than_the_stack_is_not_attached(
    aws: Aws, operate: Operator, of_the_pool: dict[str, str], parameter: dict[str, str]
) -> None:
    aws.pool.settings["IssuerConfiguration"] = of_the_pool
    aws.parameters = {"UserPoolId": POOL_ID, **parameter}
    refused = operate("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["outcome"]) == (1, "other_issuer")
    assert aws.updates == []


def test_attaching_twice_writes_once(aws: Aws, operate: Operator) -> None:
    operate("attach", POOL_ID, "--yes")
    again = operate("--json", "attach", POOL_ID)

    assert (again.status, again.json["outcome"], again.json["changes"]) == (0, "already_attached", [])
    assert len(aws.updates) == 1


def test_a_dry_run_shows_the_change_and_writes_nothing(aws: Aws, operate: Operator) -> None:
    done = operate("attach", POOL_ID, "--dry-run")

    assert done.status == 0
    assert f"+ LambdaConfig.PostConfirmation: {OURS}" in done.out
    assert aws.updates == []


@pytest.mark.parametrize("says", ["y", "yes", "Y"])
def test_a_yes_at_the_terminal_writes(aws: Aws, operate: Operator, says: str) -> None:
    assert operate("attach", POOL_ID, says=says).status == 0
    assert len(aws.updates) == 1


@pytest.mark.parametrize("says", ["", "n", "no", "yeah, no"])
def test_anything_else_than_a_yes_writes_nothing(aws: Aws, operate: Operator, says: str) -> None:
    assert operate("attach", POOL_ID, says=says).status == 1
    assert aws.updates == []


def test_without_a_terminal_yes_is_required(aws: Aws, operate: Operator) -> None:
    done = operate("attach", POOL_ID)

    assert (done.status, "--yes" in done.err) == (1, True)
    assert aws.updates == []


def test_another_function_stays_and_code_for_it_is_printed(aws: Aws, operate: Operator) -> None:
    aws.pool.settings["LambdaConfig"]["PostConfirmation"] = SOMEBODY
    refused = operate("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["outcome"], refused.json["function"]) == (1, "other_function", SOMEBODY)
    assert aws.updates == []
    assert json.loads(refused.json["iam_statement"]) == {
        "Effect": "Allow",
        "Action": "sqs:SendMessage",
        "Resource": f"arn:aws:sqs:{REGION}:{ACCOUNT}:chat-SyncQueue-1",
    }
    for_a_person = operate("attach", POOL_ID, "--yes").err
    assert refused.json["python"] in for_a_person
    assert refused.json["iam_statement"] in for_a_person


def test_the_statement_for_an_encrypted_queue_has_the_key_too(aws: Aws, operate: Operator) -> None:
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234"
    aws.pool.settings["LambdaConfig"]["PostConfirmation"] = SOMEBODY
    aws.parameters["KmsKeyArn"] = key

    send, encrypt = json.loads(operate("--json", "attach", POOL_ID).json["iam_statement"])
    assert (send["Action"], encrypt["Action"]) == ("sqs:SendMessage", ["kms:Decrypt", "kms:GenerateDataKey"])
    assert encrypt["Resource"] == key


class _Queue:
    def __init__(self, *, broken: bool = False) -> None:
        self.sent: list[dict[str, str]] = []
        self._broken = broken

    def send_message(self, **message: str) -> None:
        if self._broken:
            raise OSError("no way")
        self.sent.append(message)


@pytest.fixture
def enqueue(aws: Aws, operate: Operator, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the function that the printed code defines, with a given queue."""
    aws.pool.settings["LambdaConfig"]["PostConfirmation"] = SOMEBODY
    code = operate("--json", "attach", POOL_ID).json["python"]

    def make(queue: _Queue) -> Any:
        monkeypatch.setattr(boto3, "client", lambda *_, **__: queue)
        names: dict[str, Any] = {}
        exec(code, names)  # noqa: S102 - printed by the command above
        return names["enqueue_user"]

    return make


def _event(source: str = "PostConfirmation_ConfirmSignUp") -> dict[str, Any]:
    user = {"userAttributes": {"sub": "0e2f-sub"}}
    caller = {"callerContext": {"clientId": "client-1"}}
    return {"triggerSource": source, "userPoolId": POOL_ID, "userName": "ada", "request": user, **caller}


def test_the_printed_code_sends_a_readable_message(enqueue: Any) -> None:
    queue = _Queue()
    enqueue(queue)(_event())

    (message,) = queue.sent
    sent = decode(message["MessageBody"])
    assert (message["QueueUrl"], sent.user) == (QUEUE_URL, UserRef(POOL_ID, "0e2f-sub", "ada"))
    assert (sent.source, sent.client_id) == (Source.SIGN_UP, "client-1")


def test_the_printed_code_sends_a_sign_in_as_one(enqueue: Any) -> None:
    queue = _Queue()
    enqueue(queue)(_event("PostAuthentication_Authentication"))

    assert [decode(message["MessageBody"]).source for message in queue.sent] == [Source.SIGN_IN]


def test_the_printed_code_for_node_is_a_module(aws: Aws, operate: Operator, tmp_path: Path) -> None:
    aws.pool.settings["LambdaConfig"]["PostConfirmation"] = SOMEBODY
    module = tmp_path / "enqueue.mjs"
    module.write_text(operate("--json", "attach", POOL_ID).json["node"])

    assert json.dumps(QUEUE_URL) in module.read_text()
    node = shutil.which("node")
    if node:
        subprocess.run([node, "--check", str(module)], check=True)


def test_the_printed_code_sends_sign_ups_and_never_fails(enqueue: Any) -> None:
    queue = _Queue()
    enqueue(queue)(_event("PostConfirmation_ConfirmForgotPassword"))
    enqueue(_Queue(broken=True))(_event())

    assert queue.sent == []


def test_our_own_function_without_its_alias_is_replaced(aws: Aws, operate: Operator) -> None:
    """Cognito may call the alias only."""
    aws.pool.settings["LambdaConfig"]["PostConfirmation"] = OURS.removesuffix(":live")

    assert operate("attach", POOL_ID, "--yes").status == 0
    assert aws.pool.described(POOL_ID) == _everything(aws, PostConfirmation=OURS)


@pytest.mark.parametrize(
    ("pool_id", "why"),
    [
        ("us-east-1_Other", f"was deployed for user pool {POOL_ID}"),
        ("eu-west-1_AbCdEfGhI", f"was deployed for user pool {POOL_ID}"),
        ("people", f"was deployed for user pool {POOL_ID}"),
    ],
)
def test_attach_refuses_a_pool_of_another_deployment(aws: Aws, operate: Operator, pool_id: str, why: str) -> None:
    refused = operate("attach", pool_id, "--yes")

    assert (refused.status, why in refused.err) == (1, True)
    assert aws.updates == []


@pytest.mark.parametrize("command", ["attach", "detach"])
def test_the_pool_of_the_stack_is_left_to_the_template(aws: Aws, operate: Operator, command: str) -> None:
    aws.parameters["UserPoolId"] = ""
    refused = operate(command, POOL_ID, "--yes")

    assert (refused.status, "PoolTriggers" in refused.err) == (1, True)
    assert aws.updates == []


def test_a_pool_of_another_account_is_refused(aws: Aws, operate: Operator) -> None:
    aws.pool.fixed["Arn"] = f"arn:aws:cognito-idp:{REGION}:999999999999:userpool/{POOL_ID}"
    refused = operate("attach", POOL_ID, "--yes")

    assert (refused.status, "is of account 999999999999" in refused.err) == (1, True)


# Sign-ins too


def test_with_sign_ins_both_triggers_are_attached_and_detached(aws: Aws, operate: Operator) -> None:
    aws.parameters["PoolTriggers"] = "sign-up-and-sign-in"
    del aws.pool.settings["LambdaConfig"]["PostAuthentication"]
    before = aws.pool.described(POOL_ID)

    assert operate("attach", POOL_ID, "--yes").status == 0
    assert aws.pool.described(POOL_ID) == _everything(aws, PostConfirmation=OURS, PostAuthentication=OURS)
    # Whatever the parameter says by then.
    aws.parameters["PoolTriggers"] = "sign-up"
    assert operate("detach", "--yes").status == 0
    assert aws.pool.described(POOL_ID) == before


def test_another_function_at_sign_ins_stays(aws: Aws, operate: Operator) -> None:
    aws.parameters["PoolTriggers"] = "sign-up-and-sign-in"
    aws.pool.settings["LambdaConfig"]["PostAuthentication"] = SOMEBODY
    refused = operate("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["trigger"], aws.updates) == (1, "PostAuthentication", [])


# Termination protection


def test_the_stack_is_protected_while_a_pool_names_its_function(aws: Aws, operate: Operator) -> None:
    operate("attach", POOL_ID, "--dry-run")
    assert not aws.protected
    operate("attach", POOL_ID, "--yes")
    assert aws.protected
    aws.protected = False
    operate("attach", POOL_ID, "--dry-run")
    assert not aws.protected
    operate("attach", POOL_ID)
    assert aws.protected
    operate("detach", "--dry-run")
    assert aws.protected
    operate("detach", "--yes")
    assert not aws.protected


def test_a_stack_that_cannot_be_protected_gets_no_pool(aws: Aws, operate: Operator) -> None:
    aws.denied.add("UpdateTerminationProtection")
    refused = operate("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["outcome"], aws.updates) == (1, "not_protected", [])
