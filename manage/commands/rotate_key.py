"""``rotate-key``: replace the API key by one from standard input, once Whop has accepted it."""

import argparse
import time

from manage.checks import whop_key
from manage.checks.finding import Finding, Severity
from manage.console import Console, timestamp
from manage.deployment import Deployment
from manage.errors import Refused
from manage.secret import Secret, Version, known_everywhere
from manage.stack import Stack
from whop_chat.runtime.secrets import MAX_AGE_SECONDS
from whop_chat.whop.api_key import NotConfigured, key_in

NAME = "rotate-key"
HELP = "replace the API key by the one on standard input, if Whop accepts it, and say when to revoke the old one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: a key among the arguments would be in the history of the shell."""


def run(_arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Rotate the key and return the exit status. Raises `Refused`; the old key then stays in use."""
    deployment = Deployment(stack)
    secret = Secret(stack.client("secretsmanager"), stack.output("WhopSecretArn"))
    old = secret.current()
    if old is None:
        raise Refused('The secret has no key to replace. Store the first one (docs/deploy.md, "The key").')
    new = console.read_secret("The new API key: ").strip()
    _require_other(new, old)
    with deployment.audit.entry(NAME) as entry:
        with secret.pending(new) as pending:
            unproven = _prove(deployment, pending)
            secret.promote(pending, replacing=old)
        entry.outcome = "rotated"
    revocable_at = timestamp(_revocable_at(stack))
    for finding in unproven:
        console.say(finding.as_text())
    console.answer(
        f"The new key is in use; every function has it within {MAX_AGE_SECONDS / 60:.0f} minutes. Revoke the old key "
        f"at Whop after {revocable_at}. It is unknown whether Whop ends a token with the key that minted it. "
        "By then all tokens of the old key have expired.",
        outcome="rotated",
        **deployment.as_data(),
        revoke_old_key_after=revocable_at,
        findings=[each.as_data() for each in unproven],
    )
    return 0


def _require_other(new: str, old: Version) -> None:
    """Raise `Refused` if ``new`` is no key, or the key in use."""
    try:
        key = key_in(new)
    except NotConfigured as error:
        raise Refused(f"There is no API key on standard input: {error}. Nothing was written.") from None
    try:
        is_old = key == key_in(old.text)
    except NotConfigured:
        is_old = False
    if is_old:
        raise Refused("This key is in use already. Nothing was written.", outcome="nothing_to_do")


def _prove(deployment: Deployment, pending: Version) -> list[Finding]:
    """What Whop does not say about the stored key. Raises `Refused` if it lacks anything that the settings need."""
    found = list(whop_key.of_key(deployment, key_in(pending.text)))
    problems = [each for each in found if each.severity is Severity.PROBLEM]
    if problems:
        raise Refused(
            "\n".join(["The old key stays in use, because of the new one:", *(each.meaning for each in problems)]),
            outcome="not_proven",
            findings=[each.as_data() for each in problems],
        )
    return found


def _revocable_at(stack: Stack) -> float:
    """When no function has the old key any more, and all of its tokens have expired. In epoch seconds."""
    lifetime = int(stack.parameters["TokenTtlMinutes"]) * 60
    return known_everywhere(time.time()) + lifetime
