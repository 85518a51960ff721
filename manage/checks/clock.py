"""Whether the clock of this machine is right. AWS keeps the clocks of the functions."""

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment

# As the verifier allows for Cognito's clock.
_SKEW_SECONDS = 30


def check(deployment: Deployment) -> Iterator[Finding]:
    """A warning if this machine's clock differs from AWS's: the times that commands tell and compare are then wrong."""
    answer = deployment.stack.client("sts").get_caller_identity()
    told = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
    skew = time.time() - told
    if abs(skew) > _SKEW_SECONDS:
        yield Finding(
            Severity.WARNING,
            "clock_wrong",
            f"The clock of this machine is {abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'} AWS's. Times "
            "that commands tell, such as when a key can be revoked, are wrong by as much.",
            "Synchronise the clock.",
        )
