"""``doctor``: what is wrong with a deployment, what it means, and what to do."""

import argparse
from collections.abc import Callable, Iterable

from manage.checks import (
    alarms,
    app_clients,
    clock,
    concurrency,
    data_keys,
    environment,
    gateway,
    key_set,
    linked_accounts,
    origins,
    queues,
    settings,
    termination,
    triggers,
    user_pool,
    user_pool_issuer,
    users_table,
    whop_key,
)
from manage.checks.finding import Finding, Severity
from manage.console import Console
from manage.deployment import Deployment
from manage.errors import AWS_ERRORS, Refused, reason
from manage.stack import Stack

NAME = "doctor"
HELP = "check the deployment, and say what to do about each finding"

CHECKS: tuple[Callable[[Deployment], Iterable[Finding]], ...] = (
    settings.check,
    environment.check,
    whop_key.check,
    gateway.check,
    origins.check,
    key_set.check,
    user_pool.check,
    user_pool_issuer.check,
    app_clients.check,
    triggers.check,
    termination.check,
    users_table.check,
    data_keys.check,
    queues.check,
    alarms.check,
    concurrency.check,
    linked_accounts.check,
    clock.check,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: this command has no arguments."""


def run(_arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Show the findings, problems first. Return 1 if there is a problem, else 0."""
    deployment = Deployment(stack)
    findings = sorted((each for check in CHECKS for each in _made(check, deployment)), key=_rank)
    has_problem = any(each.severity is Severity.PROBLEM for each in findings)
    console.answer(
        "\n".join(each.as_text() for each in findings) or "Nothing found.",
        outcome="problems" if has_problem else "healthy",
        **deployment.as_data(),
        findings=[each.as_data() for each in findings],
    )
    return int(has_problem)


def _made(check: Callable[[Deployment], Iterable[Finding]], deployment: Deployment) -> list[Finding]:
    """The findings of one check. A check that cannot be made is a finding, so that the others are still made."""
    name = check.__module__.rpartition(".")[2]
    try:
        return list(check(deployment))
    except (Refused, *AWS_ERRORS) as error:
        why = str(error) if isinstance(error, Refused) else reason(error)
        meaning = f"The check {name} was not made: {why}"
        return [Finding(Severity.PROBLEM, "not_checked", meaning, "Fix that, and run doctor again.")]


def _rank(finding: Finding) -> int:
    return list(Severity).index(finding.severity)
