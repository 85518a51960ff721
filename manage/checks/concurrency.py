"""Whether the account's concurrency is enough for the functions, and whether ``mint_token`` can use it all up."""

from collections.abc import Iterator

from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment

# Lambda leaves at least this many unreserved (AWS, "Configuring reserved concurrency"). Some new accounts have only 10.
_UNRESERVED = 100
_QUOTA = 'Ask AWS for more of the quota "Concurrent executions" of Lambda (L-B99A9384).'


def check(deployment: Deployment) -> Iterator[Finding]:
    """Compare MintConcurrency with the account's limit in this region."""
    limit = deployment.stack.client("lambda").get_account_settings()["AccountLimit"]
    total, unreserved = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]
    reserved = int(deployment.stack.parameters.get("MintConcurrency", "0"))
    most = max(total - _UNRESERVED, 0)
    if unreserved < _UNRESERVED:
        yield Finding(
            Severity.WARNING,
            "account_concurrency_low",
            f"All functions of the account without reserved concurrency share {unreserved} concurrent executions. "
            "If they run out, on_signup does not start, and sign-ups fail.",
            _QUOTA,
        )
    if reserved > most:
        yield Finding(
            Severity.PROBLEM,
            "mint_concurrency_above_limit",
            f"MintConcurrency is {reserved}, but the account has {total} concurrent executions and Lambda keeps "
            f"{_UNRESERVED} of them unreserved. CloudFormation cannot apply this value.",
            f"Set MintConcurrency to {most} or less. {_QUOTA}",
        )
    elif not reserved:
        yield Finding(
            Severity.INFO,
            "mint_concurrency_unbounded",
            f"MintConcurrency is 0, so mint_token can use all {unreserved} unreserved executions of the account.",
            'docs/deploy.md weighs this value ("Concurrency").',
        )
    else:
        yield Finding(
            Severity.INFO,
            "mint_concurrency",
            f"mint_token has {reserved} of the account's {total} concurrent executions. Other functions without "
            f"reserved concurrency share {unreserved}.",
        )
