"""Removes from the installed packages what no function uses: Lambda fetches and unpacks the rest before a cold start.

botocore describes every service of AWS in its data. It looks for the names of services in the folders there, and it
reads `endpoints.json` whole before it makes the first client, so less data is less time as well.
"""

import json
import shutil
from pathlib import Path

# What the functions call. An AWS service that is not named here does not exist for the layer's boto3.
SERVICES = ("cognito-idp", "dynamodb", "lambda", "s3", "secretsmanager", "sqs")
# Only the functions for pictures call these. botocore finds their hosts by the rules in their own data. So they are
# left out of `endpoints.json`, which every function reads when it starts.
_NOT_IN_ENDPOINTS = ("lambda", "s3")

# httpx imports anyio only for its asynchronous client. cffi imports pycparser only to read declarations in C.
UNUSED_DISTRIBUTIONS = ("anyio", "pycparser")

# boto3's data describes its resources (`boto3.resource`). `botocore/cacert.pem` stands in for certifi's bundle.
UNUSED_PATHS = ("boto3/data", "boto3/examples", "botocore/cacert.pem")


def prune(python: Path) -> None:
    """Remove from ``python``, a folder of installed packages, what no function uses.

    Raises `FileNotFoundError` if something to remove or to keep is not there: a new version has other files.
    """
    for name in UNUSED_DISTRIBUTIONS:
        _remove(python / name)
        _remove(_only(python, f"{name}-*.dist-info"))
    for path in UNUSED_PATHS:
        _remove(python / path)
    _prune_data(python / "botocore" / "data")


def _prune_data(data: Path) -> None:
    """Keep the services in use, and what belongs to all services (retries, defaults, partitions)."""
    for name in SERVICES:
        _keep_newest_version(data / name)
    for folder in data.iterdir():
        if folder.is_dir() and folder.name not in SERVICES:
            _remove(folder)
    endpoints = data / "endpoints.json"
    everywhere = json.loads(endpoints.read_text())
    kept = set(SERVICES) - set(_NOT_IN_ENDPOINTS)
    for partition in everywhere["partitions"]:
        partition["services"] = {name: it for name, it in partition["services"].items() if name in kept}
    endpoints.write_text(json.dumps(everywhere, separators=(",", ":")))


def _keep_newest_version(service: Path) -> None:
    """Keep the API version that botocore uses: the last one. Lambda has two."""
    versions = sorted(path.parent for path in service.glob("*/service-2.json.gz"))
    if not versions:
        raise FileNotFoundError(f"no version of {service.name}")
    for older in versions[:-1]:
        _remove(older)


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise FileNotFoundError(f"{len(found)} of {pattern} in {folder.name}")
    return found[0]


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
