"""attach and detach, as an operator runs them."""

import copy
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from manage import __main__ as manage
from manage import pool_triggers
from tests.fakes import whole_pool
from tests.fakes.shared import Run
from tests.fakes.whole_pool import ACCOUNT, REGION
from tests.tools.manage.pools_at_aws import OURS, POOL_ID, QUEUE_URL, Aws, Pool
from whop_chat.sync.queue import decode

SOMEBODY = whole_pool.function("of-somebody-else")


class Operator:
    """Somebody who runs commands, and answers them when there is a terminal."""

    def __init__(self, aws: Aws, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> None:
        self._patch, self._capture = patch, capture
        patch.setattr(boto3, "Session", aws.session)
        patch.setenv("AWS_REGION", REGION)
        patch.setattr(pool_triggers, "_WAITS", (0.0, 0.0))

    def __call__(self, *arguments: str, says: str | None = None) -> Run:
        stdin = io.StringIO("" if says is None else f"{says}\n")
        self._patch.setattr(stdin, "isatty", lambda: says is not None)
        self._patch.setattr("sys.stdin", stdin)
        status = manage.main(["--stack", "chat", *arguments])
        return Run(status, *self._capture.readouterr())


@pytest.fixture
def aws() -> Aws:
    return Aws()


@pytest.fixture
def run(aws: Aws, capsys: pytest.CaptureFixture[str]) -> Iterator[Operator]:
    with pytest.MonkeyPatch.context() as patch:
        yield Operator(aws, patch, capsys)


def _everything(aws: Aws, **triggers: str) -> dict[str, Any]:
    """The pool as it was made, with these triggers too."""
    settings = copy.deepcopy(whole_pool.SETTINGS)
    settings["LambdaConfig"].update(triggers)
    return Pool(settings, name=aws.pool.name).described(POOL_ID)


# -- attach


def test_attach_adds_the_trigger_and_keeps_every_setting(aws: Aws, run: Operator) -> None:
    done = run("attach", POOL_ID, "--yes")

    assert (done.status, done.err) == (0, "")
    assert aws.pool.described(POOL_ID) == _everything(aws, PostConfirmation=OURS)
    assert aws.pool.mfa == whole_pool.MFA


def test_what_is_shown_is_what_changes_and_nothing_else(run: Operator) -> None:
    done = run("attach", POOL_ID, "--yes")

    marked = [line for line in done.out.splitlines() if line.startswith("  ")]
    assert marked == [f"  + LambdaConfig.PostConfirmation: {OURS}"]


def test_as_json_there_is_one_object_on_standard_output(run: Operator) -> None:
    assert run("--json", "attach", POOL_ID, "--yes").json == {
        "outcome": "attached",
        "stack": "chat",
        "user_pool_id": POOL_ID,
        "changes": [{"setting": "LambdaConfig.PostConfirmation", "before": None, "after": OURS}],
    }


def test_attaching_twice_changes_nothing_and_says_so(aws: Aws, run: Operator) -> None:
    run("attach", POOL_ID, "--yes")
    again = run("--json", "attach", POOL_ID)

    assert (again.status, again.json["outcome"], again.json["changes"]) == (0, "already_attached", [])
    assert len(aws.updates) == 1


def test_a_dry_run_shows_and_writes_nothing(aws: Aws, run: Operator) -> None:
    done = run("attach", POOL_ID, "--dry-run")

    assert done.status == 0
    assert f"+ LambdaConfig.PostConfirmation: {OURS}" in done.out
    assert aws.updates == []


@pytest.mark.parametrize("says", ["y", "yes", "Y"])
def test_at_a_terminal_it_asks_and_a_yes_writes(aws: Aws, run: Operator, says: str) -> None:
    assert run("attach", POOL_ID, says=says).status == 0
    assert len(aws.updates) == 1


@pytest.mark.parametrize("says", ["", "n", "no", "yeah, no"])
def test_anything_else_than_a_yes_writes_nothing(aws: Aws, run: Operator, says: str) -> None:
    assert run("attach", POOL_ID, says=says).status == 1
    assert aws.updates == []


def test_without_a_terminal_it_wants_yes_said_before(aws: Aws, run: Operator) -> None:
    done = run("attach", POOL_ID)

    assert (done.status, "--yes" in done.err) == (1, True)
    assert aws.updates == []


def test_the_region_is_the_one_given_else_the_one_of_the_environment(
    run: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")

    assert "the credentials are for eu-west-1" in run("attach", POOL_ID, "--dry-run").err
    assert run("--region", REGION, "attach", POOL_ID, "--dry-run").status == 0


def test_another_function_stays_and_the_lines_for_it_are_printed(aws: Aws, run: Operator) -> None:
    aws.pool.settings["LambdaConfig"]["PostConfirmation"] = SOMEBODY
    refused = run("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["outcome"], refused.json["function"]) == (1, "other_function", SOMEBODY)
    assert aws.updates == []
    assert json.loads(refused.json["iam_statement"]) == {
        "Effect": "Allow",
        "Action": "sqs:SendMessage",
        "Resource": f"arn:aws:sqs:{REGION}:{ACCOUNT}:chat-SyncQueue-1",
    }
    for_a_person = run("attach", POOL_ID, "--yes").err
    assert refused.json["python"] in for_a_person
    assert refused.json["iam_statement"] in for_a_person


class _Queue:
    def __init__(self, *, broken: bool = False) -> None:
        self.sent: list[dict[str, str]] = []
        self._broken = broken

    def send_message(self, **message: str) -> None:
        if self._broken:
            raise OSError("no way")
        self.sent.append(message)


@pytest.fixture
def announce(aws: Aws, run: Operator, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the printed lines define, before a queue."""
    aws.pool.settings["LambdaConfig"]["PostConfirmation"] = SOMEBODY
    lines = run("--json", "attach", POOL_ID).json["python"]

    def make(queue: _Queue) -> Any:
        monkeypatch.setattr(boto3, "client", lambda *_, **__: queue)
        names: dict[str, Any] = {}
        exec(lines, names)  # noqa: S102 - printed by the command above
        return names["announce"]

    return make


def _event(source: str = "PostConfirmation_ConfirmSignUp") -> dict[str, Any]:
    user = {"userAttributes": {"sub": "0e2f-sub"}}
    return {"triggerSource": source, "userPoolId": POOL_ID, "userName": "ada", "request": user}


def test_the_printed_lines_send_what_the_queue_s_reader_understands(announce: Any) -> None:
    queue = _Queue()
    announce(queue)(_event())

    (message,) = queue.sent
    user = decode(message["MessageBody"]).user
    assert (message["QueueUrl"], user.pool_id, user.username, user.sub) == (QUEUE_URL, POOL_ID, "ada", "0e2f-sub")


def test_the_printed_lines_announce_sign_ups_only_and_never_fail_one(announce: Any) -> None:
    queue = _Queue()
    announce(queue)(_event("PostConfirmation_ConfirmForgotPassword"))
    announce(_Queue(broken=True))(_event())

    assert queue.sent == []


def test_our_own_function_without_its_alias_is_replaced(aws: Aws, run: Operator) -> None:
    """Cognito may call the alias, and nothing else of the function."""
    aws.pool.settings["LambdaConfig"]["PostConfirmation"] = OURS.removesuffix(":live")

    assert run("attach", POOL_ID, "--yes").status == 0
    assert aws.pool.described(POOL_ID) == _everything(aws, PostConfirmation=OURS)


@pytest.mark.parametrize(
    ("pool_id", "why"),
    [
        ("us-east-1_Other", f"was deployed for user pool {POOL_ID}"),
        ("eu-west-1_AbCdEfGhI", f"was deployed for user pool {POOL_ID}"),
        ("people", f"was deployed for user pool {POOL_ID}"),
    ],
)
def test_attach_refuses_a_pool_that_the_stack_was_not_deployed_for(
    aws: Aws, run: Operator, pool_id: str, why: str
) -> None:
    refused = run("attach", pool_id, "--yes")

    assert (refused.status, why in refused.err) == (1, True)
    assert aws.updates == []


@pytest.mark.parametrize("command", ["attach", "detach"])
def test_the_pool_that_the_stack_made_is_left_to_the_template(aws: Aws, run: Operator, command: str) -> None:
    aws.parameters["UserPoolId"] = ""
    refused = run(command, POOL_ID, "--yes")

    assert (refused.status, "PoolTriggers" in refused.err) == (1, True)
    assert aws.updates == []


def test_a_pool_of_another_account_is_refused(aws: Aws, run: Operator) -> None:
    aws.pool.fixed["Arn"] = f"arn:aws:cognito-idp:{REGION}:999999999999:userpool/{POOL_ID}"
    refused = run("attach", POOL_ID, "--yes")

    assert (refused.status, "is of account 999999999999" in refused.err) == (1, True)


# -- detach


def test_detach_gives_back_the_pool_as_it_was(aws: Aws, run: Operator) -> None:
    before = aws.pool.described(POOL_ID)
    run("attach", POOL_ID, "--yes")
    done = run("--json", "detach", "--yes")

    assert (done.status, done.json["outcome"]) == (0, "detached")
    assert done.json["changes"] == [{"setting": "LambdaConfig.PostConfirmation", "before": OURS, "after": None}]
    assert aws.pool.described(POOL_ID) == before
    assert aws.pool.mfa == whole_pool.MFA


def test_the_last_trigger_of_a_pool_can_be_detached(aws: Aws, run: Operator) -> None:
    aws.pool.settings["LambdaConfig"] = {"PostConfirmation": OURS}

    assert run("detach", POOL_ID, "--yes").status == 0
    assert aws.pool.settings["LambdaConfig"] == {}


def test_where_nothing_of_ours_is_there_is_nothing_to_detach(aws: Aws, run: Operator) -> None:
    done = run("--json", "detach")

    assert (done.status, done.json["outcome"]) == (0, "not_attached")
    assert aws.updates == []


def test_detach_leaves_another_function_alone(aws: Aws, run: Operator) -> None:
    aws.pool.settings["LambdaConfig"]["PostConfirmation"] = SOMEBODY
    refused = run("detach", "--yes")

    assert (refused.status, SOMEBODY in refused.err) == (1, True)
    assert aws.updates == []


def test_a_pool_that_the_stack_was_deployed_for_earlier_can_be_detached(aws: Aws, run: Operator) -> None:
    aws.pools["us-east-1_Earlier"] = earlier = Pool()
    earlier.settings["LambdaConfig"]["PostConfirmation"] = OURS

    assert run("detach", "us-east-1_Earlier", "--yes").status == 0
    assert earlier.settings["LambdaConfig"] == whole_pool.SETTINGS["LambdaConfig"]


@pytest.mark.parametrize(
    ("pool_id", "why"),
    [
        ("eu-west-1_AbCdEfGhI", "is in eu-west-1, and stack chat is in us-east-1"),
        ("people", "people is no user pool id"),
        ("us-east-1_Nobody", "There is no user pool us-east-1_Nobody"),
    ],
)
def test_detach_refuses_a_pool_that_is_elsewhere(run: Operator, pool_id: str, why: str) -> None:
    refused = run("detach", pool_id, "--yes")

    assert (refused.status, why in refused.err) == (1, True)


# -- what goes wrong between reading and writing, and after


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        (lambda pool: pool.settings.update(DeletionProtection="INACTIVE"), "DeletionProtection"),
        (lambda pool: pool.mfa.update(MfaConfiguration="ON"), "GetUserPoolMfaConfig.MfaConfiguration"),
        (lambda pool: setattr(pool, "name", "renamed"), "PoolName"),
    ],
    ids=["a setting", "an MFA setting", "the name"],
)
def test_a_pool_that_changes_while_the_operator_looks_is_not_written(
    aws: Aws, run: Operator, change: Callable[[Pool], None], setting: str
) -> None:
    # The first look is shown, the second is the one before the write.
    aws.before["DescribeUserPool"] = lambda: aws.before.update(DescribeUserPool=lambda: change(aws.pool))
    refused = run("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["outcome"]) == (1, "changed_meanwhile")
    assert [each["setting"] for each in refused.json["differences"]] == [setting]
    assert aws.updates == []


def test_what_the_update_lost_is_told_and_put_back(aws: Aws, run: Operator) -> None:
    before = aws.pool.described(POOL_ID)
    aws.forgets = [{"DeviceConfiguration"}]
    refused = run("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["outcome"]) == (1, "restored")
    assert [each["setting"] for each in refused.json["differences"]] == ["DeviceConfiguration"]
    assert aws.pool.described(POOL_ID) == before


def test_mfa_settings_that_the_update_lost_are_put_back(aws: Aws, run: Operator) -> None:
    aws.forgets = [{"SoftwareTokenMfaConfiguration"}]
    refused = run("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["outcome"]) == (1, "restored")
    assert aws.pool.mfa == whole_pool.MFA


def test_what_cannot_be_put_back_is_told_to_be_mended_by_hand(aws: Aws, run: Operator) -> None:
    aws.forgets = [{"DeviceConfiguration"}, {"DeviceConfiguration"}]
    refused = run("attach", POOL_ID, "--yes")

    assert refused.status == 1
    assert "mended by hand:\n  - DeviceConfiguration: {" in refused.err


def test_a_restoration_that_fails_is_told_with_what_was_lost(aws: Aws, run: Operator) -> None:
    aws.forgets = [{"DeviceConfiguration"}]

    def let_only_one_through() -> None:
        aws.before["UpdateUserPool"] = lambda: aws.denied.add("UpdateUserPool")

    aws.before["UpdateUserPool"] = let_only_one_through
    refused = run("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["outcome"]) == (1, "not_restored")
    assert [each["setting"] for each in refused.json["differences"]] == ["DeviceConfiguration"]
    assert "UpdateUserPool: AccessDeniedException" in refused.json["error"]


def test_a_pool_that_cannot_be_read_again_is_told_to_be_unverified(aws: Aws, run: Operator) -> None:
    aws.before["UpdateUserPool"] = lambda: aws.denied.add("DescribeUserPool")
    refused = run("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["outcome"]) == (1, "not_verified")
    assert aws.pool.settings["LambdaConfig"]["PostConfirmation"] == OURS


def test_an_answer_that_is_a_moment_old_is_no_alarm(aws: Aws, run: Operator) -> None:
    aws.stale_answers = 2

    assert run("attach", POOL_ID, "--yes").status == 0
    assert len(aws.updates) == 1


def test_what_cognito_refuses_is_told_in_its_words(aws: Aws, run: Operator) -> None:
    lambdas = aws.pool.settings["LambdaConfig"]
    lambdas["PreTokenGeneration"] = whole_pool.function("some-other")
    refused = run("--json", "attach", POOL_ID, "--yes")

    assert (refused.status, refused.json["outcome"]) == (1, "failed")
    assert "UpdateUserPool: InvalidParameterException: PreTokenGeneration" in refused.json["error"]
    assert "PostConfirmation" not in aws.pool.settings["LambdaConfig"]


def test_an_error_of_aws_is_one_line_and_no_stack(aws: Aws, run: Operator) -> None:
    aws.denied.add("GetUserPoolMfaConfig")
    refused = run("attach", POOL_ID, "--yes")

    assert (refused.status, refused.out) == (1, "")
    assert refused.err == (
        "GetUserPoolMfaConfig: AccessDeniedException: not authorized to perform: GetUserPoolMfaConfig\n"
    )
