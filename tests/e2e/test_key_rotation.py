"""A new API key takes over without another deployment and without a failed mint."""

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.demo.chat_app import Tokens
from local.processes import wait_until
from local.stack import Deployment, LocalStack
from local.whop_simulator import Fault, Limits
from local.whop_simulator.control import SimulatorControl
from tests.e2e.confidential import Confidential
from tests.e2e.harness import KeyedLater, TeamApp, assert_problem, deploy_with, make_key, manage

# A key is read again at most every ten seconds, so one that was just read has to age before the test can change it.
_REREAD_SECONDS = 10.0
_THREADS = 20


def test_a_revoked_key_is_replaced_by_the_one_in_the_secret(
    cloud: LocalStack,
    keyed_later: KeyedLater,
    whop: SimulatorControl,
    confidential: Confidential,
    member_tokens: Tokens,
) -> None:
    app = keyed_later.app
    cloud.put_api_key(app.deployment, json.dumps({"api_key": make_key(cloud, confidential)}))
    assert whop.revoke_key(keyed_later.key)

    def rotated() -> bool:
        answer = app.mint(member_tokens.access)
        if answer.status_code != 200:
            assert_problem(answer, "whop_unauthorized")
        return answer.status_code == 200

    assert wait_until(rotated, _REREAD_SECONDS + 2, poll=0.5)


# -- rotate-data-key


def test_a_token_that_is_kept_outlives_the_data_key_that_is_current(
    cloud: LocalStack, reusing: TeamApp, whop: SimulatorControl
) -> None:
    token = reusing.sign_in(reusing.create_by_admin()).access
    # A wait that Whop told in another test may not be over.
    assert wait_until(lambda: reusing.mint(token).status_code == 200, 8, poll=2)

    added = manage(cloud, reusing.deployment.name, "rotate-data-key")
    again = manage(cloud, reusing.deployment.name, "rotate-data-key")

    assert (added.returncode, json.loads(added.stdout)["outcome"]) == (0, "added"), added.stderr
    assert (again.returncode, json.loads(again.stdout)["outcome"]) == (1, "too_early"), again.stderr
    whop.add_fault(Fault("access_tokens.create", "status", status=500, count=None))
    assert reusing.mint(token).status_code == 200


# -- rotate-key


@pytest.fixture(scope="module")
def rotating(cloud: LocalStack, stack: Deployment, confidential: Confidential) -> TeamApp:
    """An app on a stack for these tests alone."""
    return deploy_with(cloud, stack, confidential, "rotating", MintsPerMinute="600")


def secret(cloud: LocalStack, app: TeamApp) -> str:
    """The key that functions read."""
    return cloud.secretsmanager.get_secret_value(SecretId=app.deployment["WhopSecretArn"])["SecretString"]


def test_no_mint_fails_while_the_key_is_rotated_and_the_old_one_revoked(
    cloud: LocalStack, rotating: TeamApp, whop: SimulatorControl, confidential: Confidential
) -> None:
    whop.set_limits(Limits(calls=100_000))
    tokens = [rotating.sign_in(rotating.sign_up()).access for _ in range(_THREADS)]
    assert {rotating.mint(token).status_code for token in tokens} == {200}
    old, new = secret(cloud, rotating), make_key(cloud, confidential)
    minted, enough = Counter[int](), threading.Event()

    def mint_on(token: str) -> None:
        while not enough.is_set():
            minted[rotating.mint(token).status_code] += 1

    def count_on() -> None:
        """Wait until each thread has had time to mint once more."""
        until = minted.total() + 2 * _THREADS
        assert wait_until(lambda: minted.total() >= until, 60)

    with ThreadPoolExecutor(_THREADS) as threads:
        minting = [threads.submit(mint_on, token) for token in tokens]
        try:
            count_on()
            done = manage(cloud, "rotating", "rotate-key", pipe=new)
            count_on()
            whop.revoke_key(old)
            count_on()
        finally:
            enough.set()
        for each in minting:
            each.result()

    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (0, "rotated"), done.stderr
    assert minted.keys() == {200}, minted
    assert secret(cloud, rotating) == new
    assert new not in done.stdout + done.stderr


def test_an_aborted_rotation_leaves_the_old_key(
    cloud: LocalStack, rotating: TeamApp, confidential: Confidential
) -> None:
    before = secret(cloud, rotating)
    unknown = make_key(cloud, confidential)
    cloud.whop.revoke_key(unknown)

    done = manage(cloud, "rotating", "rotate-key", pipe=unknown)

    assert (done.returncode, json.loads(done.stdout)["outcome"]) == (1, "not_proven")
    assert secret(cloud, rotating) == before
    assert rotating.mint(rotating.sign_in(rotating.sign_up()).access).status_code == 200
