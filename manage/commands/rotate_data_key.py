"""``rotate-data-key``: add a data key to the ring, and drop the old one when nothing needs it any more.

It takes two runs. The first adds a key, which seals from then on. The second is possible when no function has the
former ring any more. It seals again what must not be lost. It drops the old key if all else that it sealed has expired.
"""

import argparse
import time
from collections import Counter

from manage.console import Console, timestamp
from manage.deployment import Deployment
from manage.errors import Refused
from manage.sealed_items import SealedItems
from manage.secret import Secret, Version, known_everywhere
from manage.stack import Stack
from whop_chat.runtime.sealed import KeyRing, UnusableDataKey

NAME = "rotate-data-key"
HELP = "add a data key, or, in a later run, drop the old one when nothing needs it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: this command has no arguments."""


def run(_arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Do what can be done now, and return the exit status: 1 if the old key stays. Raises `Refused`."""
    deployment = Deployment(stack)
    secret = Secret(stack.client("secretsmanager"), stack.output("DataKeySecretArn"))
    version = secret.current()
    if version is None:
        raise Refused("The secret of the data keys has no value. Restore it, or no sealed token can be read.")
    ring = _ring(version)
    again_at = known_everywhere(version.created_at.timestamp())
    if len(ring.keys) == 1:
        return _add(deployment, secret, version, ring, console)
    if time.time() < again_at:
        text = f"Nothing was done: a function may still use the former ring. Run it again after {timestamp(again_at)}."
        console.answer(text, outcome="too_early", **deployment.as_data(), again_after=timestamp(again_at))
        return 1
    return _finish(deployment, secret, version, ring, console)


def _add(deployment: Deployment, secret: Secret, version: Version, ring: KeyRing, console: Console) -> int:
    with deployment.audit.entry(NAME) as entry:
        with secret.pending(ring.with_new_key().to_secret()) as pending:
            secret.promote(pending, replacing=version)
        entry.outcome = "added a key"
    again_at = timestamp(known_everywhere(time.time()))
    text = f"A new data key seals from now on. Run the command again after {again_at} to drop the old one."
    console.answer(text, outcome="added", **deployment.as_data(), again_after=again_at)
    return 0


def _finish(deployment: Deployment, secret: Secret, version: Version, ring: KeyRing, console: Console) -> int:
    """Seal again, and drop the old keys if nothing needs them."""
    old = ring.keys.keys() - {ring.current}
    items = SealedItems(deployment)
    with deployment.audit.entry(NAME) as entry:
        resealed, unreadable = items.reseal(old)
        left = [item for item in items.sealed_with(old) if item.pk not in unreadable]
        if not left:
            with secret.pending(ring.with_current_only().to_secret()) as pending:
                secret.promote(pending, replacing=version)
        entry.outcome = f"sealed {resealed} again, {'kept' if left else 'dropped'} the old key"
    data = {**deployment.as_data(), "resealed": resealed, "unreadable": len(unreadable)}
    text = f"Sealed again: {resealed}. No key of the ring opens {len(unreadable)}; those users have to link again."
    if not left:
        console.answer(f"{text} The old key is dropped.", outcome="dropped", **data)
        return 0
    counts = Counter(item.kind for item in left)
    last = max((item.expires_at for item in left if item.expires_at), default=int(time.time()))
    kinds = ", ".join(f"{count} {kind}#" for kind, count in sorted(counts.items()))
    console.answer(
        f"{text} The old key stays, because items need it: {kinds}. Run the command again after {timestamp(last)}.",
        outcome="still_needed",
        **data,
        needed_by=counts,
        again_after=timestamp(last),
    )
    return 1


def _ring(version: Version) -> KeyRing:
    try:
        return KeyRing.from_secret(version.text)
    except UnusableDataKey as error:
        raise Refused(f"The data keys cannot be used: {error}. Restore a former version of the secret.") from None
