"""The issuer and the JWKS URL of a Cognito user pool, derived from its id and from its IssuerConfiguration."""

import re
from collections.abc import Mapping
from typing import Literal

from whop_chat.runtime.partitions import LOOPBACK_URL, dns_suffix

# `<region>_<id>` (UserPoolIdType in the Cognito API reference), with the region in the form all partitions use.
_POOL_ID = r"(?P<region>[a-z]{2,4}(?:-[a-z]+){1,3}-[0-9]{1,2})_[0-9A-Za-z]{1,40}"

# A setting of the pool (AWS, "IssuerConfigurationType"). Its id does not tell which of the two the pool has.
PoolIssuer = Literal["original", "updated"]
_HOSTS: Mapping[PoolIssuer, str] = {"original": "cognito-idp", "updated": "issuer-cognito-idp"}


def issuer(pool_id: str, pool_issuer: PoolIssuer = "original") -> str:
    """The exact `iss` claim of this pool's tokens (Cognito developer guide, "Verifying JSON web tokens").

    Raises `ValueError` unless ``pool_id`` has the form `<region>_<id>`.
    """
    match = re.fullmatch(_POOL_ID, pool_id)
    if match is None:
        raise ValueError("the user pool id does not have the form <region>_<id>")
    region = match["region"]
    return f"https://{_HOSTS[pool_issuer]}.{region}.{dns_suffix(region)}/{pool_id}"


def jwks_url(pool_id: str, endpoint: str | None, pool_issuer: PoolIssuer = "original") -> str:
    """The URL of this pool's public keys.

    It is under the issuer, over https, or under the ``endpoint`` of a local emulator. The server of the keys decides
    who is signed in, so the host of an endpoint must be the literal 127.0.0.1 or [::1].

    Raises `ValueError` for any other endpoint, and for a malformed ``pool_id``.
    """
    base = issuer(pool_id, pool_issuer)
    if endpoint is not None:
        if not re.fullmatch(LOOPBACK_URL, endpoint):
            raise ValueError("keys are taken from Cognito or from a loopback address, from nowhere else")
        base = f"{endpoint.removesuffix('/')}/{pool_id}"
    return f"{base}/.well-known/jwks.json"
