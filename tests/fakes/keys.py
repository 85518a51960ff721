"""A JWKS for tests of what comes after it."""

import itertools
from collections.abc import Callable

from whop_chat.cognito.jwks import COOLDOWN_SECONDS, JwkSet
from whop_chat.runtime.deadline import Deadline


def eager_jwks(fetch: Callable[[Deadline], bytes]) -> JwkSet:
    """A `JwkSet` that fetches for each unknown key id, so that it is refused at once: its time runs fast."""
    return JwkSet(fetch, clock=itertools.count(0.0, COOLDOWN_SECONDS).__next__)
