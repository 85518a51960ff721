"""A new API key takes over without another deployment."""

import json

from local.demo.chat_app import Tokens
from local.processes import wait_until
from local.stack import LocalStack
from local.whop_simulator.control import SimulatorControl
from tests.e2e.confidential import Confidential
from tests.e2e.harness import KeyedLater, assert_problem, make_key

# A key is read again at most every ten seconds, so one that was just read has to age before the test can change it.
_REREAD_SECONDS = 10.0


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
