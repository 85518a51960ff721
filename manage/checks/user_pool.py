"""Settings of the user pool that the design relies on: verified addresses, and a second factor."""

from collections.abc import Iterator

from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment
from manage.pool_settings import UserPool


def check(deployment: Deployment) -> Iterator[Finding]:
    """A warning for each setting that weakens a pool. Raises `Refused` and botocore's errors."""
    stack = deployment.stack
    pool = UserPool(stack.cognito, deployment.pool_id).read()
    enrols_verified = stack.enrols_users and stack.parameters.get("EnrolmentEmail", "verified") == "verified"
    if enrols_verified and "email" not in pool.settings.get("AutoVerifiedAttributes", ()):
        yield Finding(
            Severity.WARNING,
            "email_not_verified",
            f"User pool {pool.name} does not verify the addresses of users who sign up. With EnrolmentEmail=verified "
            "they get no token (no_verified_email), until something else verifies the address.",
            "Let the pool verify the attribute email, or deploy with EnrolmentEmail=alias.",
        )
    if pool.mfa.get("MfaConfiguration", "OFF") == "OFF":
        yield Finding(
            Severity.WARNING,
            "mfa_off",
            f"Users of pool {pool.name} cannot protect their sign-in by a second factor. Whoever has a password reads "
            "the chats of its user.",
            "Let users have MFA, by an authenticator app or a passkey.",
        )
