"""Which users of a dry run share their e-mail address with another user.

Whop takes users with one address for one person. So of a native user and a federated one with the same address, only
the first can be enrolled, and the other is blocked for ``identity_conflict``.

The addresses are compared by full case folding, which is wider than what enrolment compares by. A prediction may err on
that side. A run stores a fingerprint of each address, as it does of each user.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from whop_chat.cognito.pool import ListedUser
from whop_chat.enrolment.email_policy import EmailPolicy
from whop_chat.reconcile._bloom_filter import FINGERPRINT_BYTES, BloomFilter, fingerprint
from whop_chat.reconcile.drift import Drift, Finding

# Whom a backfill would enrol, if it includes all it can.
_TO_ENROL = (Drift.MISSING, Drift.PASSWORDLESS, Drift.UNFINISHED)
_NATIVE = "COGNITO"  # as an app client names it (Cognito, SupportedIdentityProviders)
# No provider has a space in its name (Cognito, CreateIdentityProvider). DynamoDB takes no empty name.
_OTHERS = "all others"

Addresses = Mapping[str, bytes]
"""Fingerprints of addresses, by the provider of the users to enrol. Those of all other users are under one name."""


def addresses_of(run: str, findings: Iterable[tuple[ListedUser, Finding]], email_policy: EmailPolicy) -> Addresses:
    """The addresses of some users. No two users share an alias, so there are none with `AliasEmail`."""
    addresses: defaultdict[str, bytes] = defaultdict(bytes)
    for listed, finding in findings:
        address = email_policy.email(listed.pool_user)
        if email_policy.mode == "alias" or address is None or not listed.may_sign_in:
            continue
        provider = "+".join(listed.pool_user.providers) or _NATIVE
        addresses[provider if finding.drift in _TO_ENROL else _OTHERS] += fingerprint(run, address.casefold())
    return addresses


def count_conflicts(pages: Callable[[], Iterable[Addresses]]) -> Counter[str]:
    """How many of the users to enrol share their address with another user, by provider."""
    seen, shared, counts = BloomFilter(), set[bytes](), Counter[str]()
    for addresses in pages():
        for each in (each for fingerprints in addresses.values() for each in _split(fingerprints)):
            if each in seen:
                shared.add(each)
            seen.add(each)
    for addresses in pages() if shared else ():
        for provider, fingerprints in addresses.items():
            if provider != _OTHERS:
                counts[provider] += sum(each in shared for each in _split(fingerprints))
    return +counts


def _split(fingerprints: bytes) -> Iterator[bytes]:
    for start in range(0, len(fingerprints), FINGERPRINT_BYTES):
        yield fingerprints[start : start + FINGERPRINT_BYTES]
