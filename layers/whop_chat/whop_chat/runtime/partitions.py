"""Where things may be: the domains of AWS's partitions, and the addresses of this machine."""

from typing import Literal

# By the start of the region names, as in the partition data of AWS's SDKs.
_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "eusc-": "amazonaws.eu",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
    "eu-isoe-": "cloud.adc-e.uk",
}
_DEFAULT_SUFFIX = "amazonaws.com"

# Literals only: a name such as localhost means what a resolver says it means.
LOOPBACK_URL = r"https?://(?:127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?/?"


def dns_suffix(region: str) -> str:
    """The domain under which ``region`` has its endpoints."""
    return next((suffix for start, suffix in _SUFFIXES.items() if region.startswith(start)), _DEFAULT_SUFFIX)


def aws_roots(region: str) -> Literal["aws", "mozilla"]:
    """Which of the layer's directories of root certificates AWS's own endpoints in ``region`` are verified with.

    `aws` in the partition of the same name: the roots of Amazon Trust Services, which issues the certificates there.
    `mozilla` elsewhere: AWS does not say which authorities the other partitions use, and will use.
    """
    elsewhere = ("us-gov-", *_SUFFIXES)
    return "mozilla" if region.startswith(elsewhere) else "aws"
