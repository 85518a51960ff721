"""The domains and root certificates of AWS's partitions, and the pattern of loopback URLs."""

from typing import Literal

# By the prefix of the region names, as in the partition data of AWS's SDKs.
_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}
_DEFAULT_SUFFIX = "amazonaws.com"

# Only literal addresses: a resolver decides which address a name such as localhost has.
LOOPBACK_URL = r"https?://(?:127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?/?"


def dns_suffix(region: str) -> str:
    """The domain of AWS's endpoints in ``region``."""
    return next((suffix for start, suffix in _SUFFIXES.items() if region.startswith(start)), _DEFAULT_SUFFIX)


def aws_roots(region: str) -> Literal["aws", "mozilla"]:
    """The name of the layer's directory with the root certificates of AWS's own endpoints in ``region``.

    It is `aws` in the partition of that name: Amazon Trust Services issues the certificates there. It is `mozilla` in
    the other partitions, because AWS does not say which authorities they use now or later.
    """
    elsewhere = ("us-gov-", *_SUFFIXES)
    return "mozilla" if region.startswith(elsewhere) else "aws"
